//! A replay is killed again and again: before a write, after it and anywhere between. It goes on where it was, and in the end its counts are those
//! of a recount. So does a replay from the archive whose command is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::kafka::end_offsets;
use e2e_tests::versions::{Shard, Step, Versions, corrected, shards};
use e2e_tests::views::METRIC;
use e2e_tests::{Layer, Stage, Traffic, busy_scenario};
use rand::Rng;
use rand::rngs::StdRng;
use test_kit::{DEADLINE, Progress, repetitions, wait_for};

use super::{setup, views};

/// So many that the last kill still comes before the end.
const USUAL_EVENTS: usize = 30_000;
const MANY_EVENTS: usize = 120_000;
/// So few that a replay has many of them, each of which takes at least [`PAUSE`].
const MICRO_BATCH: &str = "50";
/// Where the worker pauses whenever it passes: before it writes, or after it has, and has not heard of it.
const PAUSES: [&str; 2] = ["speed::before_apply=return(150)", "speed::after_apply=return(150)"];
const LATEST_KILL_MS: u64 = 600;
/// Where the command is killed that counts the archive.
const COUNTING: [&str; 2] = ["reconcile::before_commit", "reconcile::after_commit"];

#[test]
fn version_replay_killed() {
    busy_scenario("version_replay_killed", async |scenario| {
        // A worker that is started again is known to its groups by name, so it takes its partitions back at once.
        let setup =
            setup(scenario).set("kafka.client.group_instance_id", "worker-1").set("speed.max_rows", MICRO_BATCH);
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let (versions, catalog) = (Versions::of(&stage.deployment), corrected(&stage.topic));
        let mut traffic = Traffic::new(stage.producer()?, views(&stage));
        let arrived = traffic.send(repetitions(USUAL_EVENTS, MANY_EVENTS))?;
        stage.total_as_of(arrived).await?;
        stage.archived().await?;

        versions.take(Step::Create { version: "v2", catalog: &catalog }).await?;
        stage.deployment.kill(Layer::Speed);
        // The command only watches: that it is killed changes nothing.
        versions.kill_at(Step::Replay { version: "v2", from: "log" }, "versions::after_put").await?;
        let mut rng = stage.rng();
        let mut known = BTreeMap::new();
        for kill in 0..repetitions(10, 30) {
            known = kill_within(&stage, PAUSES[kill % PAUSES.len()], &mut rng, known)
                .await
                .with_context(|| format!("kill {kill}"))?;
        }
        let ends: i64 = end_offsets(&stage.brokers, &stage.topic)?.iter().sum();
        let reached = sum(&known);
        ensure!(reached < ends, "the last kills came after the replay: {reached} of {ends}");
        stage.deployment.start(Layer::Speed).await?;
        versions.take(Step::Replay { version: "v2", from: "log" }).await?;
        goes_on(&known, &shards(&stage, "v2").await?)?;
        is_right(&stage, "v2", arrived, &traffic).await?;

        versions.take(Step::Create { version: "v3", catalog: &catalog }).await?;
        let replay = Step::Replay { version: "v3", from: "archive" };
        for fail_point in COUNTING {
            versions.kill_at(replay, fail_point).await?;
            let stage_of = versions.recorded("v3")?["stage"].clone();
            ensure!(stage_of == "counting", "it is {stage_of}");
            ensure!(shards(&stage, "v3").await?.is_empty(), "a shard was opened while the archive is counted");
        }
        versions.take(replay).await?;
        is_right(&stage, "v3", arrived, &traffic).await
    });
}

/// Starts a worker that pauses there, lets it come farther than the one before, and kills it. Returns how far the version's shards have come.
async fn kill_within(
    stage: &Stage,
    pauses: &str,
    rng: &mut StdRng,
    known: BTreeMap<String, Shard>,
) -> Result<BTreeMap<String, Shard>> {
    let worker = stage.deployment.launch(Layer::Speed, pauses)?;
    wait_for("the replay to go on", DEADLINE, async || {
        let now = shards(stage, "v2").await?;
        Ok(Progress::when(sum(&now) > sum(&known), format_args!("{now:?}, as before")))
    })
    .await?;
    // Not a wait for anything: the moment is the test.
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..LATEST_KILL_MS))).await;
    worker.kill();
    let now = shards(stage, "v2").await?;
    goes_on(&known, &now)?;
    Ok(now)
}

/// Each shard is the one that it was, and has gone back nowhere.
fn goes_on(before: &BTreeMap<String, Shard>, now: &BTreeMap<String, Shard>) -> Result<()> {
    for (key, before) in before {
        let now = now.get(key).with_context(|| format!("{key} is gone"))?;
        let is_same = now.instance == before.instance;
        ensure!(is_same && now.cursor >= before.cursor, "{key} was {before:?}, and is {now:?}");
    }
    Ok(())
}

/// Everything that a version answers is exact, and its verification finds nothing.
async fn is_right(stage: &Stage, version: &str, arrived_us: i64, traffic: &Traffic) -> Result<()> {
    let client = stage.client()?.of_version(version);
    client.total_as_of(arrived_us, METRIC, &[]).await?;
    every_answer_is_exact(&client, &traffic.oracle, stage.now_us).await.with_context(|| version.to_owned())?;
    Versions::of(&stage.deployment).take(Step::Verify(version)).await.map(drop)
}

fn sum(shards: &BTreeMap<String, Shard>) -> i64 {
    shards.values().map(|shard| shard.cursor).sum()
}
