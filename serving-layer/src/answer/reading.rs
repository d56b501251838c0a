//! Reads as of the newest snapshot, and as of newer ones for as long as these may close a gap: perhaps a reconcile committed a view a moment
//! ago, and the slices below its cut were dropped (R10).

use std::sync::Arc;
use std::time::Duration;

use shared_logic::catalog::Metric;

use crate::problem::Problem;
use crate::snapshot::{Snapshot, Unreadable};
use crate::speed_view::Judged;
use crate::versions::Version;

/// How many newer snapshots a request takes before its answer says that it is incomplete.
const NEWER_SNAPSHOTS: usize = 2;

/// What `read` gives, of which `judged` says what may be missing.
///
/// # Errors
/// If there is no snapshot after `first_within`, the metric's view cannot be read, or `read` fails.
pub(super) async fn as_of_snapshots<R, F: Future<Output = Result<R, Problem>>>(
    version: &Version,
    metric: &Metric,
    first_within: Duration,
    judged: impl Fn(&R) -> &Judged,
    read: impl Fn(Arc<Snapshot>) -> F,
) -> Result<R, Problem> {
    let mut snapshot = match version.snapshots.current() {
        Some(snapshot) => snapshot,
        None => {
            let first = tokio::time::timeout(first_within, version.snapshots.newest()).await;
            first.ok().flatten().ok_or_else(Problem::starting)?
        }
    };
    let mut newer = 0;
    loop {
        match snapshot.unreadable(metric) {
            Some(Unreadable::Loading) => return Err(Problem::loading(&metric.name)),
            Some(Unreadable::Failed(reason)) => return Err(Problem::store(reason)),
            None => {}
        }
        let gathered = read(Arc::clone(&snapshot)).await?;
        let view = snapshot.view(&metric.name).map(|view| view.version);
        let gaps = &judged(&gathered).verdict.gaps;
        if !version.snapshots.may_close(&metric.name, view, gaps) {
            return Ok(gathered);
        }
        if newer == NEWER_SNAPSHOTS {
            version.snapshots.not_closed(&metric.name, view, gaps);
            return Ok(gathered);
        }
        newer += 1;
        snapshot = version.snapshots.newer().await.ok_or_else(Problem::internal)?;
    }
}
