//! A person is erased from a source and from the streams over it, also from one that calls the field otherwise. What an erasure is told to leave
//! out it names; the next one goes on with that. With old files gone, no file holds the person's id, be it of an archive, a view, a snapshot of a lane or a backtest.

use std::path::Path;

use anyhow::{Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::naming::files_naming;
use e2e_tests::printed::objects;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::NEVER;
use e2e_tests::{Layer, Stage, busy_scenario};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

use super::snapshots::newest_cursor;

/// Stands in no other text of the scenario.
const PERSON: &str = "person-9-2e5a";
const CONDITION: &str = "user = 'person-9-2e5a'";
const STREAMS: [&str; 4] = ["bursts", "large", "renamed", "sums"];
/// Longer than old files are kept, and the log of a table.
const LATER_S: i64 = 3 * 3_600;
const EVENTS: i64 = 120;

fn catalog(topic: &str) -> String {
    format!(
        r#"[pipeline]
name = "{topic}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.events]
topic = "{topic}"
partitions = 1
event_id = "id"
event_time = "at"
key = "user"
[sources.events.fields]
id = "int"
at = "timestamp"
user = "string"
amount = "int"

[metrics.by_user]
source = "events"
by = ["user"]
grain = "1m"
[metrics.by_user.measures]
n = "count()"

[streams.large]
from = "events"
topic = "{topic}-large"
where = "amount > 3"

[streams.renamed]
from = "events"
topic = "{topic}-renamed"
where = "amount > 7"
[streams.renamed.fields]
who = "user"
amount = "amount"

[streams.sums]
from = "events"
topic = "{topic}-sums"
by = ["user"]
window = "1m"
[streams.sums.measures]
amount = "sum(amount)"

[streams.bursts]
from = "events"
topic = "{topic}-bursts"
key = "user"
history = "2h"
[streams.bursts.detect]
again = "history_count() >= 5"
"#
    )
}

#[test]
fn streams_person_erased() {
    busy_scenario("streams_person_erased", async |scenario| {
        let setup = Stage::of(scenario).catalog(catalog).partitions(1).running(&LAYERS);
        let setup = setup.set("streams.snapshot_every", "500ms").set("streams.progress_every", "300ms");
        let Some(mut stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let store = stage.deployment.store();
        let arrived = send(&stage)?;
        stage.client()?.total_as_of(arrived, "by_user", &[]).await?;
        wait_for("streams to name the person, and a snapshot", DEADLINE, async || {
            let named = named_below(&store, "archive")?;
            let are_named = STREAMS.iter().all(|stream| named.iter().any(|folder| folder == stream));
            let is_there = are_named && newest_cursor(&store, "events")?.is_some();
            Ok(Progress::when(is_there, format_args!("{named:?}")))
        })
        .await?;
        stage.deployment.batch(&["backtest", "large"])?.success(DEADLINE).await?;
        ensure!(named_below(&store, "backtest")? == ["large"], "the backtest holds outputs of the person");
        stage.deployment.reconcile().await?;
        // A lane remembers the person for two hours more, and would write that down.
        stage.deployment.kill(Layer::Speed);

        let erase = ["erase", "events", "--where", CONDITION, "--output", "json"];
        let of_source = reports(&stage, &[&erase[..], &["--only-source"][..]].concat()).await?;
        ensure!(of_source.len() == 1 && of_source[0]["events"] == EVENTS / 3, "{of_source:?}");
        ensure!(of_source[0]["backtests"] == json!(["backtest/large"]), "{of_source:?}");
        let further = of_source[0]["further"].to_string();
        ensure!(STREAMS.iter().all(|stream| further.contains(&format!("{stream} was left out"))), "{further}");
        ensure!(newest_cursor(&store, "events")?.is_none(), "a snapshot is left");

        let all = reports(&stage, &erase).await?;
        let sources: Vec<&str> = all.iter().filter_map(|report| report["source"].as_str()).collect();
        ensure!(sources == ["events", "bursts", "large", "renamed", "sums"], "{all:?}");
        for report in &all {
            ensure!(report["behind"] == json!([]) && report["further"].is_null(), "{report}");
            ensure!((report["events"] == 0) == (report["source"] == "events"), "{report}");
            ensure!(!report["uncounted_since"].is_null(), "{report}");
        }

        // Old files are deleted by the first reconcile that comes late enough.
        stage.deployment.kill(Layer::Archive);
        stage.deployment.set_clock("batch-layer", LATER_S);
        let archives = ["events", "bursts", "large", "renamed", "sums"].map(|source| format!("archive/{source}"));
        for table in archives.iter().map(String::as_str).chain(["views/v1/by_user", "backtest/large"]) {
            stage.deployment.make_late(table, LATER_S)?;
        }
        stage.deployment.reconcile().await?;
        wait_for("no file to name the person", DEADLINE, async || {
            let holding = files_naming(&store, PERSON)?;
            Ok(Progress::when(holding.is_empty(), format_args!("{holding:?}")))
        })
        .await?;
        ensure!(!files_naming(&store, "u-1")?.is_empty(), "what others did is still there");
        Ok(())
    });
}

/// Every two seconds an event of one of three users, and much later one that closes whatever is open. Returns when the last had arrived.
fn send(stage: &Stage) -> Result<i64> {
    let (producer, first_ms) = (stage.producer()?, stage.now_us / 1_000 - 3_600_000);
    let users = [PERSON, "u-1", "u-2"].into_iter().cycle();
    let events = (0..EVENTS).zip(users).map(|(id, user)| (id, first_ms + 2_000 * id, user));
    for (id, at_ms, user) in events.chain([(EVENTS, first_ms + 1_800_000, "u-1")]) {
        let payload = json!({"id": id, "at": at_ms, "user": user, "amount": id % 10}).to_string().into_bytes();
        producer.send_at(&Record { key: user.to_owned(), payload, partition: None }, at_ms)?;
    }
    producer.flush()
}

/// The reports that a command of `batch-layer` prints.
async fn reports(stage: &Stage, arguments: &[&str]) -> Result<Vec<Value>> {
    let process = stage.deployment.batch(arguments)?;
    process.success(DEADLINE).await?;
    objects(&process.output()?)
}

/// The folders right below that one of the store in which a file names the person.
fn named_below(store: &Path, folder: &str) -> Result<Vec<String>> {
    let below = store.join(folder);
    let mut named = Vec::new();
    for entry in std::fs::read_dir(&below)? {
        let entry = entry?;
        if !files_naming(&entry.path(), PERSON)?.is_empty() {
            named.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    named.sort_unstable();
    Ok(named)
}
