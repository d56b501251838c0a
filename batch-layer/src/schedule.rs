//! Jobs by cron: each has a schedule of its own, never runs twice at once, and makes up once for all ticks that it missed.
//!
//! - `job`: which jobs there are, and what each does;
//! - `agenda`: which of them to start now;
//! - `wanted`: tables that do not wait for their tick.

mod agenda;
mod job;
mod wanted;

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::settings::Size;
use platform::shutdown::{DeadlineExceeded, Shutdown, run_until};
use platform::task::joined;
use platform::telemetry::error_text;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::agenda::{Agenda, Entry, Start};
pub use self::job::{Done, Job};
use crate::reconcile::Reconciler;
use crate::report::Reporter;

/// The longest sleep, so that it is noticed when the clock is set.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Why the schedule ended before a stop was requested, or not in time after one.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// A cron expression names no moment in the future.
    #[error("the schedule of the {job} has no more ticks")]
    NoMoreTicks {
        /// The job.
        job: Job,
    },
    /// The jobs under way did not end in time.
    #[error(transparent)]
    NotStopped(#[from] DeadlineExceeded),
}

/// Runs every job of the catalog at the ticks of its cron expression until the shutdown is requested. One run makes up for all
/// ticks that passed while the one before ran, or while no process did. Jobs do not wait for each other, as long as no more
/// than the setting `reconcile.parallel` are due at once. Between ticks, rebuilds are continued, and tables are materialised that rows in
/// Redis wait for.
///
/// # Errors
/// [`ScheduleError`]. A job that fails is logged, and tried again at its next tick.
pub async fn run(reconciler: &Reconciler, shutdown: Shutdown) -> Result<(), ScheduleError> {
    // A store that is away is asked for a long time.
    let gathered = tokio::select! {
        biased;
        () = shutdown.requested() => return Ok(()),
        // A process before this one may have left a rebuild.
        gathered = Crew::gather(reconciler, true) => gathered,
    };
    let mut crew = gathered?;
    let mut running = JoinSet::new();
    let (names, mut wanted) = mpsc::channel(1);
    // Ends with this function.
    let mut watching = JoinSet::new();
    watching.spawn(wanted::watch(reconciler.clone(), names));
    while !shutdown.is_requested() {
        let now = now();
        while let Some(start) = crew.agenda.start(now) {
            crew.start(&start, now, shutdown.token(), &mut running);
        }
        let sleep = crew.agenda.wake(now).map_or(SLEEP_MAX, |wake| between(now, wake).min(SLEEP_MAX));
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            Some(ended) = running.join_next() => crew.ended(joined(ended)),
            Some(table) = wanted.recv() => crew.ask_for(&table),
            () = tokio::time::sleep(sleep) => {}
        }
    }
    let names = crew.running();
    let last = async {
        while let Some(ended) = running.join_next().await {
            crew.ended(joined(ended));
        }
    };
    Ok(run_until(&shutdown, &names, reconciler.settings.shutdown.get(), last).await?)
}

/// Runs the jobs that are due now, each to its end, and passes what each did to `report`. From the shutdown on, no job is started.
///
/// # Errors
/// [`ScheduleError`]. A job that fails is logged and reported.
pub async fn run_due(
    reconciler: &Reconciler,
    shutdown: &Shutdown,
    mut report: impl FnMut(&Done),
) -> Result<(), ScheduleError> {
    let gathered = tokio::select! {
        biased;
        () = shutdown.requested() => return Ok(()),
        gathered = Crew::gather(reconciler, false) => gathered,
    };
    let mut crew = gathered?;
    let mut running = JoinSet::new();
    // One moment for all of them: what comes due meanwhile is left to the next call.
    let now = now();
    let all = async {
        loop {
            while !shutdown.is_requested()
                && let Some(start) = crew.agenda.start(now)
            {
                crew.finish(&start, shutdown.token(), &mut running);
            }
            let Some(ended) = running.join_next().await else { return };
            let Ended { job, done, .. } = joined(ended);
            report(&done);
            crew.ended(Ended { job, done, is_left: false });
        }
    };
    Ok(run_until(shutdown, "jobs", reconciler.settings.shutdown.get(), all).await?)
}

/// The jobs of a process.
struct Crew {
    jobs: Vec<Job>,
    agenda: Agenda,
    /// With the memory that one job may use.
    reconciler: Reconciler,
    /// The same for reports. It knows how far those have come that wait.
    reporter: Reporter,
}

