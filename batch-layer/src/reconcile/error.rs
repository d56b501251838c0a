//! Why a reconcile failed.

use platform::redis::RedisError;
use platform::store::StoreError;
use shared_logic::catalog::DefinitionHash;
use shared_logic::cut::Behind;
use storage::{FactsNotChanged, ShardError};

use crate::rows::RowsError;

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

fn listed(behind: &[Behind]) -> String {
    behind.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
