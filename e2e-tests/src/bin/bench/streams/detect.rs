//! `streams_detect_per_second`: the three rules over 100,000 users, of each of whom 100 payments are remembered. Before that,
//! `streams_detect_filling_per_second`: until so much is remembered, and what a remembered payment takes of memory. Then
//! `streams_recovery_after_kill9` with all that under load, and `streams_warmed_without_a_snapshot`: until an alert of every lane can be
//! read that was caused after the kill. At the end each of these alerts was written once.

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
/// How long these take: as long as the history is, so that from then on each user has so many in it.
const SPAN_US: i64 = 3_600_000_000;
/// Of so many more the rate is measured.
const MORE: u64 = EVENTS / 5;
/// What lanes may remember: all that, and the payments of the load, of which each is another user's.
const STATE: &str = "4GiB";
const KILLS: usize = 3;
/// How long the load runs before a kill, so that there is a snapshot of it.
const WARM_UP: Duration = Duration::from_secs(20);
/// The most that a recovery may take, in seconds. We aim at 3.
const FLOOR_S: f64 = 8.0;

pub(super) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    // As in `recovery`, a worker that is started again takes its partitions back at once.
    let setup = Stage::of(scenario).as_users_get_it().catalog(catalog);
    let setup = setup.set("kafka.client.group_instance_id", "worker-1").set("streams.progress_every", "200ms");
    let setup = setup.set("streams.state", STATE);
    let stage = setup.running(&[Layer::Archive, Layer::Speed]).start().await?;
    archive_begins(&stage, SOURCE).await?;
    let deployment = &stage.deployment;
    let empty_mib = resident_mib(deployment.process(Layer::Speed)?.id())?;
    deployment.kill(Layer::Speed);
    deployment.kill(Layer::Archive);
    let (begin_us, mut sent) = (now_us() - SPAN_US - SPAN_US / 5, 0_u64);
    let mut next = || {
        let at_us = begin_us + (u128::from(sent) * SPAN_US as u128 / u128::from(EVENTS)) as i64;
        let user = format!("user-{}", sent % USERS);
        sent += 1;
        payment(&format!("t{sent:x}"), &user, at_us / 1_000, sent % 2_000)
    };
    fill(&stage, &mut next, EVENTS)?;
    let ends = end_offsets(&stage.brokers, &stage.topic)?;
    let bare = bare_consumer(&stage.brokers, &stage.topic, &ends)?;

    let filled: i64 = ends.iter().sum();
    let mut published = Published::new(&stage, SOURCE)?;
    let (worker, began) = (deployment.launch(Layer::Speed, "")?, Instant::now());
    published.reach(filled)?;
    let rate = EVENTS as f64 / began.elapsed().as_secs_f64();
    let bytes = (resident_mib(worker.id())? - empty_mib) * 1024.0 * 1024.0 / EVENTS as f64;
    figures.beside("streams_detect_filling_per_second", rate, "events/s", bare);
    figures.add("streams_bytes_per_remembered_event", bytes, "bytes");

    // Nothing reads while there is more to come: otherwise the producer would be measured.
    deployment.kill(Layer::Speed);
    fill(&stage, next, MORE)?;
    let end: i64 = end_offsets(&stage.brokers, &stage.topic)?.iter().sum();
    let worker = deployment.launch(Layer::Speed, "")?;
    published.reach(filled + 1)?;
    let (from, before, began) = (published.sum(), Usage::of(worker.id())?, Instant::now());
    published.reach(end)?;
    let (events, seconds) = ((end - from) as f64, began.elapsed().as_secs_f64());
    let cpu_seconds = Usage::of(worker.id())?.cpu_seconds - before.cpu_seconds;
    figures.beside("streams_detect_per_second", events / seconds, "events/s", bare);
    figures.add("streams_detect_cpu_per_event", cpu_seconds * 1e6 / events, "µs");

    let partitions = i32::try_from(ends.len())?;
    let flow = load(&stage)?;
    let mut probes = Probes::new(&stage)?;
    let mut slowest: f64 = 0.0;
    for _ in 0..KILLS {
        tokio::time::sleep(WARM_UP).await;
        slowest = slowest.max(alerts_again(&stage, &mut probes, partitions, || Ok(())).await?);
    }
    let warmed = alerts_again(&stage, &mut probes, partitions, || {
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
    // Behind these there is nothing more of the alerts before.
    probes.everywhere(partitions)?;
    probes.were_each_alerted_once()?;
    figures.beside("streams_recovery_after_kill9", slowest, "s", FLOOR_S);
    figures.add("streams_warmed_without_a_snapshot", warmed, "s");
    figures.beside("streams_recovery_load", load, "events/s", RATE as f64);
    Ok(())
}

/// Kills the worker, starts it again after `meanwhile`, and returns how many seconds after the kill an alert of each partition can be read
/// that was caused after it.
async fn alerts_again(
    stage: &Stage,
    probes: &mut Probes,
    partitions: i32,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<f64> {
    // That everything is at work.
    probes.everywhere(partitions)?;
    let killed = Instant::now();
    stage.deployment.kill(Layer::Speed);
    let sent: Vec<(String, Instant)> =
        (0..partitions).map(|partition| probes.send(Some(partition))).collect::<Result<_>>()?;
    meanwhile()?;
    let worker = stage.deployment.launch(Layer::Speed, "")?;
    worker.line("ready", DEADLINE).await?;
    let mut last = killed;
    for (user, _) in &sent {
        last = last.max(probes.alert(user)?);
    }
    Ok(last.duration_since(killed).as_secs_f64())
}
