//! What runs by cron: which jobs a catalog has, when each is due, and what it does.
//!
//! A new kind of job is a variant of [`Job`], with its arm in each function here, and one of [`Done`].

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use metrics::counter;
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::catalog::{Catalog, Cron};
use shared_logic::version::DeployedVersions;
use storage::MaterialisedTable;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::agenda::Part;
use crate::maintenance::{self, MaintenanceError, Pass};
use crate::reconcile::{Reconciled, Reconciler, Report};
use crate::report::{ReportError, Reporter, Run};

/// For how long after its tick a report waits for what it needs, and is tried again where it failed. From then on, the next tick makes up
/// for it.
const REPORT_WITHIN: TimeDelta = TimeDelta::hours(12);
/// How long a report that failed waits until it is tried again.
const REPORT_AGAIN: Duration = Duration::from_secs(60);

/// Something that runs by cron. No job waits for one of another source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// The reconcile of one source's metrics in a version.
    Reconcile {
        /// The version.
        version: String,
        /// The source's name.
        source: String,
    },
    /// The maintenance of the views of a source's metrics in a version, and of its archive, if that version is its owner.
    Maintain {
        /// The version.
        version: String,
        /// The source's name.
        source: String,
    },
    /// The days of a report that are due, and those that are calculated again.
    Report {
        /// The version, which is the active one: reports belong to the deployment (K2).
        version: String,
        /// The report's name.
        report: String,
    },
}

/// What a job did.
#[derive(Debug)]
pub enum Done {
    /// A reconcile.
    Reconciled(Reconciled),
    /// Maintenance.
    Maintained(Result<Vec<maintenance::Report>, MaintenanceError>),
    /// A run of the report of that name.
    Reported(String, Result<Run, ReportError>),
}

impl Job {
    /// Every job of the versions that a reconciler knows: reconciles of those that are verified, maintenance of all that live, and reports
    /// of the active one.
    pub(super) fn all(reconciler: &Reconciler) -> Vec<Job> {
        let versions = &reconciler.versions;
        let mut jobs = Vec::new();
        for name in versions.reconciled() {
            let Some(of_version) = reconciler.of_version(name) else { continue };
            let catalog = &of_version.catalog;
            let sources = catalog.sources.keys().filter(|source| is_reconciled(versions, name, catalog, source));
            jobs.extend(sources.map(|source| Job::Reconcile { version: name.to_owned(), source: source.clone() }));
        }
        for (name, _) in versions.living() {
            let Some(of_version) = reconciler.of_version(name) else { continue };
            let catalog = &of_version.catalog;
            let sources = catalog
                .sources
                .keys()
                .filter(|_| catalog.schedule.maintain.is_some() && catalog.deployment.keeps_archive);
            jobs.extend(sources.map(|source| Job::Maintain { version: name.to_owned(), source: source.clone() }));
        }
        let active = versions.reports();
        let reports = reconciler.of_version(active).map(|of_version| of_version.catalog.reports).unwrap_or_default();
        jobs.extend(reports.into_keys().map(|report| Job::Report { version: active.to_owned(), report }));
        jobs
    }

    /// The version that it is of.
    pub(super) fn version(&self) -> &str {
        match self {
            Job::Reconcile { version, .. } | Job::Maintain { version, .. } | Job::Report { version, .. } => version,
        }
    }

