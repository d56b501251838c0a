//! What a reconcile did for one metric.

use std::fmt;
use std::time::Duration;

use metrics::{counter, histogram};
use shared_logic::log::PartitionId;
use tracing::{info, warn};

/// What a reconcile did for one metric, as an operator reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The metric's name.
    pub metric: String,
    /// What became of its view.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// What became of a metric's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is a new version of it.
    Replaced(Replaced),
    /// It counts another definition. Some days of the one that replaces it are counted; the others are left to the next
    /// step.
    Unfinished {
        /// How many days are counted.
        done: usize,
        /// Of how many.
        days: usize,
    },
    /// It counts another definition, and so does this partition's shard: workers with another catalog are at work.
    Waiting {
        /// The partition.
        partition: PartitionId,
    },
}

/// What one commit replaced in a batch view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The view's version after the commit.
    pub version: u64,
    /// How many days were replaced.
    pub days: usize,
    /// How many rows these days have.
    pub rows: u64,
    /// Whether the whole view was counted anew.
    pub rebuilt: bool,
}

impl Report {
    /// Whether days of a rebuild are left to the next step.
    pub fn is_unfinished(&self) -> bool {
        matches!(self.outcome, Outcome::Unfinished { .. })
    }

    /// Writes it to the log and to telemetry.
    pub(super) fn record(&self) {
        let Report { metric, outcome, took } = self;
        let took_ms = took.as_millis();
        match outcome {
            Outcome::Replaced(Replaced { version, days, rows, rebuilt }) => {
                info!(metric, version, days, rows, rebuilt, took_ms, "reconciled");
                counter!("braid_reconcile_total", "metric" => metric.clone()).increment(1);
                histogram!("braid_reconcile_seconds", "metric" => metric.clone()).record(*took);
            }
            Outcome::Unfinished { done, days } => {
                info!(metric, done, days, took_ms, "the view is being rebuilt; the next step continues");
            }
            Outcome::Waiting { partition } => {
                warn!(metric, %partition, "the view counts another definition, and so does this shard: it is not replaced before `speed-layer` runs with this catalog everywhere");
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { metric, outcome, took } = self;
        let took_ms = took.as_millis();
        match outcome {
            Outcome::Replaced(Replaced { version, days, rows, rebuilt }) => {
                let how = if *rebuilt { " (rebuilt)" } else { "" };
                write!(f, "{metric}: version {version}, {days} days with {rows} rows replaced{how} in {took_ms} ms")
            }
            Outcome::Unfinished { done, days } => {
                write!(f, "{metric}: {done} of {days} days rebuilt so far, in {took_ms} ms")
            }
            Outcome::Waiting { partition } => write!(
                f,
                "{metric}: not replaced, because the shard of {partition} does not count this definition yet; start \
                 `speed-layer` with this catalog"
            ),
        }
    }
}
