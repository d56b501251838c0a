//! `versions_…`: how fast a version is replayed from the log and from the archive, beside the live path over the same records; what a replay does to
//! the answers of the running version; and how soon the last process answers of a version that was promoted.
//!
//! `BENCH_VERSIONS_EVENTS` says how many events are replayed; by default six million.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::end_offsets;
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::versions::{Step, Versions, corrected, mistaken, shards};
use e2e_tests::views::METRIC;
use e2e_tests::{Layer, Stage};
use test_kit::Process;

use crate::amount::amount;
use crate::figures::{Figures, share};
use crate::full_topic::fill;
use crate::load::{Events, Flow, Keys};
use crate::visible::waits_ms;

const EVENTS: u64 = 6_000_000;
const PARTITIONS: i32 = 4;
/// How long a version may take to come to the log's end.
const WITHIN: Duration = Duration::from_secs(600);
/// The load while a version is replayed, in events per second, how long it flows before anything is measured, and how many events are watched.
const RATE: u64 = 20_000;
const WARM_UP: Duration = Duration::from_secs(5);
const PROBES: usize = 100;
/// How often a version is promoted and rolled back, and the interval in which processes read the pointer, in milliseconds.
const PROMOTIONS: usize = 5;
const REFRESH_MS: f64 = 1_000.0;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let setup = Stage::of(scenario).as_users_get_it().catalog(mistaken).partitions(PARTITIONS);
    let stage = setup.start().await?;
    rates(&stage, figures).await?;
    latency(&stage, figures).await?;
    promotion(&stage, figures).await
}

/// A full topic is counted by the first version, then replayed by one from the log, and by another from the archive.
async fn rates(stage: &Stage, figures: &mut Figures) -> Result<()> {
    stage.deployment.kill(Layer::Speed);
    let mut events = Events::new(Keys::Zipf, 1);
    fill(stage, || events.next(), amount("BENCH_VERSIONS_EVENTS", EVENTS)?)?;
    stage.archived().await?;
    let began = Instant::now();
    stage.deployment.start(Layer::Speed).await?;
    let live = comes_to_the_end(stage, "v1", began).await?;
    figures.add("versions_live_events_per_second", live, "events/s");
    for (version, from) in [("v2", "log"), ("v3", "archive")] {
        let (_replay, began) = replays(stage, version, from).await?;
        let rate = comes_to_the_end(stage, version, began).await?;
        figures.beside(format!("versions_replay_from_{from}"), rate, "events/s", live);
    }
    Versions::of(&stage.deployment).take(Step::Retire("v3")).await.map(drop)
}

/// Creates a version and begins to replay it. Returns when that was, and the command, which counts the archive where it is to be read.
async fn replays(stage: &Stage, version: &str, from: &str) -> Result<(Process, Instant)> {
    let versions = Versions::of(&stage.deployment);
    versions.take(Step::Create { version, catalog: &corrected(&stage.topic) }).await?;
    let began = Instant::now();
    Ok((versions.launch(Step::Replay { version, from }, "")?, began))
}

/// Waits until the version's shards have come to where the log ends now. Returns how many records were counted a second since then.
async fn comes_to_the_end(stage: &Stage, version: &str, began: Instant) -> Result<f64> {
    let end: i64 = end_offsets(&stage.brokers, &stage.topic)?.iter().sum();
    loop {
        let reached: i64 = shards(stage, version).await?.values().map(|shard| shard.cursor).sum();
        if reached >= end {
            return Ok(end as f64 / began.elapsed().as_secs_f64());
        }
        ensure!(began.elapsed() < WITHIN, "{version} stands at {reached} of {end}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Events become visible in the running version, with no other beside it that is behind, and with one that is replayed.
async fn latency(stage: &Stage, figures: &mut Figures) -> Result<()> {
    let mut events = Events::new(Keys::Zipf, 7);
    let flow = Flow::start(stage, RATE, move || events.next())?;
    tokio::time::sleep(WARM_UP).await;
    let alone = waits_ms(stage, "alone", PROBES).await?;
    let end: i64 = end_offsets(&stage.brokers, &stage.topic)?.iter().sum();
    let (_replay, began) = replays(stage, "v4", "log").await?;
    while shards(stage, "v4").await?.is_empty() {
        ensure!(began.elapsed() < WITHIN, "the replay does not begin");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let beside = waits_ms(stage, "beside", PROBES).await?;
    let reached: i64 = shards(stage, "v4").await?.values().map(|shard| shard.cursor).sum();
    eprintln!("the replay had come to {reached} of {end} when the last event was visible");
    for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
        let figure = format!("versions_visible_ms_during_replay_{name}");
        figures.beside(figure, share(&beside, part), "ms", share(&alone, part));
    }
    let rate = comes_to_the_end(stage, "v4", began).await?;
    figures.add("versions_replay_under_load", rate, "events/s");
    figures.add("versions_load", flow.stop()?.rate, "events/s");
    Ok(())
}

/// From a promotion's moment until the last of two serving processes answers of the version.
async fn promotion(stage: &Stage, figures: &mut Figures) -> Result<()> {
    let versions = Versions::of(&stage.deployment);
    let other = stage.beside("other", &stage.catalog)?;
    other.start(Layer::Serving).await?;
    let clients = [stage.client()?, other.client()?];
    // Whether it is right, scenarios prove; a verification of so many events is not what is measured.
    let promote = Step::Force("v2", "unverified");
    let mut took_ms = Vec::new();
    for step in [promote, Step::RollBack].into_iter().cycle().take(PROMOTIONS) {
        versions.take(step).await?;
        let active = versions.active()?;
        for client in &clients {
            while client.total(METRIC, &[]).await?.version != active {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        let (_, pointer) = versions.pointer()?;
        let at_us = pointer["change"]["at_us"].as_i64().context("a pointer without a moment")?;
        took_ms.push((now_us() - at_us) as f64 / 1e3);
    }
    took_ms.sort_by(f64::total_cmp);
    figures.beside("versions_promoted_everywhere_ms", share(&took_ms, 1.0), "ms", REFRESH_MS);
    Ok(())
}