    /// When it is due.
    pub(super) fn cron<'a>(&self, catalog: &'a Catalog) -> &'a Cron {
        match self {
            Job::Reconcile { source, .. } => catalog.reconciles(&catalog.sources[source]),
            Job::Maintain { .. } => catalog.schedule.maintain.as_ref().unwrap_or(&catalog.schedule.reconcile),
            Job::Report { report, .. } => &catalog.reports[report].schedule,
        }
    }

    /// On whose clocks that is read.
    pub(super) fn time_zone(&self, catalog: &Catalog) -> Tz {
        match self {
            Job::Reconcile { .. } | Job::Maintain { .. } => catalog.schedule.time_zone,
            Job::Report { report, .. } => catalog.reports[report].time_zone,
        }
    }

    /// When it last ran, as far as what it did is still there; `None` if it never did.
    pub(super) async fn last_run(&self, reconciler: &Reconciler) -> Result<Option<DateTime<Utc>>, StoreError> {
        match self {
            Job::Reconcile { source, .. } => oldest_commit(reconciler, source).await,
            Job::Maintain { source, .. } => last_maintained(reconciler, source).await,
            Job::Report { report, .. } => last_reported(reconciler, report).await,
        }
    }

    /// Does that part of it. Work that can be continued later takes about as long as `step`. Returns whether some was left as
    /// well.
    pub(super) async fn run(
        &self,
        part: Part,
        step: Duration,
        (reconciler, reporter): (&Reconciler, &Reporter),
        stop: &CancellationToken,
    ) -> (Done, bool) {
        match self {
            Job::Reconcile { source, .. } => {
                let mut one = reconciler.of(source);
                if part == Part::Rest {
                    let advanced = one.advance(step, stop).await;
                    let is_left = matches!(advanced, Ok(true));
                    let failed = advanced.err().into_iter().collect();
                    return (Done::Reconciled(Reconciled { failed, ..Reconciled::default() }), is_left);
                }
                one.settings.rebuild_step = step.into();
                let reconciled = one.reconcile_once(stop).await;
                let is_left = reconciled.is_unfinished() || !reconciled.failed.is_empty();
                (Done::Reconciled(reconciled), is_left)
            }
            // A pass leaves nothing that could not wait.
            Job::Maintain { .. } if part == Part::Rest => (Done::Maintained(Ok(Vec::new())), false),
            Job::Maintain { source, .. } => (maintain(reconciler, source, stop).await, false),
            // What a run waits for, another job brings about: so it waits no longer than until the next one is due.
            Job::Report { report, .. } => {
                let done = reported(reporter, report, step, stop).await;
                if let Done::Reported(_, Ok(Run { waiting: Some((date, waiting)), .. })) = &done
                    && part == Part::Whole
                {
                    info!(report, date, until = %waiting, "the report waits");
                }
                let is_left = done.is_waiting() || matches!(&done, Done::Reported(_, Err(_)));
                if let Done::Reported(_, Err(_)) = &done {
                    tokio::select! {
                        () = tokio::time::sleep(step.min(REPORT_AGAIN)) => {}
                        () = stop.cancelled() => {}
                    }
                }
                (done, is_left && is_within(reconciler, report))
            }
        }
    }

    /// Does all of it, and leaves nothing.
    pub(super) async fn run_to_the_end(
        &self,
        (reconciler, reporter): (&Reconciler, &Reporter),
        stop: &CancellationToken,
    ) -> Done {
        match self {
            Job::Reconcile { source, .. } => Done::Reconciled(reconciler.of(source).reconcile_to_the_end(stop).await),
            Job::Maintain { source, .. } => maintain(reconciler, source, stop).await,
            Job::Report { report, .. } => reported(reporter, report, reconciler.settings.wait.get(), stop).await,
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Job::Reconcile { version, source } => write!(f, "reconcile of {source} for {version}"),
            Job::Maintain { version, source } => write!(f, "maintenance of {source} for {version}"),
            Job::Report { version, report } => write!(f, "report {report} of {version}"),
        }
    }
}

impl Done {
    /// Whether some of it could not be done yet, and is tried again the next time, without anything having failed.
    pub fn is_waiting(&self) -> bool {
        match self {
            Done::Reconciled(Reconciled { reports, .. }) => reports.iter().any(Report::is_waiting),
            Done::Maintained(_) => false,
            Done::Reported(_, run) => run.as_ref().is_ok_and(|run| run.waiting.is_some()),
        }
    }

    /// Logs what failed, and counts it.
    pub(super) fn log_failures(&self, job: &Job) {
        match self {
            Done::Reconciled(Reconciled { failed, .. }) => {
                for failure in failed {
                    counter!("braid_reconcile_failures_total").increment(1);
                    let error = error_text(failure);
                    error!(%job, error, "the reconcile failed; trying again at the next tick");
                }
            }
            Done::Maintained(Ok(_)) => {}
            Done::Reported(_, Ok(_)) => {}
            Done::Reported(_, Err(failure)) => {
                counter!("braid_report_failures_total").increment(1);
                error!(%job, error = error_text(failure), "the report failed; trying again");
            }
            Done::Maintained(Err(failure)) => {
                counter!("braid_maintenance_failures_total").increment(1);
                error!(%job, error = error_text(failure), "maintenance failed; trying again at the next tick");
            }
        }
    }
}

/// Whether a version's reconcile of a source does anything. That of the active version always does: it settles what becomes of logs.
fn is_reconciled(versions: &DeployedVersions, version: &str, catalog: &Catalog, source: &str) -> bool {
    if !catalog.deployment.keeps_archive {
        return false;
    }
    version == versions.active_name()
        || catalog.metrics_of(source).next().is_some()
        || versions.materialises(version, source)
        || !versions.checks_lanes(version, source).is_empty()
        || !versions.checks_indexes(version, source).is_empty()
}

/// Maintains the tables of one source.
async fn maintain(reconciler: &Reconciler, source: &str, stop: &CancellationToken) -> Done {
    let pass = Pass { names: &[], dry_run: false, now_us: platform::clock::now_us() };
    Done::Maintained(maintenance::run(&reconciler.of(source), pass, stop).await)
}

/// Writes what is due of a report, and waits for that long altogether.
async fn reported(reporter: &Reporter, name: &str, patience: Duration, stop: &CancellationToken) -> Done {
    let run = async {
        let report = reporter.report(name)?;
        reporter.run_due(report, platform::clock::now_us(), patience, stop).await
    };
    Done::Reported(name.to_owned(), run.await)
}

/// Whether the last tick of a report is not too long ago to go on with what it left.
fn is_within(reconciler: &Reconciler, name: &str) -> bool {
    let Some(report) = reconciler.whole.reports.get(name) else { return false };
    let now = DateTime::from_timestamp_micros(platform::clock::now_us()).unwrap_or_default();
    let next = report.schedule.next(now - REPORT_WITHIN, report.time_zone);
    next.is_some_and(|tick| tick <= now)
}

