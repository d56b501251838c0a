//! Why a reconcile failed.

use platform::redis::RedisError;
use platform::store::StoreError;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::batch_view::Pause;
use shared_logic::cut::Behind;
use storage::{BacktestNotKept, FactsNotChanged, ShardError};

use crate::cluster::ClusterError;
use crate::index::IndexError;
use crate::rows::RowsError;
use crate::table::TableError;

/// Why a source or one of its metrics was not reconciled.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// No metric of the source could be reconciled.
    #[error("cannot reconcile source {name}")]
    Source {
        /// The source's name.
        name: String,
        /// Why.
        source: Box<SourceError>,
    },
    /// One table could not be materialised.
    #[error("cannot materialise table {name}")]
    Table {
        /// The table's name.
        name: String,
        /// Why.
        source: Box<TableError>,
    },
    /// One search index could not be built, or compared with its table.
    #[error("cannot keep index {name}")]
    Index {
        /// The index's name.
        name: String,
        /// Why.
        source: Box<IndexError>,
    },
    /// One metric could not be reconciled.
    #[error("cannot reconcile metric {name}")]
    Metric {
        /// The metric's name.
        name: String,
        /// Why.
        source: Box<MetricError>,
    },
}

impl ReconcileError {
    pub(crate) fn of_source(name: &str, error: SourceError) -> ReconcileError {
        ReconcileError::Source { name: name.to_owned(), source: Box::new(error) }
    }

    pub(crate) fn of_table(name: &str, error: TableError) -> ReconcileError {
        ReconcileError::Table { name: name.to_owned(), source: Box::new(error) }
    }

    pub(crate) fn of_index(name: &str, error: IndexError) -> ReconcileError {
        ReconcileError::Index { name: name.to_owned(), source: Box::new(error) }
    }

    pub(crate) fn of_metric(name: &str, error: MetricError) -> ReconcileError {
        ReconcileError::Metric { name: name.to_owned(), source: Box::new(error) }
    }
}

/// Why what all metrics of a source need failed: reading the archive, and rotating the shards.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The archive could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis could not be reached.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The archive could not record that a shard's log lost its tail.
    #[error(transparent)]
    Facts(#[from] FactsNotChanged),
    /// A backtest was not emptied.
    #[error(transparent)]
    Backtest(#[from] BacktestNotKept),
    /// A shard was not rotated. Without knowing its slices, no cut can be taken at which answers are complete.
    #[error(transparent)]
    Shard(#[from] ShardError),
}

/// Why one metric was not reconciled.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// The archive or the view could not be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A shard could not be read: that of a closed log, or one that did not exist when the others were rotated.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The losses of a closed log could not be noted.
    #[error(transparent)]
    Facts(#[from] FactsNotChanged),
    /// The archive lacks offsets that the newest view holds.
    #[error("the archive at version {version} does not reach the cut of the newest view: {}", listed(.behind))]
    ArchiveBehind {
        /// The archive's version.
        version: u64,
        /// Where it is behind.
        behind: Vec<Behind>,
    },
    /// The archive does not hold all rows any more of days that this view has, and would have to count again.
    #[error(
        "the view has days before {before}, of which the archive does not hold every row any more (`retain`), so they cannot be counted \
         as the catalog says now: restore the metric and its source in the catalog; or count what the archive holds under another \
         [pipeline] version; or give these days up, by a `retain` of the metric that ends after them, and run `batch-layer maintain`"
    )]
    Retired {
        /// The first day of which the archive holds every row, `YYYY-MM-DD`.
        before: String,
    },
    /// What a rebuild has counted of a retired day lies above the next cut.
    #[error(
        "a rebuild has counted day {day} beyond the next cut, and the archive does not hold its rows any more; trying again when the \
         cut has reached that"
    )]
    RetiredAbove {
        /// The day, `YYYY-MM-DD`.
        day: String,
    },
    /// A day could not be recomputed.
    #[error("cannot recompute day {day}")]
    Day {
        /// The day, `YYYY-MM-DD`.
        day: String,
        /// Why.
        source: DayError,
    },
    /// Other reconciles committed before every attempt.
    #[error("other reconciles committed first {attempts} times")]
    Overtaken {
        /// How often this one tried.
        attempts: u32,
    },
}

