//! Days that are older than `retain` leave archive and view by `batch-layer maintain`. Answers say from when on they hold, and are exact from
//! there on; who asks for more is told what is missing.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::time::{micros, rfc3339};
use e2e_tests::views::NEVER;
use e2e_tests::{Answer, Client, Stage, scenario};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

const METRIC: &str = "events";
const DAY_MS: i64 = 86_400_000;
const DAYS: i64 = 5;
const EACH: i64 = 30;
/// The tables that give days up.
const TABLES: [&str; 2] = ["archive/events", "views/v1/events"];

fn catalog(topic: &str) -> String {
    format!(
        r#"[pipeline]
name = "{topic}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.events]
topic = "{topic}"
partitions = 2
event_id = "id"
event_time = "at"
max_age = "1d"
retain = "2d"
[sources.events.fields]
id = "int"
at = "timestamp"

[metrics.events]
source = "events"
by = []
grain = "1h"
retain = "2d"
[metrics.events.measures]
n = "count()"
"#
    )
}

#[test]
fn retained() {
    scenario("retained", async |scenario| {
        let stage = Stage::of(scenario).catalog(catalog).partitions(2).without_kills().start().await?;
        let client = stage.client()?;
        let mut sent = BTreeMap::new();
        let arrived = send(&stage, 0..DAYS * EACH, &mut sent)?;
        let all = client.total_as_of(arrived, METRIC, &[]).await?;
        ensure!(all.int("n")? == DAYS * EACH && all.from.is_none(), "{all:?}");
        stage.archived().await?;
        stage.deployment.reconcile().await?;
        client.authoritative_total(METRIC, &[]).await?;

        let planned = stage.deployment.maintain(&["--dry-run"]).await?;
        ensure!(TABLES.iter().all(|table| planned.lines().any(|line| is_retired(line, table))), "{planned}");
        ensure!(client.total(METRIC, &[]).await?.from.is_none(), "a dry run retires nothing");
        let done = stage.deployment.maintain(&[]).await?;
        ensure!(TABLES.iter().all(|table| done.lines().any(|line| is_retired(line, table))), "{done}");
        let first = wait_for("answers to say from when on they hold", DEADLINE, async || {
            let answer = client.total(METRIC, &[]).await?;
            Ok(match answer.from.clone() {
                Some(from) => Progress::Done(from),
                None => Progress::NotYet(format!("{answer:?}")),
            })
        })
        .await?;
        holds_from(&client, arrived, &first, &sent).await.context("after maintenance")?;

        // What comes later counts, and a second pass finds nothing to retire.
        let arrived = send(&stage, DAYS * EACH..DAYS * EACH + 20, &mut sent)?;
        holds_from(&client, arrived, &first, &sent).await.context("with later events")?;
        stage.archived().await?;
        stage.deployment.reconcile().await?;
        holds_from(&client, arrived, &first, &sent).await.context("after another reconcile")?;
        let again = stage.deployment.maintain(&["--dry-run"]).await?;
        ensure!(!TABLES.iter().any(|table| again.lines().any(|line| is_retired(line, table))), "{again}");
        stage.ran_without_trouble()
    });
}

/// Whether it says that days of that table go, or have gone.
fn is_retired(line: &str, table: &str) -> bool {
    line.starts_with(&format!("{table}: ")) && line.contains("files of days before")
}

/// Sends events of these ids, on as many days as there are: those of each day when it was. Returns when the last had arrived.
fn send(stage: &Stage, ids: Range<i64>, sent: &mut BTreeMap<i64, i64>) -> Result<i64> {
    let producer = stage.producer()?;
    for id in ids {
        // The oldest day first. What comes later is of today.
        let days_ago = (DAYS - 1 - id / EACH).max(0);
        let at_ms = stage.now_us / 1_000 - days_ago * DAY_MS - 60_000 + id * 10;
        let payload = json!({"id": id, "at": at_ms}).to_string().into_bytes();
        producer.send_at(&Record { key: id.to_string(), payload, partition: None }, at_ms)?;
        sent.insert(id, at_ms);
    }
    producer.flush()
}

/// A total without a range speaks of everything from that moment on, and is complete. One that asks for an earlier day by name is not, and
/// says why.
async fn holds_from(client: &Client, moment: i64, first: &str, sent: &BTreeMap<i64, i64>) -> Result<()> {
    let first_ms = micros(first)? / 1_000;
    ensure!(first_ms % DAY_MS == 0, "{first} is not the begin of a day");
    let expected = sent.values().filter(|at_ms| **at_ms >= first_ms).count() as i64;
    ensure!(expected > 0 && expected < sent.len() as i64, "{expected} of {} events are kept", sent.len());
    let answer: Answer = client.total_as_of(moment, METRIC, &[]).await?;
    ensure!(answer.from.as_deref() == Some(first), "{answer:?} instead of from {first}");
    ensure!(answer.int("n")? == expected, "{expected} instead of {answer:?}");
    let earlier = [("from", rfc3339((first_ms - DAY_MS) * 1_000))];
    let answer = client.total(METRIC, &earlier).await?;
    ensure!(!answer.complete && answer.has_gap("retired"), "{answer:?}");
    let day = &first[..10];
    let names_it = |gap: &Value| gap["text"].as_str().is_some_and(|text| text.contains(day));
    ensure!(answer.gaps.iter().any(names_it), "no gap names {day}: {answer:?}");
    Ok(())
}
