//! A topic is deleted and created again under load.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::{create_topic, delete_topic, read_all};
use e2e_tests::scenario::now_us;
use e2e_tests::views::{METRIC, Mix, Sent};
use e2e_tests::{Answer, Archive, Load, Oracle, Producer, Stage, scenario};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

const PARTITIONS: i32 = 4;
const SOME: usize = 1_000;

#[test]
fn topic_created_again() {
    scenario("topic_created_again", async |scenario| {
        let setup = Stage::of(scenario).partitions(PARTITIONS);
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let producer = Producer::giving_up(&stage.brokers, &stage.topic)?;
        let load = Load::to_a_vanishing_topic(producer, stage.views(50, Mix::NO_COPIES));
        let arrived = load.arrive(SOME).await?;
        stage.total_as_of(arrived).await?;
        stage.deployment.reconcile().await?;
        let archived = stage.total_as_of(arrived).await?;
        load.arrive(SOME).await?;
        let old_log = stage.status().await?["log"].clone();

        delete_topic(&stage.brokers, &stage.topic).await?;
        create_topic(&stage.brokers, &stage.topic, PARTITIONS, &[]).await?;
        wait_for("the old log to be closed", DEADLINE, async || {
            let closed = is_closed(&stage, &load, &archived, &old_log).await?;
            Ok(Progress::when(closed, "it is open"))
        })
        .await?;
        load.arrive(SOME).await?;
        is_closed(&stage, &load, &archived, &old_log).await?;
        let stopped = load.stop().await?;

        // The reconcile learns from the shards what speed had counted. Of that, what was not archived before the topic was
        // deleted is reported as lost.
        stage.deployment.reconcile().await?;
        // By its old name, which says where the command is now.
        let list = stage.deployment.batch(&["lost", "list"])?;
        list.success(DEADLINE).await?;
        ensure!(list.output()?.contains("is now `braid lost`"), "the old name gives no hint");
        if list.output()?.contains(" open") {
            stage.client()?.total_with_gap(METRIC, "lost").await?;
            stage.deployment.accept_losses().await?;
        }
        // The new log is counted at once.
        stage.total_as_of(now_us()).await?;
        let oracle = what_is_left(&stage, &stopped.sent, &old_log)?;
        stage.is_exact(&oracle).await?;
        // Once more, now that nothing of the old log is left outside the batch view.
        stage.reconciled_is(&oracle).await?;
        stage.is_exact(&oracle).await
    });
}

/// Whether the old log is closed. Whatever is lost with the topic, what was archived stays, and nothing is counted that was
/// not sent.
async fn is_closed(stage: &Stage, load: &Load, archived: &Answer, old_log: &Value) -> Result<bool> {
    let answer = stage.client()?.total(METRIC, &[]).await?;
    let (sent, least) = (load.sent(), archived.int("views")?);
    ensure!(answer.int("views")? <= sent.views, "more than {sent:?}: {answer:?}");
    ensure!(!answer.complete || answer.int("views")? >= least, "less than {least}: {answer:?}");
    let status = stage.status().await?;
    let logs = status["logs"].as_array().context("no logs")?;
    Ok(logs.len() == 2 && logs.iter().any(|log| log["log"] == *old_log && log["closed"] == true))
}

/// Counts what is archived of the old log and what the new one holds.
fn what_is_left(stage: &Stage, sent: &[Sent], old_log: &Value) -> Result<Oracle> {
    let by_id: HashMap<&str, &Sent> =
        sent.iter().filter_map(|sent| Some((sent.event.as_ref()?.id.as_str(), sent))).collect();
    let by_payload: HashMap<&[u8], &Sent> = sent.iter().map(|sent| (sent.record.payload.as_slice(), sent)).collect();
    let old = archived_ids(stage, old_log)?;
    let new = read_all(&stage.brokers, &stage.topic)?;
    ensure!(!old.is_empty() && !new.is_empty(), "{} events of the old log, {} of the new", old.len(), new.len());
    let mut oracle = Oracle::default();
    for id in &old {
        oracle.observe([*by_id.get(id.as_str()).with_context(|| format!("{id} was never sent"))?]);
    }
    for found in &new {
        oracle.observe([*by_payload.get(found.payload.as_slice()).context("a record that was never sent")?]);
    }
    Ok(oracle)
}

/// The ids of the events of one log that the archive holds.
fn archived_ids(stage: &Stage, log: &Value) -> Result<Vec<String>> {
    let rows = Archive::rows(&stage.deployment.store(), METRIC, &["_log", "_error", "event_id"])?;
    let (logs, errors, ids) =
        (rows.column("_log")?.str()?, rows.column("_error")?.str()?, rows.column("event_id")?.str()?);
    let of_the_log = (0..rows.height()).filter(|row| logs.get(*row) == log.as_str() && errors.get(*row).is_none());
    of_the_log.map(|row| Ok(ids.get(row).context("an event without an id")?.to_owned())).collect()
}
