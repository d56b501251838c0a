//! What a reconcile did for one metric.

use std::fmt;
use std::time::Duration;

use metrics::{counter, histogram};
use tracing::info;

/// What a reconcile did for one metric, as an operator reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The metric's name.
    pub metric: String,
    /// What was committed.
    pub replaced: Replaced,
    /// How long it took.
    pub took: Duration,
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
    /// Writes it to the log and to telemetry.
    pub(super) fn record(&self) {
        let Report { metric, replaced: Replaced { version, days, rows, rebuilt }, took } = self;
        info!(metric, version, days, rows, rebuilt, took_ms = took.as_millis(), "reconciled");
        counter!("braid_reconcile_total", "metric" => metric.clone()).increment(1);
        histogram!("braid_reconcile_seconds", "metric" => metric.clone()).record(*took);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { metric, replaced: Replaced { version, days, rows, rebuilt }, took } = self;
        let how = if *rebuilt { " (rebuilt)" } else { "" };
        write!(f, "{metric}: version {version}, {days} days with {rows} rows replaced{how} in {} ms", took.as_millis())
    }
}
