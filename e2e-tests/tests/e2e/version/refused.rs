//! What cannot be replayed, or cannot be a version, is refused before anything is written, with the way out: a log that has lost its begin, a
//! Redis without room, and another type where the archive has no bytes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::kafka::{delete_records, end_offsets};
use e2e_tests::versions::{Step, Versions, corrected, keys};
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::{Stage, Traffic, scenario};

use super::setup;

const SOME: usize = 600;
const REPLAY: Step<'_> = Step::Replay { version: "v2", from: "log" };
/// What Redis may take beyond what it takes: less than a replay of so many views needs.
const ROOM: u64 = 16 * 1024;

/// The log has been cut off, and the archive holds everything.
#[test]
fn version_replay_of_a_short_log() {
    scenario("version_replay_of_a_short_log", async |scenario| {
        let Some(stage) = setup(scenario).partitions(2).start_on_real_kafka().await? else { return Ok(()) };
        // A worker knows a copy by what the log still holds, so one of a record that is cut off would count until a reconcile.
        let mut traffic = Traffic::new(stage.producer()?, stage.views(50, Mix::NO_COPIES));
        let arrived = traffic.send(SOME)?;
        stage.total_as_of(arrived).await?;
        stage.archived().await?;
        let ends = end_offsets(&stage.brokers, &stage.topic)?;
        delete_records(&stage.brokers, &stage.topic, &BTreeMap::from([(0, ends[0] / 2)])).await?;
        create(&stage).await?;
        let said = is_refused(&stage, REPLAY).await?;
        for part in ["partition 0", "--from archive"] {
            ensure!(said.contains(part), "{part:?} is missing in {said}");
        }
        // The way out that it names.
        let versions = Versions::of(&stage.deployment);
        versions.take(Step::Replay { version: "v2", from: "archive" }).await?;
        is_exact(&stage, &mut traffic).await?;
        versions.take(Step::Verify("v2")).await.map(drop)
    });
}

/// Redis has room for what it holds, and not for the same again.
#[test]
fn version_replay_into_a_small_redis() {
    scenario("version_replay_into_a_small_redis", async |scenario| {
        let Some(stage) = setup(scenario).start_on_real_kafka().await? else { return Ok(()) };
        let mut traffic = Traffic::new(stage.producer()?, stage.views(400, Mix::USUAL));
        let arrived = traffic.send(5 * SOME)?;
        stage.total_as_of(arrived).await?;
        stage.archived().await?;
        // The size of the old version's views is what a replay's room is reckoned from.
        stage.deployment.reconcile().await?;
        create(&stage).await?;
        let limit = memory(&stage).await? + ROOM;
        stage.redis.command(&["CONFIG", "SET", "maxmemory", &limit.to_string()]).await?;
        let said = is_refused(&stage, REPLAY).await?;
        ensure!(said.contains("maxmemory"), "it does not say what to do: {said}");
        stage.redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
        Versions::of(&stage.deployment).take(REPLAY).await?;
        is_exact(&stage, &mut traffic).await
    });
}

/// Only columns were archived, so a field that is declared otherwise cannot be decoded.
#[test]
fn version_of_a_type_without_bytes() {
    scenario("version_of_a_type_without_bytes", async |scenario| {
        let without_bytes = |catalog: String| {
            catalog.replace("event_id = \"event_id\"\n", "event_id = \"event_id\"\nraw = \"rejected\"\n")
        };
        let setup = setup(scenario).catalog(|name| without_bytes(corrected(name)));
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let mut traffic = Traffic::new(stage.producer()?, stage.views(50, Mix::USUAL));
        let arrived = traffic.send(SOME)?;
        stage.total_as_of(arrived).await?;
        stage.archived().await?;
        let other = stage.catalog.replace("dwell_ms = \"int?\"", "dwell_ms = \"float?\"");
        ensure!(other != stage.catalog && stage.catalog.contains("raw ="), "the catalogs are the same");
        let said = is_refused(&stage, Step::Create { version: "v2", catalog: &other }).await?;
        for part in ["views", "bytes"] {
            ensure!(said.contains(part), "{part:?} is missing in {said}");
        }
        stage.is_exact(&traffic.oracle).await?;
        // What needs no bytes is created all the same.
        let coarser = stage.catalog.replace("grain = \"1m\"", "grain = \"5m\"");
        let versions = Versions::of(&stage.deployment);
        versions.take(Step::Create { version: "v2", catalog: &coarser }).await?;
        versions.take(REPLAY).await?;
        is_exact(&stage, &mut traffic).await
    });
}

async fn create(stage: &Stage) -> Result<()> {
    let catalog = corrected(&stage.topic);
    Versions::of(&stage.deployment).take(Step::Create { version: "v2", catalog: &catalog }).await.map(drop)
}

/// A step is refused, and nothing has been written: no pointer, no shard. Returns what was said.
async fn is_refused(stage: &Stage, step: Step<'_>) -> Result<String> {
    let versions = Versions::of(&stage.deployment);
    let before = versions.pointer()?;
    let said = versions.refused(step).await?;
    ensure!(versions.pointer()? == before, "a pointer was written: {:?}", versions.pointer()?);
    let keys = keys(&stage.redis, &format!("braid:{{{}/v2/*", stage.topic)).await?;
    ensure!(keys.is_empty(), "{} keys were written, the first is {:?}", keys.len(), keys.first());
    Ok(said)
}

/// Everything that the version answers is exact, now and after more has been sent.
async fn is_exact(stage: &Stage, traffic: &mut Traffic) -> Result<()> {
    let client = stage.client()?.of_version("v2");
    for _ in 0..2 {
        let arrived = traffic.send(SOME / 2)?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        every_answer_is_exact(&client, &traffic.oracle, stage.now_us).await?;
    }
    Ok(())
}

/// The bytes that Redis takes.
async fn memory(stage: &Stage) -> Result<u64> {
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut stage.redis.connection().await?).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.context("Redis does not say what it takes")?.trim().parse()?)
}
