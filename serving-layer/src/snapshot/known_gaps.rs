//! Gaps that a newer snapshot did not close, so that not every request takes one in vain.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shared_logic::complete::{Gap, Why};

/// Per metric, the version of its view and the gaps.
type ByMetric = BTreeMap<String, (Option<u64>, Vec<Gap>)>;

/// Per metric, the version of its view and the gaps that remained after a newer snapshot was taken.
#[derive(Default)]
pub(super) struct KnownGaps {
    of_metrics: Mutex<ByMetric>,
}

impl KnownGaps {
    /// Whether a newer snapshot could close some of these gaps: perhaps a reconcile committed a view a moment ago, and slices
    /// below its cut were dropped.
    pub(super) fn may_close(&self, metric: &str, view: Option<u64>, gaps: &[Gap]) -> bool {
        let closable =
            |gap: &Gap| matches!(gap.why, Why::NoSliceAtCut { .. } | Why::NotCountedSince { .. } | Why::ArchiveTooOld);
        gaps.iter().any(closable) && self.lock().get(metric).is_none_or(|known| *known != (view, gaps.to_vec()))
    }

    /// Remembers that newer snapshots did not close these gaps.
    pub(super) fn add(&self, metric: &str, view: Option<u64>, gaps: &[Gap]) {
        self.lock().insert(metric.to_owned(), (view, gaps.to_vec()));
    }

    fn lock(&self) -> MutexGuard<'_, ByMetric> {
        self.of_metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
