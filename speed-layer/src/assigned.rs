//! The partitions that this process is assigned: a task for each, which counts it, runs its lane or keeps its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc as std_mpsc;

use platform::failpoints;
use platform::kafka::Membership;
use platform::task::joined;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::error::{SourceError, Superseded};
use crate::read::Assignment;
use crate::read::threads::ReadingThreads;

/// Keeps one task per assigned partition, which `start` starts. It is given what tells the partition's reading thread.
///
/// # Errors
/// The first error of a task. The others are stopped then, as at `stop`.
pub async fn follow<F>(
    topic: &str,
    threads: &mut ReadingThreads,
    mut assigned: watch::Receiver<BTreeSet<i32>>,
    stop: &CancellationToken,
    start: impl Fn(i32, std_mpsc::Sender<Assignment>, CancellationToken) -> F,
) -> Result<(), Superseded>
where
    F: Future<Output = Result<(), Superseded>> + Send + 'static,
{
    let mut loops: BTreeMap<i32, CancellationToken> = BTreeMap::new();
    let mut running = JoinSet::new();
    let mut outcome = Ok(());
    while !stop.is_cancelled() && outcome.is_ok() {
        let now = assigned.borrow_and_update().clone();
        if loops.keys().any(|partition| !now.contains(partition)) {
            // Where it pauses, what was assigned goes on.
            failpoints::pass("speed::before_revoked");
        }
        loops.retain(|partition, stop_loop| {
            let keep = now.contains(partition);
            if !keep {
                info!(topic, partition, "partition revoked");
                stop_loop.cancel();
                threads.stops(*partition);
            }
            keep
        });
        for partition in now {
            loops.entry(partition).or_insert_with(|| {
                info!(topic, partition, "partition assigned");
                let (stop_loop, reader) = (stop.child_token(), threads.reads(partition));
                running.spawn(start(partition, reader, stop_loop.clone()));
                stop_loop
            });
        }
        tokio::select! {
            changed = assigned.changed() => if changed.is_err() { break },
            Some(ended) = running.join_next() => outcome = joined(ended),
            () = stop.cancelled() => {}
        }
    }
    // Reading stops; what is sealed or under way is applied, and the loops end after their last micro-batch.
    for partition in loops.keys() {
        threads.stops(*partition);
    }
    loops.values().for_each(CancellationToken::cancel);
    while let Some(ended) = running.join_next().await {
        outcome = outcome.and(joined(ended));
    }
    outcome
}

/// Ends what a source has beside the tasks of its partitions, which have ended. Leaving the group tells it at once that the partitions are
/// free.
///
/// # Errors
/// If a reading thread panicked, or the group was not left in an orderly way.
pub async fn leave(
    mut background: JoinSet<()>,
    membership: Membership,
    threads: ReadingThreads,
) -> Result<(), SourceError> {
    background.shutdown().await;
    let left = tokio::task::spawn_blocking(move || {
        drop(membership);
        threads.join()
    });
    left.await.map_err(SourceError::NotLeft)?
}
