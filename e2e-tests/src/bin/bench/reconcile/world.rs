//! A deployment of which only reconciles run, on an archive of made-up events.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::views::{CatalogOptions, METRIC, catalog};
use e2e_tests::{Deployment, S3};
use platform::settings::Settings;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use shared_logic::contracts::batch_view;
use shared_logic::time::DAY_US;
use test_kit::{Durability, Redis};

use super::archived::{Archived, Event, in_folder};
use crate::usage::Took;

/// One of so many of the first events is remembered, to be copied later.
const REMEMBERED: usize = 500;
/// How large a commit of the archiver is.
const COMMIT: usize = 200_000;
/// How many events of a day a compaction has merged into one file, and are in memory at once.
const MERGED: usize = 5 * COMMIT;

/// What one reconcile took.
pub(crate) struct Reconciled {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_mib: f64,
    pub(crate) rows_read: f64,
    pub(crate) rows_written: f64,
}

/// A deployment, its archive, and the events that come next.
pub(crate) struct World {
    pub(crate) archived: Archived,
    /// Where everything lies.
    pub(crate) folder: PathBuf,
    deployment: Deployment,
    rng: StdRng,
    /// When the newest event of the history happened.
    now_us: i64,
    days: i64,
    /// Events that may be copied.
    remembered: Vec<Event>,
    ids: u64,
    _redis: Redis,
    _s3: Option<S3>,
}

impl World {
    /// A world of that name on local disk, whose events happened in the last so many days.
    pub(crate) async fn new(scenario: &Scenario, name: &str, days: i64) -> Result<World> {
        World::lying_on(None, scenario, name, days).await
    }

    /// The same with its tables on an S3 server of its own.
    pub(crate) async fn on_s3(scenario: &Scenario, name: &str, days: i64) -> Result<World> {
        let s3 = S3::start(&scenario.dir().join(format!("{name}-s3"))).await?;
        World::lying_on(Some(s3), scenario, name, days).await
    }

    async fn lying_on(s3: Option<S3>, scenario: &Scenario, name: &str, days: i64) -> Result<World> {
        let folder = scenario.dir().join(name);
        let redis = Redis::start_in(&folder.join("redis"), Durability::None).await?;
        let text = catalog(&CatalogOptions::of(&scenario.unique_name()));
        // Reconciles ask no broker.
        let mut deployment = Deployment::new(&folder.join("braid"), &text, "127.0.0.1:9", &redis.url())?;
        let store = match &s3 {
            None => in_folder(&folder.join("braid/store")),
            Some(s3) => {
                deployment.lie_on(&s3.settings(), s3.tables());
                Settings::load(None, std::iter::empty(), &s3.settings())?.store
            }
        };
        let archived = Archived::create(&store, &text).await?;
        let (rng, remembered) = (StdRng::seed_from_u64(19), Vec::new());
        let (now_us, ids) = (now_us(), 0);
        Ok(World { archived, folder, deployment, rng, now_us, days, remembered, ids, _redis: redis, _s3: s3 })
    }

    /// Archives so many events of past days, in the order of their times; a compaction has merged each day's.
    pub(crate) async fn archive_history(&mut self, count: usize) -> Result<()> {
        self.archive_history_in_files(count, usize::MAX).await
    }

    /// The same before a compaction: in files of at most so many rows.
    pub(crate) async fn archive_history_in_files(&mut self, count: usize, rows_max: usize) -> Result<()> {
        let per_day = count / usize::try_from(self.days)?;
        for day in (0..self.days).rev() {
            self.archive_day(self.now_us - (day + 1) * DAY_US, per_day, rows_max).await?;
        }
        Ok(())
    }

    /// Archives so many events of the 24 hours from then on, in the order of their times, in files of at most so many rows.
    pub(crate) async fn archive_day(&mut self, begin_us: i64, count: usize, rows_max: usize) -> Result<()> {
        let apart_us = DAY_US / i64::try_from(count)?.max(1);
        for from in (0..count).step_by(MERGED) {
            let numbers = from..count.min(from + MERGED);
            let events: Vec<Event> = numbers.map(|n| self.event(begin_us + apart_us * n as i64)).collect();
            self.remembered.extend(events.iter().step_by(REMEMBERED).cloned());
            self.archived.commit_in_files(&events, rows_max).await?;
        }
        Ok(())
    }

    /// Archives so many new events, of which that share is late.
    pub(crate) async fn archive_new(&mut self, count: usize, late: f64) -> Result<()> {
        for commit in self.new_events(count, late).chunks(COMMIT) {
            self.archived.commit(commit).await?;
        }
        Ok(())
    }

    /// New events, of which that share is late and the others are of the last hour; 3 % are copies.
    pub(crate) fn new_events(&mut self, count: usize, late: f64) -> Vec<Event> {
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
        events
    }

    fn event(&mut self, at_us: i64) -> Event {
        self.ids += 1;
        // The smaller the number, the more often it comes.
        let video = (self.rng.random::<f64>().powi(3) * 100_000.0) as u32;
        Event { id: self.ids, at_us, video }
    }

    /// Bytes of all Parquet files of the view, and of all files of the index of identities. Those that are superseded are not left out.
    pub(crate) fn bytes(&self) -> Result<(u64, u64)> {
        let store = self.deployment.store();
        let view = bytes_below(&store.join(batch_view::path("v1", METRIC)), &|path| {
            path.extension().is_some_and(|end| end == "parquet")
        })?;
        let runs = bytes_below(&store, &|path| path.extension().is_some_and(|end| end == "run"))?;
        Ok((view, runs))
    }

    /// The deployment, so that processes which start from now on get other settings.
    pub(crate) fn deployment(&mut self) -> &mut Deployment {
        &mut self.deployment
    }

    /// Counts the view anew, and returns how many seconds that took.
    pub(crate) async fn rebuild(&self) -> Result<f64> {
        Ok(Took::by(|| self.deployment.batch(&["rebuild", METRIC])).await?.seconds)
    }

    /// Runs a reconcile to its end.
    pub(crate) async fn reconcile(&self) -> Result<Reconciled> {
        let Took { seconds, cpu_seconds, peak_mib, output } = Took::by(|| self.deployment.launch_reconcile("")).await?;
        let words: Vec<&str> = output.split_whitespace().collect();
        let number = |of: [&str; 3]| -> Result<f64> {
            let found = words.windows(4).find(|words| words[1..] == of);
            Ok(found.with_context(|| format!("the reconcile does not say how many {of:?}"))?[0].parse()?)
        };
        let (rows_read, rows_written) = (number(["archive", "rows", "read,"])?, number(["rows", "written", "in"])?);
        Ok(Reconciled { seconds, cpu_seconds, peak_mib, rows_read, rows_written })
    }
}

/// Bytes of the files below a folder that are counted.
fn bytes_below(folder: &Path, is_counted: &dyn Fn(&Path) -> bool) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            bytes += bytes_below(&path, is_counted)?;
        } else if is_counted(&path) {
            bytes += fs::metadata(&path)?.len();
        }
    }
    Ok(bytes)
}