/// When the newest day of a report was committed; `None` if none was.
async fn last_reported(reconciler: &Reconciler, name: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    let table = reconciler.storage.report(name).await?;
    let last = table.as_ref().and_then(|table| table.note()).and_then(|note| note.last());
    Ok(last.and_then(|(_, note)| DateTime::from_timestamp_micros(note.committed_at_us)))
}

/// When the archive of the source was last maintained; `None` if it never was.
async fn last_maintained(reconciler: &Reconciler, source: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    let Some(archive) = reconciler.storage.archive(source).await? else { return Ok(None) };
    Ok(archive.maintained_us().await?.and_then(DateTime::from_timestamp_micros))
}

/// When the metric of the source that waits longest was last reconciled; `None` if some metric never was. A view that is paused does
/// not wait. Of a table, it is when it was last materialised; of another source without metrics, when its streams were last checked.
///
/// Every reconcile commits, even if nothing is new, so its commit says when it ran. A view that was restored or removed says so as
/// well, which a note beside it would not.
async fn oldest_commit(reconciler: &Reconciler, source: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    if reconciler.catalog.tables.contains_key(source) {
        let table = reconciler.storage.table(source).await?;
        let note = table.as_ref().and_then(MaterialisedTable::note);
        return Ok(note.and_then(|note| DateTime::from_timestamp_micros(note.committed_at_us)));
    }
    let mut commits = Vec::new();
    for metric in reconciler.catalog.metrics_of(source) {
        let Some(view) = reconciler.storage.batch_view(&metric.name).await? else { return Ok(None) };
        let Some(note) = view.note() else { return Ok(None) };
        let at = DateTime::from_timestamp_micros(note.committed_at_us).unwrap_or_default();
        commits.push(LastCommit { at, is_paused: note.asked.pause.is_some() });
    }
    if commits.is_empty() {
        return last_check(reconciler, source).await;
    }
    Ok(waits_since(&commits))
}

/// When the streams over a source were last checked; `None` if they never were, or there are none.
async fn last_check(reconciler: &Reconciler, source: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    let Some(archive) = reconciler.storage.archive(source).await? else { return Ok(None) };
    let mut first = None;
    for unit in reconciler.versions.checks_lanes(&reconciler.whole.deployment.version, source) {
        let Some(checked) = archive.checked_streams(&unit.generation).await? else { return Ok(None) };
        let at = DateTime::from_timestamp_micros(checked.at_us);
        first = if first.is_none() { at } else { first.min(at) };
    }
    Ok(first)
}

/// The last commit of a view.
struct LastCommit {
    at: DateTime<Utc>,
    /// Whether no reconcile commits to it until an operator resumes it.
    is_paused: bool,
}

/// The oldest commit of views that are not paused; if all are, the newest one. `None` without a view.
fn waits_since(commits: &[LastCommit]) -> Option<DateTime<Utc>> {
    let reconciled = commits.iter().filter(|commit| !commit.is_paused).map(|commit| commit.at).min();
    reconciled.or_else(|| commits.iter().map(|commit| commit.at).max())
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::batch_view::Pause;
    use shared_logic::log::PartitionId;

    use super::*;
    use crate::reconcile::Outcome;

    fn waits(commits: &[(i64, bool)]) -> Option<i64> {
        let at = |at_s: i64| DateTime::from_timestamp(at_s, 0).expect("an instant");
        let commits: Vec<_> =
            commits.iter().map(|(at_s, is_paused)| LastCommit { at: at(*at_s), is_paused: *is_paused }).collect();
        waits_since(&commits).map(|since| since.timestamp())
    }

    #[test]
    fn a_job_waits_if_a_view_does_and_not_if_it_is_paused_or_left_unfinished() {
        let report = |outcome| Report {
            source: "shop".to_owned(),
            metric: "orders".to_owned(),
            outcome,
            took: Duration::default(),
        };
        let paused = || report(Outcome::Paused(Pause { rolled_back_to: 5, since_us: 0 }));
        let waiting = || report(Outcome::Waiting { partition: PartitionId::new("log", 1) });
        let unfinished = || report(Outcome::Unfinished { done: 1, days: 2 });
        let is_waiting = |reports| Done::Reconciled(Reconciled { reports, ..Reconciled::default() }).is_waiting();
        assert!(is_waiting(vec![paused(), waiting(), unfinished()]));
        assert!(!is_waiting(vec![paused(), unfinished()]) && !is_waiting(Vec::new()));
        assert!(!Done::Maintained(Ok(Vec::new())).is_waiting());
    }

    #[test]
    fn a_source_waits_since_the_oldest_commit_of_its_views_that_are_not_paused() {
        assert_eq!(waits(&[]), None);
        assert_eq!(waits(&[(30, false), (20, false)]), Some(20));
        // Otherwise the source would be due for as long as the view is paused.
        assert_eq!(waits(&[(30, false), (10, true), (40, false)]), Some(30));
        assert_eq!(waits(&[(10, true), (20, true)]), Some(20), "nothing of it is reconciled");
    }
}
