//! Reconciles by cron: never two at once, and a tick that was missed runs once.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use metrics::counter;
use platform::settings::Settings;
use platform::shutdown::Shutdown;
use platform::store::Store;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::batch_view::{self, NOTE_DOMAIN, Note};
use tracing::{error, info};

/// The longest sleep, so that a clock that is set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Reconciles at every tick of the catalog's cron expression until the shutdown is requested. Ticks that pass while a
/// reconcile runs, or while nothing ran at all, are made up for by one.
///
/// # Errors
/// If the expression has no more ticks, or the store cannot be read at the start. A reconcile that fails is logged, and
/// tried again at the next tick.
pub async fn run(settings: &Settings, catalog: &Catalog, shutdown: Shutdown) -> anyhow::Result<()> {
    let cron = cron::Schedule::from_str(&catalog.schedule.reconcile).context("schedule.reconcile")?;
    let zone = Tz::from_str(&catalog.schedule.time_zone).context("schedule.time_zone")?;
    let mut last = last_commit(settings, catalog).await?;
    info!(cron = catalog.schedule.reconcile, %zone, "reconciling by schedule");
    loop {
        let next = match last {
            Some(last) => cron
                .after(&last.with_timezone(&zone))
                .next()
                .context("schedule.reconcile has no more ticks")?
                .with_timezone(&Utc),
            // Never reconciled: begin now.
            None => now(),
        };
        if !sleep_until(next, &shutdown).await {
            return Ok(());
        }
        last = Some(now());
        let (of_run, catalog_of_run, stop) = (settings.clone(), catalog.clone(), shutdown.token());
        // A task of its own: whatever holds it up does not hold up the deadline.
        let reconcile = tokio::spawn(async move { crate::reconcile::run(&of_run, &catalog_of_run, &stop).await });
        let deadline = settings.reconcile.shutdown.get();
        let ended = platform::shutdown::run_until(&shutdown, "reconcile", deadline, reconcile).await?;
        match ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic())) {
            Ok(_) => {}
            Err(error) => {
                counter!("braid_reconcile_failures_total").increment(1);
                error!(error = format!("{error:#}"), "the reconcile failed; trying again at the next tick");
            }
        }
    }
}

/// Gives false if the shutdown was requested first.
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

/// When the metric that waits longest was last reconciled; `None` if one never was.
async fn last_commit(settings: &Settings, catalog: &Catalog) -> anyhow::Result<Option<DateTime<Utc>>> {
    let store = Store::new(&settings.store, &catalog.deployment.name)?;
    let mut oldest = now();
    for metric in catalog.metrics.values() {
        let path = batch_view::path(&catalog.deployment.version, &metric.name);
        let Some(view) = store.open(&path).await? else { return Ok(None) };
        let Some(note) = view.note::<Note>(NOTE_DOMAIN).await? else { return Ok(None) };
        oldest = oldest.min(DateTime::from_timestamp_micros(note.committed_at_us).unwrap_or_default());
    }
    Ok(Some(oldest))
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(platform::clock::now_us()).unwrap_or_default()
}
