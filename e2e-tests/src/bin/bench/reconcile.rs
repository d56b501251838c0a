//! What a reconcile costs: `reconcile_full_…` counts millions of events of eight days at once, `reconcile_today_…` adds one per cent
//! that happened today, and `reconcile_late_…` one per cent of which some are late by up to 60 days. Of the new records, 3 % are
//! copies, a tenth of these of events that were counted before.
//!
//! No Kafka takes part: the archive is written as the archiver writes it. The reconciles are processes of their own, whose starts
//! are part of their times. `BENCH_RECONCILE_EVENTS=20000000` measures with more events.
//!
//! - `archived`: an archive of made-up events.

pub(crate) mod archived;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::Deployment;
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::views::{CatalogOptions, catalog};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use test_kit::{Durability, Redis};

use self::archived::{Archived, Event};
use crate::figures::Figures;
use crate::usage::Usage;

const EVENTS: usize = 5_000_000;
const DAY_US: i64 = 86_400_000_000;
/// Over how many days the events lie that are counted first.
const DAYS: i64 = 8;
const LATE_DAYS: i64 = 60;
/// One of so many of the first events is remembered, to be copied later.
const REMEMBERED: usize = 500;
/// How large a commit of the archiver is.
const COMMIT: usize = 200_000;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let events = match std::env::var("BENCH_RECONCILE_EVENTS") {
        Ok(count) => count.parse().context("BENCH_RECONCILE_EVENTS is a number")?,
        Err(_) => EVENTS,
    };
    for (name, days, late) in [("today", DAYS, 0.0), ("late", LATE_DAYS, 0.02)] {
        let mut world = World::new(scenario, name, days).await?;
        world.archive_history(events).await?;
        let full = world.reconcile().await?;
        if name == "today" {
            figures.add("reconcile_full_rows_per_second", events as f64 / full.seconds, "rows/s");
            figures.add("reconcile_full_peak_memory", full.peak_mib, "MiB");
        }
        let new = events / 100;
        world.archive_new(new, late).await?;
        let added = world.reconcile().await?;
        figures.beside(format!("reconcile_{name}_seconds"), added.seconds, "s", full.seconds);
        figures.add(format!("reconcile_{name}_rows_read_per_new_row"), added.rows_read / new as f64, "rows");
        figures.add(format!("reconcile_{name}_peak_memory"), added.peak_mib, "MiB");
    }
    Ok(())
}

/// What one reconcile took.
struct Took {
    seconds: f64,
    peak_mib: f64,
    rows_read: f64,
}

/// A deployment of which only reconciles run.
struct World {
    deployment: Deployment,
    archived: Archived,
    rng: StdRng,
    /// When the newest event of the history happened.
    now_us: i64,
    days: i64,
    /// Events that may be copied.
    remembered: Vec<Event>,
    ids: u64,
    _redis: Redis,
}

impl World {
    async fn new(scenario: &Scenario, name: &str, days: i64) -> Result<World> {
        let folder = scenario.dir().join(format!("reconcile-{name}"));
        let redis = Redis::start_in(&folder.join("redis"), Durability::None).await?;
        let text = catalog(&CatalogOptions::of(&scenario.unique_name()));
        // Reconciles ask no broker.
        let deployment = Deployment::new(&folder.join("braid"), &text, "127.0.0.1:9", &redis.url())?;
        let archived = Archived::create(&folder.join("braid/store"), &text).await?;
        let (rng, remembered) = (StdRng::seed_from_u64(19), Vec::new());
        Ok(World { deployment, archived, rng, now_us: now_us(), days, remembered, ids: 0, _redis: redis })
    }

    /// Archives so many events of past days, in the order of their times; a compaction has merged each day's.
    async fn archive_history(&mut self, count: usize) -> Result<()> {
        let per_day = count / usize::try_from(self.days)?;
        for day in (0..self.days).rev() {
            let mut events: Vec<Event> = (0..per_day)
                .map(|n| {
                    let since = DAY_US / per_day as i64 * n as i64;
                    self.event(self.now_us - (day + 1) * DAY_US + since)
                })
                .collect();
            self.remembered.extend(events.iter().step_by(REMEMBERED).cloned());
            while !events.is_empty() {
                let rest = events.split_off(events.len().min(5 * COMMIT));
                self.archived.commit(&events).await?;
                events = rest;
            }
        }
        Ok(())
    }

    /// Archives so many new events, of which that share is late.
    async fn archive_new(&mut self, count: usize, late: f64) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(count);
        while events.len() < count {
            let ago_us = match self.rng.random_bool(late) {
                true => self.rng.random_range(0..self.days * DAY_US),
                false => self.rng.random_range(0..DAY_US / 24),
            };
            let copied = match (self.rng.random_bool(0.03), self.rng.random_bool(0.1)) {
                (false, _) => None,
                (true, true) => self.remembered.choose(&mut self.rng).cloned(),
                (true, false) => events.choose(&mut self.rng).cloned(),
            };
            let event = copied.unwrap_or_else(|| self.event(self.now_us - ago_us));
            events.push(event);
        }
        for commit in events.chunks(COMMIT) {
            self.archived.commit(commit).await?;
        }
        Ok(())
    }

    fn event(&mut self, at_us: i64) -> Event {
        self.ids += 1;
        // The smaller the number, the more often it comes.
        let video = (self.rng.random::<f64>().powi(3) * 100_000.0) as u32;
        Event { id: self.ids, at_us, video }
    }

    /// Runs a reconcile to its end.
    async fn reconcile(&self) -> Result<Took> {
        let began = Instant::now();
        let process = self.deployment.launch_reconcile("")?;
        let mut peak_mib: f64 = 0.0;
        let status = loop {
            // What has ended has no memory any more.
            if let Ok(usage) = Usage::of(process.id()) {
                peak_mib = peak_mib.max(usage.peak_mib);
            }
            if let Some(status) = process.ended()? {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let (seconds, output) = (began.elapsed().as_secs_f64(), process.output()?);
        ensure!(status.success(), "the reconcile ended with {status}: {output}");
        let words: Vec<&str> = output.split_whitespace().collect();
        let read = words.windows(4).find(|words| words[1..] == ["archive", "rows", "read,"]);
        let rows_read = read.context("the reconcile does not say how many rows it has read")?[0].parse()?;
        Ok(Took { seconds, peak_mib, rows_read })
    }
}
