//! Jobs by cron: each has a schedule of its own, never runs twice at once, and makes up once for all ticks that it missed.
//!
//! - `job`: which jobs there are, and what each does;
//! - `agenda`: which of them to start now;
//! - `wanted`: tables that do not wait for their tick;
//! - `retiring`: which versions are not needed any more.

mod agenda;
mod job;
mod retiring;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::settings::{Settings, Size};
use platform::shutdown::{DeadlineExceeded, Shutdown, run_until};
use platform::store::StoreError;
use platform::task::joined;
use platform::telemetry::{self, error_text};
use shared_logic::version::DeployedVersions;
use storage::{FollowedVersions, Storage};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span, error, info, warn};

use self::agenda::{Agenda, Entry, Start};
pub use self::job::{Done, Job};
pub(crate) use self::retiring::Retiring;
use self::wanted::WantedTable;
use crate::reconcile::Reconciler;
use crate::report::Reporter;

/// What alerts look at, which may never have happened.
const FAILURES: [&str; 4] = [
    "braid_maintenance_failures_total",
    "braid_reconcile_failures_total",
    "braid_report_failures_total",
    "braid_version_retire_failures_total",
];

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
    /// The settings name no store that can be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The jobs under way did not end in time.
    #[error(transparent)]
    NotStopped(#[from] DeadlineExceeded),
}

/// Runs every job at the ticks of its cron expression until the shutdown is requested: those of all versions that are reconciled, of which
/// there may be others at any time. One run makes up for all ticks that passed while the one before ran, or while no process did. Jobs do
/// not wait for each other, as long as no more than the setting `reconcile.parallel` are due at once. Between ticks, rebuilds are continued,
/// and tables are materialised that rows in Redis wait for. Versions that are not needed any more are retired (K9).
///
/// # Errors
/// [`ScheduleError`]. A job that fails is logged, and tried again at its next tick.
pub async fn run(settings: &Settings, versions: FollowedVersions, shutdown: Shutdown) -> Result<(), ScheduleError> {
    telemetry::begin(&FAILURES);
    let now = versions.now();
    let storage = Storage::new(&settings.store, &now.active().deployment)?;
    let retiring = Retiring::new(settings, &versions);
    let reconciler = Reconciler::new(settings, &storage, now.active());
    run_all(&reconciler, versions, retiring, shutdown).await
}

/// The same with that reconciler, of one of the versions.
pub(crate) async fn run_all(
    reconciler: &Reconciler,
    mut versions: FollowedVersions,
    mut retiring: Retiring,
    shutdown: Shutdown,
) -> Result<(), ScheduleError> {
    let reconciler = reconciler.clone().among(versions.now());
    // A store that is away is asked for a long time.
    let gathered = tokio::select! {
        biased;
        () = shutdown.requested() => return Ok(()),
        // A process before this one may have left a rebuild.
        gathered = Crew::gather(&reconciler, true) => gathered,
    };
    let mut crew = gathered?;
    let mut running = JoinSet::new();
    let (names, mut wanted) = mpsc::channel(1);
    // Ends with this function.
    let mut watching = JoinSet::new();
    watching.spawn(wanted::watch(reconciler.clone(), names.clone()));
    while !shutdown.is_requested() {
        let now = now();
        while let Some(start) = crew.start_next(now) {
            crew.start(&start, now, &shutdown.token(), &mut running);
        }
        retiring.begin(&versions.now(), now.timestamp_micros(), shutdown.token());
        let sleep = crew.agenda.wake(now).map_or(SLEEP_MAX, |wake| between(now, wake).min(SLEEP_MAX));
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            Some(ended) = running.join_next() => crew.ended(joined(ended)),
            Some(wanted) = wanted.recv() => crew.ask_for(&wanted),
            () = retiring.ended() => {}
            changed = versions.changed() => {
                tokio::select! {
                    biased;
                    () = shutdown.requested() => {}
                    () = crew.renew(changed) => {}
                }
                // The one before is ended.
                watching = JoinSet::new();
                watching.spawn(wanted::watch(crew.reconciler.clone(), names.clone()));
            }
            () = tokio::time::sleep(sleep) => {}
        }
    }
    let names = crew.running();
    let last = async {
        while let Some(ended) = running.join_next().await {
            crew.ended(joined(ended));
        }
        retiring.finished().await;
    };
    Ok(run_until(&shutdown, &names, reconciler.settings.shutdown.get(), last).await?)
}