/// Why a day was not recomputed.
#[derive(Debug, thiserror::Error)]
pub enum DayError {
    /// A file could not be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The task was planned with another catalog.
    #[error("this catalog does not define metric {metric} as {definition}, by which the day is to be counted")]
    OtherDefinition {
        /// The metric's name.
        metric: String,
        /// The definition that the task names.
        definition: DefinitionHash,
    },
    /// The cluster has not counted it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Why a view was not repaired as an operator asked. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The catalog has no such metric.
    #[error("the catalog has no metric {name}; it has {}", .known.join(", "))]
    UnknownMetric {
        /// The name.
        name: String,
        /// The names of those that it has.
        known: Vec<String>,
    },
    /// There is no view of the metric yet.
    #[error("metric {metric} has no batch view yet")]
    NoView {
        /// The metric's name.
        metric: String,
    },
    /// There is no archive of the metric's source yet.
    #[error("nothing of source {source_name} is archived yet")]
    NothingArchived {
        /// The source's name.
        source_name: String,
    },
    /// The view was rolled back.
    #[error(
        "the view of {metric} is paused since it was rolled back to version {}: resume it (`batch-layer resume {metric}`), or \
         roll it back to another version by its number (`--to`)", .pause.rolled_back_to
    )]
    Paused {
        /// The metric's name.
        metric: String,
        /// The pause.
        pause: Pause,
    },
    /// No version before the view's is kept.
    #[error("no older version of the view of {metric} is kept (setting `reconcile.keep_versions`)")]
    NoneKept {
        /// The metric's name.
        metric: String,
    },
    /// The version is not kept, or not any more.
    #[error(
        "version {version} of the view of {metric} is not kept; `batch-layer rollback {metric} --list` lists those that are"
    )]
    NotKept {
        /// The metric's name.
        metric: String,
        /// The version.
        version: u64,
    },
    /// A file of the version was deleted by another program.
    #[error("version {version} cannot be had any more: its file {file} is gone")]
    FileGone {
        /// The version.
        version: u64,
        /// The file, relative to the table.
        file: String,
    },
    /// The version is no view of the metric as the catalog defines it.
    #[error(
        "version {version} counts another definition than the catalog's ({definition}), or was counted before records were \
         archived again: put back the catalog that it was counted by, or let reconciles rebuild the view"
    )]
    OtherDefinition {
        /// The version.
        version: u64,
        /// What it counts.
        definition: DefinitionHash,
    },
    /// The archive was replaced by an older copy.
    #[error("the archive does not reach the cut of version {version}")]
    ArchiveLacks {
        /// The version.
        version: u64,
    },
    /// Events were erased since it was counted.
    #[error("events were erased since version {version} was counted, and it would bring them back")]
    Erased {
        /// The version.
        version: u64,
    },
    /// Rows that it has not counted are retired.
    #[error(
        "the archive does not hold every row any more that version {version} has not counted (`retain`), so no reconcile could add them"
    )]
    Retired {
        /// The version.
        version: u64,
    },
    /// The view's table was changed by another program, so it cannot be resumed as it is.
    #[error(
        "the view of {metric} was changed by another program, and to resume it would let reconciles add to what that left: {}, and \
         resume it then", way_out(.metric, .usable)
    )]
    Damaged {
        /// The metric's name.
        metric: String,
        /// The newest version that it can be rolled back to.
        usable: Option<u64>,
    },
    /// The view holds days that could not be counted anew.
    #[error(
        "the view of {metric} was changed by another program, and holds days before {before}, of which the archive does not hold every \
         row any more (`retain`): counted anew it would lack them, so it is not emptied; roll it back to a version that is kept \
         (`batch-layer rollback {metric} --list`), or, if there is none, let it lose these days for good \
         (`batch-layer rebuild {metric} --give-up-retired`)"
    )]
    HoldsRetired {
        /// The metric's name.
        metric: String,
        /// The first day of which the archive holds every row, `YYYY-MM-DD`.
        before: String,
    },
    /// Other processes committed before every attempt.
    #[error("reconciles committed first {attempts} times; try again")]
    Overtaken {
        /// How often this one tried.
        attempts: u32,
    },
    /// The view or the archive could not be read or written. The commit may have been made all the same; to try again is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rebuild failed. The days that were counted are kept.
    #[error(transparent)]
    Reconcile(Box<ReconcileError>),
}

impl From<ReconcileError> for RepairError {
    fn from(error: ReconcileError) -> RepairError {
        RepairError::Reconcile(Box::new(error))
    }
}

impl From<StoreError> for MetricError {
    fn from(error: StoreError) -> MetricError {
        RowsError::from(error).into()
    }
}

impl From<StoreError> for DayError {
    fn from(error: StoreError) -> DayError {
        RowsError::from(error).into()
    }
}

/// What to do about a view that another program has changed, before it can be resumed.
fn way_out(metric: &str, usable: &Option<u64>) -> String {
    match usable {
        Some(version) => {
            format!("roll it back to a version that is kept (`batch-layer rollback {metric} --to {version}`)")
        }
        None => {
            format!("no version of it that could be used is kept, so count it anew (`batch-layer rebuild {metric}`)")
        }
    }
}

fn listed(behind: &[Behind]) -> String {
    behind.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
