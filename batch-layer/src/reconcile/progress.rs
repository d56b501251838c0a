//! How far a reconcile has come, for a person who waits for it.

use std::fmt;

use shared_logic::catalog::Metric;
use tokio::sync::watch;

use super::Reconciler;

/// How far the counting of a metric's days has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The metric that is counted; empty before the first day of any.
    pub metric: String,
    /// How many of its days are counted. A rebuild may have counted some in an earlier step.
    pub done: usize,
    /// Of how many.
    pub days: usize,
    /// How many rows these days have.
    pub rows: u64,
}

impl Reconciler {
    /// Follows how far this reconciler, and those that it was cloned to, have come.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Tells how far a metric has come.
    pub(super) fn has_counted(&self, metric: &Metric, done: usize, days: usize, rows: u64) {
        self.progress.send_replace(Progress { metric: metric.name.clone(), done, days, rows });
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { metric, done, days, rows } = self;
        if metric.is_empty() {
            return f.write_str("looking for what is new");
        }
        write!(f, "{metric}: {done} of {days} days, {rows} rows")
    }
}
