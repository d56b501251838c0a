//! Reconciles by cron: never two at once, and one reconcile makes up for all ticks that were missed.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use metrics::counter;
use platform::settings::Span;
use platform::shutdown::{DeadlineExceeded, Shutdown};
use platform::store::StoreError;
use platform::task::join;
use platform::telemetry::error_text;
use shared_logic::catalog::Catalog;
use storage::Storage;
use tracing::{error, info};

use crate::reconcile::{Reconciler, Report};

/// The longest sleep, so that it is noticed when the clock is set.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Why the schedule ended before a stop was requested, or not in time after one.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The catalog's cron expression cannot be read.
    #[error("schedule.reconcile {expression:?} is not a cron expression")]
    Cron {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        source: cron::error::Error,
    },
    /// The catalog's time zone is unknown.
    #[error("schedule.time_zone {name:?} is not a time zone")]
    TimeZone {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: chrono_tz::ParseError,
    },
    /// The cron expression names no moment in the future.
    #[error("schedule.reconcile has no more ticks")]
    NoMoreTicks,
    /// The views could not be read at the start.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reconcile under way did not end in time.
    #[error(transparent)]
    NotStopped(#[from] DeadlineExceeded),
}

/// Reconciles at every tick of the catalog's cron expression until the shutdown is requested. One reconcile makes up for all
/// ticks that passed while the one before ran, or while no process did. Between two ticks it goes on with rebuilds.
///
/// # Errors
/// [`ScheduleError`]. A reconcile that fails is logged, and tried again at the next tick.
pub async fn run(reconciler: &Reconciler, shutdown: Shutdown) -> Result<(), ScheduleError> {
    let Reconciler { catalog, storage, settings, .. } = reconciler;
    let (cron, zone) = schedule(catalog)?;
    let mut last = last_commit(storage, catalog).await?;
    info!(cron = catalog.schedule.reconcile, %zone, "reconciling by schedule");
    // A process before this one may have left a rebuild.
    let mut unfinished = true;
    loop {
        let next = match last {
            Some(last) => {
                let next = cron.after(&last.with_timezone(&zone)).next();
                next.ok_or(ScheduleError::NoMoreTicks)?.with_timezone(&Utc)
            }
            // There was no reconcile yet: start one now.
            None => now(),
        };
        if unfinished {
            rebuild_until(next, reconciler, &shutdown).await?;
        }
        if !sleep_until(next, &shutdown).await {
            return Ok(());
        }
        last = Some(now());
        let (mut reconciler, stop) = (reconciler.clone(), shutdown.token());
        // Rebuilds leave the next tick to the other metrics.
        if let Some(after) = cron.after(&now().with_timezone(&zone)).next() {
            let left = (after.with_timezone(&Utc) - now()).to_std().unwrap_or_default();
            reconciler.settings.rebuild_step = reconciler.settings.rebuild_step.min(Span::from(left));
        }
        // In a task of its own, so that nothing that holds it up holds up the deadline.
        let reconcile = join(tokio::spawn(async move { reconciler.run(&stop).await }));
        let deadline = settings.shutdown.get();
        match platform::shutdown::run_until(&shutdown, "reconcile", deadline, reconcile).await? {
            Ok(reports) => unfinished = reports.iter().any(Report::is_unfinished),
            Err(error) => {
                unfinished = true;
                counter!("braid_reconcile_failures_total").increment(1);
                error!(error = error_text(&error), "the reconcile failed; trying again at the next tick");
            }
        }
    }
}

/// Goes on with rebuilds until that moment, or until only their commits are left, which the next reconcile makes.
async fn rebuild_until(
    at: DateTime<Utc>,
    reconciler: &Reconciler,
    shutdown: &Shutdown,
) -> Result<(), DeadlineExceeded> {
    let settings = &reconciler.settings;
    while !shutdown.is_requested() {
        let Ok(left) = (at - now()).to_std() else { return Ok(()) };
        let step = left.min(settings.rebuild_step.get());
        let (reconciler, stop) = (reconciler.clone(), shutdown.token());
        let advance = join(tokio::spawn(async move { reconciler.advance(step, &stop).await }));
        match platform::shutdown::run_until(shutdown, "rebuild", settings.shutdown.get(), advance).await? {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                error!(error = error_text(&error), "a rebuild failed; trying again at the next tick");
                return Ok(());
            }
        }
    }
    Ok(())
}

fn schedule(catalog: &Catalog) -> Result<(cron::Schedule, Tz), ScheduleError> {
    let (expression, name) = (&catalog.schedule.reconcile, &catalog.schedule.time_zone);
    let not_cron = |source| ScheduleError::Cron { expression: expression.clone(), source };
    let no_zone = |source| ScheduleError::TimeZone { name: name.clone(), source };
    Ok((cron::Schedule::from_str(expression).map_err(not_cron)?, Tz::from_str(name).map_err(no_zone)?))
}

/// Returns false if the shutdown was requested first.
async fn sleep_until(at: DateTime<Utc>, shutdown: &Shutdown) -> bool {
    loop {
        if shutdown.is_requested() {
            return false;
        }
        let Ok(left) = (at - now()).to_std() else { return true };
        tokio::select! {
            () = tokio::time::sleep(left.min(SLEEP_MAX)) => {}
            () = shutdown.requested() => return false,
        }
    }
}

/// When the metric that waits longest was last reconciled; `None` if some metric never was.
async fn last_commit(storage: &Storage, catalog: &Catalog) -> Result<Option<DateTime<Utc>>, StoreError> {
    let mut oldest = now();
    for metric in catalog.metrics.values() {
        let Some(view) = storage.batch_view(&metric.name).await? else { return Ok(None) };
        let Some(note) = view.note() else { return Ok(None) };
        oldest = oldest.min(DateTime::from_timestamp_micros(note.committed_at_us).unwrap_or_default());
    }
    Ok(Some(oldest))
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(platform::clock::now_us()).unwrap_or_default()
}
