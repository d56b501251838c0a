//! Every reconcile checks what streams have written: each output is compared once and is right, whatever befalls the check; what the check
//! remembers serves a lane that has lost its own snapshots; and an output that is forged or removed is named.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::{Found, delete_records, end_offsets};
use e2e_tests::streams::written::Written;
use e2e_tests::{Layer, busy_scenario, stage};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, wait_for};
use tokio::task::block_in_place;

use super::changed::{LESS, changed, changes, large_before, large_now};
use super::payments::{Kind, Mix, Payments, catalog};
use super::snapshots::{SOURCES, lanes, warmed};

const PARTITIONS: i32 = 2;
const SOME: usize = 300;
const WITHIN: Duration = Duration::from_secs(30);
/// A record causes fewer outputs than this, which is added to the number of a forged one.
const FORGED: u32 = 1_000;
/// Where a check has compared everything, and noted nothing.
const BEFORE_CHECKED: &str = "streams::before_checked";

#[test]
fn streams_checked() {
    busy_scenario("streams_checked", async |scenario| {
        let Some(mut payments) = start(scenario).await? else { return Ok(()) };
        payments.send(SOME)?;
        payments.are_written().await?;
        are_checked(&payments, outputs).await?;
        payments.send(SOME)?;
        payments.are_written().await?;
        // Nothing is left of what the lanes have kept, when the check decides again.
        payments.stage.deployment.kill(Layer::Speed);
        let store = payments.stage.deployment.store();
        for source in SOURCES {
            lanes(&store, source)?.into_values().flatten().try_for_each(fs::remove_file)?;
        }
        // It goes no farther than the archive of what the lanes read, which may be behind.
        wait_for("the check to keep every lane", DEADLINE, async || {
            payments.stage.deployment.reconcile().await?;
            for source in SOURCES {
                let lanes = lanes(&store, source)?;
                if lanes.len() != PARTITIONS as usize {
                    return Ok(Progress::NotYet(format!("of {source} {lanes:?}")));
                }
            }
            Ok(Progress::Done(()))
        })
        .await?;
        payments.send(SOME)?;
        let speed = payments.stage.deployment.start(Layer::Speed).await?;
        payments.are_written().await?;
        let warmed = warmed(&speed)?;
        ensure!(warmed.is_empty(), "lanes did not begin with what the check remembers: {warmed:?}");
        are_checked(&payments, outputs).await?;
        payments.end_exactly().await
    });
}

/// A check is killed when it has compared everything and before it notes that, and the catalog changes before the next one.
#[test]
fn streams_changed_before_checked() {
    busy_scenario("streams_changed_before_checked", async |scenario| {
        let Some(mut payments) = start(scenario).await? else { return Ok(()) };
        payments.send(SOME)?;
        payments.are_written().await?;
        check_is_killed(&payments).await?;
        payments.stage.deployment.kill(Layer::Speed);
        let (name, rules) = (payments.stage.topic.clone(), e2e_tests::streams::fraud::RULES);
        payments.stage.deployment.write_catalog(&catalog(&name, PARTITIONS, rules, LESS))?;
        payments.stage.deployment.start(Layer::Speed).await?;
        payments.send(SOME)?;
        let changes = wait_for("changes in the progress topic", DEADLINE, async || {
            let changes = changes(&payments)?;
            let all = changes.len() == PARTITIONS as usize;
            Ok(if all { Progress::Done(changes) } else { Progress::NotYet(format!("{changes:?}")) })
        })
        .await?;
        let (large, brokers) = (payments.stream(Kind::Large), payments.stage.brokers.clone());
        let by_now = || changed(&payments, &large, &changes, large_before, large_now);
        large.becomes(&brokers, by_now).await?;
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Large) {
            payments.is_written(kind).await?;
        }
        // What the former definition has written was not checked, and by this catalog it cannot be.
        let compared = |kind: Kind, written: &[Written]| {
            let is_new = |written: &&Written| {
                let change = changes.get(&(large.name.clone(), written.partition)).copied().unwrap_or_default();
                kind != Kind::Large || written.offset >= change
            };
            written.iter().filter(|written| !written.is_late).filter(is_new).count()
        };
        check_is_killed(&payments).await?;
        are_checked(&payments, compared).await?;
        let checks = checks(&payments, Kind::Large).await?;
        for (partition, change) in changes.iter().map(|((_, partition), change)| (*partition, *change)) {
            let stretches = checks.iter().filter_map(|check| check["not_compared"].as_array()).flatten();
            let left_out: i64 = stretches
                .filter(|stretch| stretch["partition"] == partition && stretch["reason"] == "other_definition")
                .filter_map(|stretch| Some(stretch["to"].as_i64()? - stretch["from"].as_i64()?))
                .sum();
            ensure!(left_out == change, "{left_out} offsets of {change} in partition {partition}: {checks:?}");
        }
        Ok(())
    });
}

