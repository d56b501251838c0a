//! The catalog changes in place: a rule, a condition, and a stream that is added. Each stream goes on by its new definition from the
//! offset that its change names, with all of the past that matters, and what did not change stays exact.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::read_all;
use e2e_tests::streams::detect::{Detector, Judge};
use e2e_tests::streams::fraud::{amount_anomaly, impossible_travel, looked_at, within};
use e2e_tests::streams::log::{Event, Step, of_partition, partitions};
use e2e_tests::streams::map::Map;
use e2e_tests::streams::written::Stream;
use e2e_tests::streams::{Decided, decide};
use e2e_tests::{Layer, scenario};
use serde_json::{Map as Fields, Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

use super::payments::{Kind, Mix, Payments, catalog, large};

const PARTITIONS: i32 = 2;
const SOME: usize = 400;
const MINUTE_US: i64 = 60_000_000;
/// A payment is large from this amount on, instead of [`super::payments::LARGE`].
pub(super) const LESS: i64 = 20;
/// More alerts than before, with a longer look back.
const RULES: &str = r#"
high_velocity = "history_count('10m') >= 7"
impossible_travel = "distance_km(previous(lat), previous(lon), lat, lon) > 5000 and seconds_between(previous(at), at) < 3600"
amount_anomaly = "history_avg(amount) > 0 and amount > 10 * history_avg(amount)"
"#;
const JUDGES: [(&str, Judge); 3] =
    [("high_velocity", often), ("impossible_travel", impossible_travel), ("amount_anomaly", amount_anomaly)];
/// By stream and partition: where its change begins.
pub(super) type Changes = BTreeMap<(String, i32), i64>;
/// What a definition decides of a partition.
pub(super) type Decides = fn(&[Step]) -> Vec<Decided>;

#[test]
fn streams_changed_in_place() {
    scenario("streams_changed_in_place", async |scenario| {
        let Some(mut payments) = Payments::start(scenario, PARTITIONS, Mix::Usual).await? else { return Ok(()) };
        payments.send(SOME)?;
        payments.are_written().await?;
        payments.stage.deployment.kill(Layer::Speed);
        let name = payments.stage.topic.clone();
        let added =
            format!("\n[streams.small]\nfrom = \"payments\"\ntopic = \"{name}-small\"\nwhere = \"amount < 5\"\n");
        payments.stage.deployment.write_catalog(&(catalog(&name, PARTITIONS, RULES, LESS) + &added))?;
        payments.stage.deployment.batch(&["init"])?.success(DEADLINE).await?;
        payments.stage.deployment.start(Layer::Speed).await?;
        payments.send(SOME)?;
        let changes = wait_for("changes in the progress topic", DEADLINE, async || {
            let changes = changes(&payments)?;
            let all = changes.len() == 3 * PARTITIONS as usize;
            Ok(if all { Progress::Done(changes) } else { Progress::NotYet(format!("{changes:?}")) })
        })
        .await?;
        for kind in [Kind::Spent, Kind::Trend, Kind::Visits, Kind::ByCountry, Kind::Revenue] {
            payments.is_written(kind).await?;
        }
        let brokers = payments.stage.brokers.clone();
        let small = Stream { has_late: false, ..Stream::of(&name, "small") };
        let all: [(Stream, Decides, Decides); 3] = [
            (payments.stream(Kind::Alerts), alerts_before, alerts),
            (payments.stream(Kind::Large), large_before, large_now),
            (small, |_| Vec::new(), small_payments),
        ];
        for (stream, old, new) in all {
            let written = stream.becomes(&brokers, || changed(&payments, &stream, &changes, old, new)).await?;
            // Each side was written under one definition.
            let mut definitions: BTreeMap<(i32, bool), BTreeSet<&str>> = BTreeMap::new();
            for written in &written {
                let is_new = written.offset >= changes[&(stream.name.clone(), written.partition)];
                definitions.entry((written.partition, is_new)).or_default().insert(&written.definition);
            }
            ensure!(definitions.values().all(|known| known.len() == 1), "{definitions:?}");
            ensure!(definitions.keys().any(|(_, is_new)| *is_new), "nothing is new: {definitions:?}");
        }
        Ok(())
    });
}

/// The changes that the progress topic of the payments' lanes names.
pub(super) fn changes(payments: &Payments) -> Result<Changes> {
    let mut changes = Changes::new();
    for found in read_all(&payments.stage.brokers, &format!("{}.payments.v1.progress", payments.stage.topic))? {
        let key = String::from_utf8(found.key.unwrap_or_default())?;
        let Some((stream, rest)) = key.split_once("/changed/") else { continue };
        let (_, offset) = rest.rsplit_once('/').context("a change without an offset")?;
        let offset: i64 = offset.parse()?;
        // A stream that begins with the log has not changed.
        if offset == 0 {
            continue;
        }
        let before = changes.insert((stream.to_owned(), found.partition), offset);
        ensure!(before.is_none(), "{stream} has changed twice in partition {}", found.partition);
    }
    Ok(changes)
}

/// What a stream must have written that has changed there.
pub(super) fn changed(
    payments: &Payments,
    stream: &Stream,
    changes: &Changes,
    old: Decides,
    new: Decides,
) -> Result<BTreeMap<i32, Vec<Decided>>> {
    let records = payments.read_by(Kind::Alerts)?;
    let mut all = BTreeMap::new();
    for partition in partitions(&records) {
        let change = changes.get(&(stream.name.clone(), partition)).context("no change of a partition")?;
        let steps = Kind::Alerts.source().steps(of_partition(&records, partition))?;
        let before = old(&steps).into_iter().filter(|decided| decided.offset < *change);
        let after = new(&steps).into_iter().filter(|decided| decided.offset >= *change);
        all.insert(partition, before.chain(after).collect());
    }
    Ok(all)
}

pub(super) fn large_before(steps: &[Step]) -> Vec<Decided> {
    Kind::Large.decide(steps)
}

pub(super) fn large_now(steps: &[Step]) -> Vec<Decided> {
    large(steps, LESS)
}

fn alerts_before(steps: &[Step]) -> Vec<Decided> {
    Kind::Alerts.decide(steps)
}

fn alerts(steps: &[Step]) -> Vec<Decided> {
    decide(steps, 5 * MINUTE_US, |_| true, Detector::new("user_id", 60 * MINUTE_US, &JUDGES))
}

/// Seven payments or more in the ten minutes before it.
fn often(history: &[&Event], event: &Event) -> Option<Fields<String, Value>> {
    let count = within(history, event, 10 * MINUTE_US);
    (count >= 7).then(|| looked_at([("history_count('10m')", json!(count))]))
}

fn small_payments(steps: &[Step]) -> Vec<Decided> {
    let map = Map { fields: |event| event.fields.clone(), key: None };
    decide(steps, 0, |event| event.number("amount") < 5.0, map)
}
