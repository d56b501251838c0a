//! A reconcile: the archive recounted exactly, and the cut moved up to what was recounted.
//!
//! Per source it rotates every shard, so that a slice of the speed view begins where the batch view will end, and waits
//! until the archive covers those offsets. Per metric it then recomputes the hours that new rows touch from *all* rows
//! below the cut, carries the other hours over, and commits rows, cut and definition at once. On a conflict it plans anew
//! on the newest view. A killed reconcile leaves files that nobody refers to, never half a view.
//!
//! - `cut`: which offsets (R1, R3);
//! - `touched`: which hours;
//! - `archived_rows`: where a row of the archive lies;
//! - `recompute`: their partials;
//! - `publish`: one commit.

mod archived_rows;
mod cut;
mod publish;
mod recompute;
mod touched;

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use metrics::{counter, histogram};
use platform::settings::Settings;
use platform::store::{Store, StoreError, Table};
use shared_logic::catalog::{Catalog, Metric, Source};
use shared_logic::contracts::batch_view;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::cut::{Rotated, Shards};
use self::publish::Published;
use crate::archive::Archive;

/// How long a file that belongs to no version is kept: longer than any reader looks at an old version.
const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// Opens a metric's view, created where missing.
pub(crate) async fn view(store: &Store, catalog: &Catalog, metric: &Metric) -> Result<Table, StoreError> {
    let path = batch_view::path(&catalog.deployment.version, &metric.name);
    let source = &catalog.sources[&metric.source];
    store.open_or_create(&path, &recompute::view_schema(source, metric), batch_view::DAY).await
}

/// What a reconcile did for one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Which.
    pub metric: String,
    /// The view's version now.
    pub version: u64,
    /// How many days were replaced.
    pub days: usize,
    /// How many rows they have.
    pub rows: usize,
    /// Whether all of the view was counted anew.
    pub rebuilt: bool,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { metric, version, days, rows, rebuilt, took } = self;
        let how = if *rebuilt { " (rebuilt)" } else { "" };
        write!(f, "{metric}: version {version}, {days} days with {rows} rows replaced{how} in {} ms", took.as_millis())
    }
}

/// Reconciles every metric of the catalog once. One that fails does not keep the others from being reconciled. From `stop`
/// on it waits no longer for the archive, and takes what is archived.
///
/// # Errors
/// The first failure, after every metric was tried.
pub async fn run(settings: &Settings, catalog: &Catalog, stop: &CancellationToken) -> anyhow::Result<Vec<Report>> {
    let (mut reports, mut outcome) = (Vec::new(), Ok(()));
    for source in catalog.sources.values() {
        let of_source = run_source(settings, catalog, source, stop, &mut reports).await;
        outcome = outcome.and(of_source.with_context(|| format!("cannot reconcile source {}", source.name)));
    }
    outcome.map(|()| reports)
}

async fn run_source(
    settings: &Settings,
    catalog: &Catalog,
    source: &Source,
    stop: &CancellationToken,
    reports: &mut Vec<Report>,
) -> anyhow::Result<()> {
    let store = Store::new(&settings.store, &catalog.deployment.name)?;
    let Some(mut archive) = Archive::open(&store, source).await? else {
        info!(source = source.name, "nothing is archived yet");
        return Ok(());
    };
    let mut shards = Shards::connect(settings, catalog, source).await?;
    let mut rotated = shards.rotate(&archive.facts, settings.speed.max_slices).await?;
    cut::wait_for_archive(settings, stop, &mut archive, &mut rotated).await?;
    let mut outcome = Ok(());
    for metric in catalog.metrics_of(&source.name) {
        let started = Instant::now();
        let published = attempts(settings, metric, &store, &mut archive, &mut shards, &rotated).await;
        match published.with_context(|| format!("cannot reconcile metric {}", metric.name)) {
            Ok(Published { version, days, rows, rebuilt }) => {
                let report =
                    Report { metric: metric.name.clone(), version, days, rows, rebuilt, took: started.elapsed() };
                info!(
                    metric = metric.name,
                    version,
                    days,
                    rows,
                    rebuilt,
                    took_ms = report.took.as_millis(),
                    "reconciled"
                );
                counter!("braid_reconcile_total", "metric" => metric.name.clone()).increment(1);
                histogram!("braid_reconcile_seconds", "metric" => metric.name.clone()).record(report.took);
                reports.push(report);
            }
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome
}

/// Plans and commits until no other reconcile comes in between, a bounded number of times.
async fn attempts(
    settings: &Settings,
    metric: &Metric,
    store: &Store,
    archive: &mut Archive,
    shards: &mut Shards<'_>,
    rotated: &Rotated,
) -> anyhow::Result<Published> {
    let Shards { catalog, source, .. } = *shards;
    let mut view = view(store, catalog, metric).await?;
    let mut wait = settings.reconcile.retry_backoff.get();
    for attempt in 1..=settings.reconcile.max_attempts {
        view.refresh().await?;
        // After the view: what is known of the archive is never older than the archive that the view was computed from.
        archive.refresh().await?;
        shards.settle(archive).await?;
        let planned = publish::Plan { catalog, source, metric, rotated };
        if let Some(published) = planned.publish(&mut view, archive).await? {
            tidy_up(&view, settings.archive.checkpoint_every).await;
            return Ok(published);
        }
        warn!(metric = metric.name, attempt, "another reconcile committed first; planning anew");
        counter!("braid_reconcile_conflicts_total").increment(1);
        // The attempt's own clock is the jitter: two that collided wake at different times.
        let jitter = platform::clock::now_us().unsigned_abs() % wait.as_micros().max(1) as u64;
        tokio::time::sleep(wait + Duration::from_micros(jitter)).await;
        wait *= 2;
    }
    anyhow::bail!("other reconciles committed first {} times", settings.reconcile.max_attempts)
}

/// Now and then a checkpoint, and files that belong to no version removed. Without it everything still works.
async fn tidy_up(view: &Table, every: u64) {
    if !view.version().is_multiple_of(every) {
        return;
    }
    let tidied = async {
        view.checkpoint().await?;
        view.remove_orphans(ORPHAN_AGE).await
    };
    if let Err(error) = tidied.await {
        warn!(table = view.path(), error = format!("{error:#}"), "cannot tidy up; trying again later");
    }
}