/// A job that has ended.
struct Ended {
    /// Its number.
    job: usize,
    done: Done,
    /// Whether it left something that need not wait for the next tick.
    is_left: bool,
}

impl Crew {
    /// Finds out when each job last ran. `is_left`: whether that run may have left something that need not wait for a tick.
    async fn gather(reconciler: &Reconciler, is_left: bool) -> Result<Crew, ScheduleError> {
        let catalog = &reconciler.catalog;
        let (jobs, mut entries) = (Job::all(catalog), Vec::new());
        for job in &jobs {
            let (cron, zone) = (job.cron(catalog), job.time_zone(catalog));
            if cron.next(now(), zone).is_none() {
                return Err(ScheduleError::NoMoreTicks { job: job.clone() });
            }
            info!(%job, %cron, %zone, "scheduled");
            // A table that cannot be read stops its own job alone, which will say so.
            let last = job.last_run(reconciler).await.unwrap_or_else(|error| {
                warn!(%job, error = error_text(&error), "cannot tell when it last ran; starting it at once");
                None
            });
            entries.push(Entry::new(cron.clone(), zone, last, is_left));
        }
        let at_once = reconciler.settings.parallel.min(jobs.len()).max(1);
        let mut reconciler = reconciler.clone();
        reconciler.settings.memory = share(reconciler.settings.memory, at_once);
        let reporter = Reporter::of(&reconciler);
        Ok(Crew { jobs, agenda: Agenda::new(entries, at_once), reconciler, reporter })
    }

    /// Starts a job. In a task of its own, so that nothing that holds it up holds up the deadline of a stop.
    fn start(&self, start: &Start, now: DateTime<Utc>, stop: CancellationToken, running: &mut JoinSet<Ended>) {
        let (number, part) = (start.job, start.part);
        let (job, reconciler, reporter) = self.job(number);
        let longest = reconciler.settings.rebuild_step.get();
        let step = start.until.map_or(longest, |until| between(now, until).min(longest));
        running.spawn(async move {
            let (done, is_left) = job.run(part, step, (&reconciler, &reporter), &stop).await;
            Ended { job: number, done, is_left }
        });
    }

    /// Starts a job that leaves nothing.
    fn finish(&self, start: &Start, stop: CancellationToken, running: &mut JoinSet<Ended>) {
        let number = start.job;
        let (job, reconciler, reporter) = self.job(number);
        running.spawn(async move {
            let done = job.run_to_the_end((&reconciler, &reporter), &stop).await;
            Ended { job: number, done, is_left: false }
        });
    }

    /// A job, and what does it.
    fn job(&self, number: usize) -> (Job, Reconciler, Reporter) {
        (self.jobs[number].clone(), self.reconciler.clone(), self.reporter.clone())
    }

    /// Has a table materialised at once.
    fn ask_for(&mut self, table: &str) {
        let is_its = |job: &Job| matches!(job, Job::Reconcile { source } if source == table);
        if let Some(job) = self.jobs.iter().position(is_its) {
            self.agenda.ask_for(job);
        }
    }

    /// The names of the jobs that run.
    fn running(&self) -> String {
        self.agenda.running().map(|job| self.jobs[job].to_string()).collect::<Vec<_>>().join(", ")
    }

    fn ended(&mut self, ended: Ended) {
        let Ended { job, done, is_left } = ended;
        done.log_failures(&self.jobs[job]);
        self.agenda.ended(job, is_left);
    }
}

/// What each of that many jobs may use of the memory.
fn share(memory: Size, jobs: usize) -> Size {
    Size::from_bytes((memory.bytes() / jobs as u64).max(1))
}

/// How long it is from one moment to a later one; nothing if it is not later.
fn between(now: DateTime<Utc>, then: DateTime<Utc>) -> Duration {
    (then - now).to_std().unwrap_or_default()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(platform::clock::now_us()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_at_a_time_share_the_memory() {
        assert_eq!(share(Size::from_mib(512), 1), Size::from_mib(512));
        assert_eq!(share(Size::from_mib(512), 2), Size::from_mib(256));
        assert_eq!(share(Size::from_bytes(1), 4), Size::from_bytes(1), "never none");
    }

    #[test]
    fn a_moment_that_has_passed_is_no_time_away() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        assert_eq!(between(now, now + chrono::TimeDelta::seconds(2)), Duration::from_secs(2));
        assert_eq!(between(now, now - chrono::TimeDelta::seconds(2)), Duration::ZERO);
    }
}
