//! `streams_detect_per_second`: the three rules over 100,000 users with 100 payments each, all of them remembered, and what a remembered
//! payment takes of memory; then `streams_recovery_after_kill9` with all that under load, and `streams_warmed_without_a_snapshot`.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e_tests::kafka::end_offsets;
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::{Layer, Stage};
use test_kit::DEADLINE;

use super::alerts::{RATE, load};
use super::archive_begins;
use super::payments::{SOURCE, catalog, payment};
use super::probes::Probes;
use super::progress::Published;
use crate::figures::Figures;
use crate::full_topic::{bare_consumer, fill};
use crate::usage::{Usage, resident_mib};

const USERS: u64 = 100_000;
const REMEMBERED: u64 = 100;
const EVENTS: u64 = USERS * REMEMBERED;
/// How long all payments take: less than the history is long.
const SPAN_US: i64 = 3_300_000_000;
const KILLS: usize = 3;
/// How long the load runs before a kill, so that there is a snapshot of it.
const WARM_UP: Duration = Duration::from_secs(20);
/// What we aim at, in seconds.
const AIM_S: f64 = 5.0;

pub(super) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    // As in `recovery`, a worker that is started again takes its partitions back at once.
    let setup = Stage::of(scenario).as_users_get_it().catalog(catalog);
    let setup = setup.set("kafka.client.group_instance_id", "worker-1").set("streams.progress_every", "200ms");
    let stage = setup.running(&[Layer::Archive, Layer::Speed]).start().await?;
    archive_begins(&stage, SOURCE).await?;
    let deployment = &stage.deployment;
    let empty_mib = resident_mib(deployment.process(Layer::Speed)?.id())?;
    deployment.kill(Layer::Speed);
    deployment.kill(Layer::Archive);
    let begin_us = now_us() - SPAN_US;
    let mut sent = 0;
    let next = || {
        let at_us = begin_us + (u128::from(sent) * SPAN_US as u128 / u128::from(EVENTS)) as i64;
        let user = format!("user-{}", sent % USERS);
        sent += 1;
        payment(&format!("t{sent:x}"), &user, at_us / 1_000, sent % 2_000)
    };
    fill(&stage, next, EVENTS)?;
    let ends = end_offsets(&stage.brokers, &stage.topic)?;
    let bare = bare_consumer(&stage.brokers, &stage.topic, &ends)?;

    let mut published = Published::new(&stage, SOURCE)?;
    let (worker, began) = (deployment.launch(Layer::Speed, "")?, Instant::now());
    published.reach(ends.iter().sum())?;
    let rate = EVENTS as f64 / began.elapsed().as_secs_f64();
    let bytes = (resident_mib(worker.id())? - empty_mib) * 1024.0 * 1024.0 / EVENTS as f64;
    let usage = Usage::of(worker.id())?;
    figures.beside("streams_detect_per_second", rate, "events/s", bare);
    figures.add("streams_detect_cpu_per_event", usage.cpu_seconds * 1e6 / EVENTS as f64, "µs");
    figures.add("streams_bytes_per_remembered_event", bytes, "bytes");

    let flow = load(&stage)?;
    let mut probes = Probes::new(&stage)?;
    let mut slowest: f64 = 0.0;
    for _ in 0..KILLS {
        tokio::time::sleep(WARM_UP).await;
        slowest = slowest.max(alerts_again(&stage, &mut probes, || Ok(())).await?);
    }
    let warmed = alerts_again(&stage, &mut probes, || {
        let lanes = deployment.store().join(format!("archive/{SOURCE}/_lanes"));
        for entry in fs::read_dir(&lanes).with_context(|| format!("{lanes:?}"))? {
            let path = entry?.path();
            if !path.ends_with("begun") {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    })
    .await?;
    let load = flow.stop()?.rate;
    figures.beside("streams_recovery_after_kill9", slowest, "s", AIM_S);
    figures.add("streams_warmed_without_a_snapshot", warmed, "s");
    figures.beside("streams_recovery_load", load, "events/s", RATE as f64);
    Ok(())
}

/// Kills the worker, starts it again after `meanwhile`, and returns how many seconds after the kill an alert can be read that was caused
/// after it.
async fn alerts_again(stage: &Stage, probes: &mut Probes, meanwhile: impl FnOnce() -> Result<()>) -> Result<f64> {
    // That everything is at work.
    let (user, _) = probes.send()?;
    probes.alert(&user)?;
    let killed = Instant::now();
    stage.deployment.kill(Layer::Speed);
    let (user, _) = probes.send()?;
    meanwhile()?;
    let worker = stage.deployment.launch(Layer::Speed, "")?;
    worker.line("ready", DEADLINE).await?;
    Ok(probes.alert(&user)?.duration_since(killed).as_secs_f64())
}