/// Runs the jobs that are due now, each to its end, and passes what each did to `report`: those of all versions that the reconciler knows.
/// From the shutdown on, no job is started.
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
                && let Some(start) = crew.start_next(now)
            {
                crew.finish(&start, &shutdown.token(), &mut running);
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
    /// By their numbers. The number of one that is gone may be another's later.
    jobs: Vec<Job>,
    agenda: Agenda,
    /// Of one of the versions, with all the memory that there is.
    reconciler: Reconciler,
    /// The same for reports, of the version that writes them. It knows how far those have come that wait.
    reporter: Reporter,
    /// What stops each job that runs.
    stops: BTreeMap<usize, CancellationToken>,
    /// Among how many jobs the memory is divided.
    shares: usize,
    /// Whether a job may have left something before this process began.
    is_left: bool,
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
        let jobs = Job::all(reconciler);
        let shares = reconciler.settings.parallel.min(jobs.len()).max(1);
        let mut crew = Crew {
            jobs: Vec::new(),
            agenda: Agenda::new(Vec::new(), shares),
            reconciler: reconciler.clone(),
            reporter: reporter_of(reconciler, shares),
            stops: BTreeMap::new(),
            shares,
            is_left,
        };
        for job in jobs {
            crew.add(job).await?;
        }
        Ok(crew)
    }

    /// Goes by other versions from now on: jobs of those that are gone are stopped, and new ones are begun.
    async fn renew(&mut self, versions: Arc<DeployedVersions>) {
        self.reconciler = self.reconciler.clone().among(versions);
        let jobs = Job::all(&self.reconciler);
        for (number, job) in self.jobs.iter().enumerate().filter(|(_, job)| !jobs.contains(job)) {
            if self.agenda.remove(number) {
                info!(%job, "not scheduled any more");
            }
            if let Some(stop) = self.stops.get(&number) {
                stop.cancel();
            }
        }
        self.shares = self.reconciler.settings.parallel.min(jobs.len()).max(1);
        self.reporter = reporter_of(&self.reconciler, self.shares);
        for job in jobs {
            let same: Vec<usize> = (0..self.jobs.len()).filter(|number| self.jobs[*number] == job).collect();
            if same.iter().any(|number| self.agenda.has(*number)) {
                continue;
            }
            // One that is being stopped never runs twice at once.
            if let Some(stopping) = same.iter().find(|number| self.stops.contains_key(*number)) {
                self.agenda.revive(*stopping);
            } else if let Err(error) = self.add(job).await {
                error!(error = error_text(&error), "a job is not scheduled");
            }
        }
    }

    async fn add(&mut self, job: Job) -> Result<(), ScheduleError> {
        let Some(reconciler) = self.reconciler.of_version(job.version()) else { return Ok(()) };
        let (cron, zone) = (job.cron(&reconciler.catalog), job.time_zone(&reconciler.catalog));
        if cron.next(now(), zone).is_none() {
            return Err(ScheduleError::NoMoreTicks { job });
        }
        info!(%job, %cron, %zone, "scheduled");
        // A table that cannot be read stops its own job alone, which will say so.
        let last = job.last_run(&reconciler).await.unwrap_or_else(|error| {
            warn!(%job, error = error_text(&error), "cannot tell when it last ran; starting it at once");
            None
        });
        let number = self.agenda.add(Entry::new(cron.clone(), zone, last, self.is_left));
        match self.jobs.get_mut(number) {
            Some(gone) => *gone = job,
            None => self.jobs.push(job),
        }
        Ok(())
    }

    /// The next job to start. Jobs that run keep their share of the memory: as long as any does, there are no more of them than before.
    fn start_next(&mut self, now: DateTime<Utc>) -> Option<Start> {
        if self.shares != self.agenda.at_once() && self.agenda.running().next().is_none() {
            self.agenda.set_at_once(self.shares);
        }
        self.agenda.start(now)
    }

    /// The reconciler of a job, with the memory that one job may use.
    fn of_job(&self, job: &Job) -> Option<Reconciler> {
        let mut reconciler = self.reconciler.of_version(job.version())?;
        reconciler.settings.memory = share(reconciler.settings.memory, self.agenda.at_once());
        Some(reconciler)
    }

    /// Starts a job. In a task of its own, so that nothing that holds it up holds up the deadline of a stop.
    fn start(&mut self, start: &Start, now: DateTime<Utc>, stop: &CancellationToken, running: &mut JoinSet<Ended>) {
        let (number, part, job) = (start.job, start.part, self.jobs[start.job].clone());
        let Some(reconciler) = self.of_job(&job) else {
            self.agenda.ended(number, false);
            return;
        };
        let longest = reconciler.settings.rebuild_step.get();
        let step = start.until.map_or(longest, |until| between(now, until).min(longest));
        let (stop, reporter) = (self.stop_of(number, stop), self.reporter.clone());
        let span = debug_span!("job", job = %job);
        let run = async move {
            let (done, is_left) = job.run(part, step, (&reconciler, &reporter), &stop).await;
            Ended { job: number, done, is_left }
        };
        running.spawn(run.instrument(span));
    }

    /// Starts a job that leaves nothing.
    fn finish(&mut self, start: &Start, stop: &CancellationToken, running: &mut JoinSet<Ended>) {
        let (number, job) = (start.job, self.jobs[start.job].clone());
        let Some(reconciler) = self.of_job(&job) else {
            self.agenda.ended(number, false);
            return;
        };
        let (stop, reporter) = (self.stop_of(number, stop), self.reporter.clone());
        running.spawn(async move {
            let done = job.run_to_the_end((&reconciler, &reporter), &stop).await;
            Ended { job: number, done, is_left: false }
        });
    }

    /// Has a table materialised at once.
    fn ask_for(&mut self, wanted: &WantedTable) {
        let is_its = |job: &Job| matches!(job, Job::Reconcile { version, source } if *version == wanted.version && *source == wanted.table);
        let is_there = |number: &usize| is_its(&self.jobs[*number]) && self.agenda.has(*number);
        if let Some(job) = (0..self.jobs.len()).find(is_there) {
            self.agenda.ask_for(job);
        }
    }

    fn stop_of(&mut self, job: usize, stop: &CancellationToken) -> CancellationToken {
        let stop = stop.child_token();
        self.stops.insert(job, stop.clone());
        stop
    }

    /// The names of the jobs that run.
    fn running(&self) -> String {
        self.agenda.running().map(|job| self.jobs[job].to_string()).collect::<Vec<_>>().join(", ")
    }

    fn ended(&mut self, ended: Ended) {
        let Ended { job, done, is_left } = ended;
        self.stops.remove(&job);
        done.log_failures(&self.jobs[job]);
        self.agenda.ended(job, is_left);
    }
}

/// What writes the reports of the deployment, with the memory of one of that many jobs.
fn reporter_of(reconciler: &Reconciler, jobs: usize) -> Reporter {
    let of_version = reconciler.of_version(reconciler.versions.reports());
    let mut reconciler = of_version.unwrap_or_else(|| reconciler.clone());
    reconciler.settings.memory = share(reconciler.settings.memory, jobs);
    Reporter::of(&reconciler)
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
