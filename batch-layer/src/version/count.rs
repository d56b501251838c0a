//! What is counted of the archive before any shard of a version is opened (K5).
//!
//! From the archive, that is all of it: a first reconcile while there is no shard, which takes what is archived by then (R13). Where shards
//! are opened later, they begin at its cuts. A replay from the log needs of the archive only the logs that have ended, as nobody can read
//! these any more; of all others the cut stays where the archive begins. Both are reconciles, so a process that is killed goes on with the
//! days that it had counted.

use shared_logic::version::ReplayFrom;
use tokio_util::sync::CancellationToken;

use crate::reconcile::{ReconcileError, Reconciler, Report};

/// What was counted.
#[derive(Debug, Default)]
pub struct CountedFirst {
    /// What became of each metric.
    pub reports: Vec<Report>,
    /// The sources that were left as they are, because the speed layer counts them already.
    pub left: Vec<String>,
    /// Whether it was stopped before it came to its end. Called again, it goes on.
    pub is_unfinished: bool,
}

/// Counts what a replay needs of the archive. `reconciler` is that of the version, which is not counted by the speed layer.
///
/// # Errors
/// The first failure. What was counted stays; called again, it goes on.
pub async fn count(
    reconciler: &Reconciler,
    from: ReplayFrom,
    stop: &CancellationToken,
) -> Result<CountedFirst, ReconcileError> {
    let mut reconciler = match from {
        ReplayFrom::Log => reconciler.clone().of_closed_logs(),
        ReplayFrom::Archive => reconciler.clone(),
    };
    let mut left = Vec::new();
    if from == ReplayFrom::Archive {
        // A shard holds what a cut from the archive would pass: it was counted before, and its first reconcile follows its verification.
        for source in reconciler.catalog.sources.keys().cloned().collect::<Vec<_>>() {
            if reconciler.has_shards(&source).await? {
                left.push(source);
            }
        }
        reconciler.catalog.sources.retain(|name, _| !left.contains(name));
        reconciler.catalog.metrics.retain(|_, metric| !left.contains(&metric.source));
    }
    let reconciled = reconciler.reconcile_to_the_end(stop).await;
    let is_unfinished = reconciled.is_unfinished();
    Ok(CountedFirst { reports: reconciled.all()?, left, is_unfinished })
}
