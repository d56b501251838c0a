//! Maintenance of the tables, beside running archivers and reconciles.
//!
//! A pass does four things, in this order, for the archives and batch views that are asked for:
//!
//! - `retention`: whole days that are older than `retain` leave the table;
//! - `compaction`: files of one day are merged, those of an archive in the order of event time;
//! - `vacuum`: what no version needs any more is deleted, and a checkpoint is written;
//! - `report`: what was done, or would be.
//!
//! Whatever it commits is the very next version after the one that it was planned on, and it is planned anew when another writer comes
//! first. So two passes at once do each thing once, and one that is killed leaves orphans at most. A table that fails does not keep the
//! others from being maintained.

mod compaction;
mod counted;
mod report;
mod retention;
mod vacuum;

use std::collections::BTreeSet;

use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::catalog::{Metric, Source};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::reconcile::{MetricError, Reconciler};
use crate::rows::RowsError;

pub use self::report::{Report, Step};

/// How often a commit is planned anew after another writer came first.
const ATTEMPTS: u32 = 20;

/// What a pass is to do.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// The sources and metrics whose tables are maintained; all, if none is named. A name that a source and a metric share means both.
    pub names: &'a [String],
    /// Whether it only says what it would do.
    pub dry_run: bool,
    /// What time it is, microseconds since 1970.
    pub now_us: i64,
}

/// Why a pass did not do everything.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The catalog has neither a source nor a metric of that name.
    #[error("the catalog declares neither a source nor a metric `{name}`")]
    UnknownName {
        /// The name that was asked for.
        name: String,
    },
    /// A table could not be maintained.
    #[error("cannot maintain the table {table}")]
    Table {
        /// The table's path below the deployment's folder.
        table: String,
        /// Why.
        source: Box<TableError>,
    },
}

/// Why one table was not maintained.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It could not be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The rows of a view, or the index of identities, could not be read or written.
    #[error(transparent)]
    Counting(Box<MetricError>),
    /// Other writers committed before every attempt.
    #[error("other writers committed first {ATTEMPTS} times; try again")]
    Overtaken,
}

impl From<MetricError> for TableError {
    fn from(error: MetricError) -> TableError {
        TableError::Counting(Box::new(error))
    }
}

impl From<StoreError> for TableError {
    fn from(error: StoreError) -> TableError {
        RowsError::from(error).into()
    }
}

/// Maintains the tables of a catalog once. From `stop` on it begins nothing more.
///
/// # Errors
/// The first failure, after every table was tried.
pub async fn run(
    reconciler: &Reconciler,
    pass: Pass<'_>,
    stop: &CancellationToken,
) -> Result<Vec<Report>, MaintenanceError> {
    let catalog = &reconciler.catalog;
    let is_unknown = |name: &&String| !catalog.sources.contains_key(*name) && !catalog.metrics.contains_key(*name);
    if let Some(name) = pass.names.iter().find(is_unknown) {
        return Err(MaintenanceError::UnknownName { name: name.clone() });
    }
    let is_asked = |name: &String| pass.names.is_empty() || pass.names.contains(name);
    let (mut reports, mut outcome) = (Vec::new(), Ok(()));
    // Notes what became of a table, and returns whether it was maintained.
    let mut note = |table: String, done: Result<Vec<Step>, TableError>| match done {
        Ok(steps) => {
            for step in steps {
                let report = Report { table: table.clone(), dry_run: pass.dry_run, step };
                info!("{report}");
                reports.push(report);
            }
            true
        }
        Err(source) => {
            error!(table, error = error_text(&source), "cannot maintain a table");
            if outcome.is_ok() {
                outcome = Err(MaintenanceError::Table { table, source: Box::new(source) });
            }
            false
        }
    };
    let progress = reconciler.progress();
    let mut lacking = BTreeSet::new();
    // Views first: an archive retires only what no view holds any more from the index of identities.
    for metric in catalog.metrics.values() {
        let table = shared_logic::contracts::batch_view::path(&catalog.deployment.version, &metric.name);
        progress.say(format_args!("looking at {table}"));
        if !is_asked(&metric.name) || !note(table, view(reconciler, metric, pass, stop).await) {
            lacking.insert(&metric.source);
        }
    }
    // An archive that versions share is maintained by the catalog by which it is written.
    let is_owned = |source: &Source| {
        let owned = reconciler.versions.archived();
        owned.iter().any(|unit| unit.owner == catalog.deployment.version && unit.source == source.name)
    };
    for source in catalog.sources.values().filter(|source| is_asked(&source.name) && is_owned(source)) {
        let table = shared_logic::contracts::archive::path(&catalog.deployment.archive_name(&source.name));
        progress.say(format_args!("looking at {table}"));
        let is_last = !lacking.contains(&source.name);
        note(table, archive(reconciler, source, pass, is_last, stop).await);
    }
    outcome.map(|()| reports)
}

/// Maintains the batch view of a metric.
async fn view(
    reconciler: &Reconciler,
    metric: &Metric,
    pass: Pass<'_>,
    stop: &CancellationToken,
) -> Result<Vec<Step>, TableError> {
    let Some(mut view) = reconciler.storage.batch_view(&metric.name).await? else { return Ok(Vec::new()) };
    let mut steps = Vec::new();
    if !stop.is_cancelled() {
        steps.extend(retention::of_view(metric, &mut view, pass).await?);
    }
    if !stop.is_cancelled() {
        steps.extend(compaction::of_view(reconciler, metric, &mut view, pass).await?);
    }
    if !stop.is_cancelled() {
        steps.extend(vacuum::of_view(reconciler, metric, &view, pass).await?);
    }
    Ok(steps)
}

/// Maintains the archive of a source, and its index of identities. `is_last`: every view of the source is maintained, so that the pass
/// is over with it.
async fn archive(
    reconciler: &Reconciler,
    source: &Source,
    pass: Pass<'_>,
    is_last: bool,
    stop: &CancellationToken,
) -> Result<Vec<Step>, TableError> {
    let Some(mut archive) = reconciler.storage.archive(&source.name).await? else { return Ok(Vec::new()) };
    let mut steps = Vec::new();
    if !stop.is_cancelled() {
        steps.extend(retention::of_archive(reconciler, source, &mut archive, pass).await?);
    }
    if !stop.is_cancelled() {
        steps.extend(compaction::of_archive(reconciler, source, &mut archive, pass, stop).await?);
    }
    if !stop.is_cancelled() {
        steps.extend(vacuum::of_archive(source, &mut archive, pass).await?);
    }
    if is_last && !stop.is_cancelled() && !pass.dry_run {
        archive.note_maintained(pass.now_us).await?;
    }
    Ok(steps)
}