/// An output is forged, and then some are removed: a check names them.
#[test]
fn streams_differences_found() {
    busy_scenario("streams_differences_found", async |scenario| {
        let Some(mut payments) = start(scenario).await? else { return Ok(()) };
        let (brokers, spent) = (payments.stage.brokers.clone(), payments.stream(Kind::Spent));
        payments.send(SOME)?;
        payments.are_written().await?;
        let written = spent.read(&brokers)?;
        let real = written.iter().filter(|written| !written.is_late).max_by_key(|written| written.offset);
        let forged = forge(&brokers, &spent.topic, real.context("nothing is written")?)?;
        let row = row_with(&payments, "extra").await?;
        let first = json!([{"id": forged, "kind": "extra"}]);
        ensure!(row["first"] == first && row["extra"] == 1, "{forged} was forged: {row}");
        ensure!(row["missing"] == 0 && row["different"] == 0, "nothing else is wrong: {row}");

        // All of it is archived by now.
        payments.stage.deployment.kill(Layer::Archive);
        let end = end_offsets(&brokers, &spent.topic)?[0];
        payments.send(SOME)?;
        let expected = payments.expected(Kind::Spent)?;
        let mut removed = wait_for("the windows to be written", DEADLINE, async || {
            let mut written = spent.read(&brokers)?;
            written.retain(|written| written.n < FORGED);
            Ok(match spent.is_exactly(&written, &expected) {
                Ok(()) => Progress::Done(written),
                Err(differs) => Progress::NotYet(format!("{differs:#}")),
            })
        })
        .await?;
        removed.retain(|written| !written.is_late && written.found.partition == 0 && written.found.offset >= end);
        removed.sort_by_key(|written| (written.offset, written.n));
        let below = end_offsets(&brokers, &spent.topic)?[0];
        delete_records(&brokers, &spent.topic, &BTreeMap::from([(0, below)])).await?;
        payments.stage.deployment.start(Layer::Archive).await?;
        payments.are_archived().await?;
        let row = row_with(&payments, "missing").await?;
        let first = row["first"].as_array().context("no first ones")?;
        ensure!(!removed.is_empty() && row["missing"] == removed.len(), "{} are removed: {row}", removed.len());
        for (difference, removed) in first.iter().zip(&removed) {
            let id = removed.json()?["output_id"].clone();
            ensure!(difference["id"] == id && difference["kind"] == "missing", "{id} is removed: {row}");
        }
        ensure!(first.len() == removed.len().min(10), "{row}");
        Ok(())
    });
}

async fn start(scenario: &e2e_tests::Scenario) -> Result<Option<Payments>> {
    let setup = Payments::setup(scenario, PARTITIONS).running(&stage::LAYERS);
    let stage = setup.start_on_real_kafka().await?;
    stage.map(|stage| Payments::of(stage, PARTITIONS, Mix::Usual)).transpose()
}

/// How many outputs there are: late events are not archived.
pub(super) fn outputs(_: Kind, written: &[Written]) -> usize {
    written.iter().filter(|written| !written.is_late).count()
}

/// Reconciles until as many outputs of each stream were compared as `expected` says of those that are written. None is wrong, and none
/// was compared twice.
pub(super) async fn are_checked(payments: &Payments, expected: impl Fn(Kind, &[Written]) -> usize) -> Result<()> {
    wait_for("every output to be checked", DEADLINE, async || {
        payments.stage.deployment.reconcile().await?;
        for kind in Kind::ALL {
            let expected = expected(kind, &payments.stream(kind).read(&payments.stage.brokers)?);
            let (checks, mut compared) = (checks(payments, kind).await?, 0);
            for check in &checks {
                let is_right = ["missing", "extra", "different"].iter().all(|count| check[*count] == 0);
                ensure!(is_right, "{kind:?} differs: {check}");
                compared += check["outputs"].as_u64().with_context(|| check.to_string())?;
            }
            if compared != expected as u64 {
                return Ok(Progress::NotYet(format!("{compared} of {expected} of {kind:?}: {checks:?}")));
            }
        }
        Ok(Progress::Done(()))
    })
    .await
}

/// What the checks of a stream have found, the newest first.
async fn checks(payments: &Payments, kind: Kind) -> Result<Vec<Value>> {
    let parameters = [("stream", kind.name().to_owned()), ("limit", "1000".to_owned())];
    let (status, body) = payments.stage.client()?.get("/v1/reconciliations", &parameters).await?;
    ensure!(status == 200, "{status}: {body}");
    let rows = body["reconciliations"].as_array().with_context(|| body.to_string())?;
    Ok(rows.iter().map(|row| row["stream_check"].clone()).collect())
}

/// Reconciles until a check has found differences of that kind among the windows of [`Kind::Spent`].
async fn row_with(payments: &Payments, kind: &str) -> Result<Value> {
    wait_for(&format!("{kind} outputs to be found"), DEADLINE, async || {
        payments.stage.deployment.reconcile().await?;
        let checks = checks(payments, Kind::Spent).await?;
        Ok(match checks.iter().find(|check| check[kind].as_u64() > Some(0)) {
            Some(check) => Progress::Done(check.clone()),
            None => Progress::NotYet(format!("{checks:?}")),
        })
    })
    .await
}

/// Kills a reconcile that has compared everything of a source's streams, and has not noted that.
async fn check_is_killed(payments: &Payments) -> Result<()> {
    let reconcile = payments.stage.deployment.launch_reconcile(&format!("{BEFORE_CHECKED}=return(60000)"))?;
    reconcile.line_with(&format!("failpoint {BEFORE_CHECKED}"), DEADLINE).await?;
    reconcile.kill();
    Ok(())
}

/// Writes an output that was not decided, beside a real one. Returns its id.
fn forge(brokers: &str, topic: &str, real: &Written) -> Result<String> {
    let Found { partition, key, headers, .. } = &real.found;
    let position = format!("{}/{}/{}/{}", real.log, real.partition, real.offset, real.n + FORGED);
    let id = format!("{}/v1/{position}", Kind::Spent.name());
    let mut output = real.json()?;
    output["output_id"] = Value::from(id.clone());
    let (key, payload) = (key.clone().unwrap_or_default(), output.to_string());
    let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
        let value = if name == "braid-position" { position.as_bytes() } else { value.as_slice() };
        headers.insert(Header { key: name, value: Some(value) })
    });
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let record = BaseRecord::to(topic).partition(*partition).key(&key).payload(&payload).headers(headers);
    producer.send(record).map_err(|(error, _)| error)?;
    block_in_place(|| producer.flush(WITHIN))?;
    Ok(id)
}
