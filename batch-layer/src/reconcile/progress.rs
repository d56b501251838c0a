//! How far a reconcile has come.

use shared_logic::catalog::Metric;

use super::Reconciler;
use crate::progress::Progress;

impl Reconciler {
    /// How far this reconciler, and those that it was cloned to, have come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The same reconciler, which says there how far it has come.
    pub(crate) fn saying(self, progress: &Progress) -> Reconciler {
        Reconciler { progress: progress.clone(), ..self }
    }

    /// Says how far a metric has come: how many of its days are counted, of how many, and how many rows these have. A rebuild may have
    /// counted some in an earlier step.
    pub(super) fn has_counted(&self, metric: &Metric, done: usize, days: usize, rows: u64) {
        self.progress.say(format_args!("{}: {done} of {days} days, {rows} rows", metric.name));
    }
}
