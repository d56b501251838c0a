//! R8: drops slices that every batch view holds, from the front, after a grace period.
//!
//! One script first takes the slices from the shard's list; from then on no reader counts them. A sweep then unlinks their
//! counters, which it finds by their names. This is a task of the source beside its counting loops; it does not take part in counting.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use platform::redis::Connection;
use platform::telemetry::error_text;
use shared_logic::contracts::speed_view::Refusal;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::log::PartitionId;
use storage::ShardError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::source::Shared;
use crate::batch_side::Boundary;

/// Drops what can be dropped, every `speed.drop_every`, until `stop`.
pub async fn run(shared: Arc<Shared>, redis: Connection, stop: CancellationToken) {
    let grace_periods = GracePeriods::default();
    let mut expiry = Expiry { shared: &shared, redis, grace_periods, deleted: BTreeSet::new(), sweeps_all: true };
    loop {
        tokio::select! {
            () = tokio::time::sleep(shared.settings.drop_every.get()) => {}
            () = stop.cancelled() => return,
        }
        let read = shared.batch_side.lock().await.boundary().await;
        let boundary = match read {
            Ok(boundary) => boundary,
            Err(error) => {
                warn!(error = error_text(&error), "cannot read the batch views; nothing is dropped");
                continue;
            }
        };
        if let Some(facts) = &boundary.archive {
            shared.facts.send_replace(Arc::clone(facts));
        }
        if let Err(error) = expiry.round(&boundary).await {
            warn!(error = error_text(&error), "cannot drop slices now; trying again");
        }
    }
}

/// What is remembered from one round to the next.
struct Expiry<'a> {
    shared: &'a Shared,
    redis: Connection,
    grace_periods: GracePeriods,
    /// The shards of closed logs that are known to be deleted.
    deleted: BTreeSet<PartitionId>,
    /// Whether shards are swept even if none of their slices was dropped. Until the first complete round they are, which
    /// removes what an earlier worker left behind.
    sweeps_all: bool,
}

impl Expiry<'_> {
    async fn round(&mut self, boundary: &Boundary) -> Result<(), ShardError> {
        self.drop_slices(boundary).await?;
        self.delete_closed(boundary).await?;
        self.sweeps_all = false;
        Ok(())
    }

    /// Drops the front slices of the shards that this worker counts into.
    async fn drop_slices(&mut self, boundary: &Boundary) -> Result<(), ShardError> {
        let counting = self.shared.counting.borrow().clone();
        let grace = self.shared.settings.drop_grace.get();
        for id in &counting {
            let Some(cut) = boundary.droppable(id) else { continue };
            let Some(cut) = self.grace_periods.expired(id, cut, grace) else {
                if self.sweeps_all {
                    self.sweep(id).await?;
                }
                continue;
            };
            let keys = self.shared.keys(id);
            let before = self.shared.shards.positions(&mut self.redis, &keys).await?;
            let before = before.map_or(0, |shard| shard.slices.len());
            if let Reply::Done(shard) = self.shared.shards.drop_below(&mut self.redis, &keys, cut).await?
                && (shard.slices.len() < before || self.sweeps_all)
            {
                debug!(%id, cut, left = shard.slices.len(), "dropped slices");
                let dropped = before - shard.slices.len().min(before);
                counter!("braid_speed_slices_dropped_total").increment(dropped as u64);
                self.sweep(id).await?;
            }
        }
        Ok(())
    }

    /// Deletes the shards of closed logs that lie wholly below every cut. A shard that counted beyond what is archived
    /// stays until a reconcile has noted the difference as lost. Any worker may do this; repeating it is harmless.
    async fn delete_closed(&mut self, boundary: &Boundary) -> Result<(), ShardError> {
        for (id, end) in boundary.deletable(&self.shared.catalog.deployment.version) {
            if self.deleted.contains(&id) {
                continue;
            }
            match self.shared.shards.delete(&mut self.redis, &self.shared.keys(&id), end).await? {
                Reply::Done(_) => info!(%id, "deleted the shard of a closed log"),
                Reply::Refused(Refusal::Missing) => {}
                Reply::Refused(Refusal::Differs(_)) => continue,
            }
            // Also where another worker has deleted it, and was killed before it could sweep.
            self.sweep(&id).await?;
            self.deleted.insert(id);
        }
        Ok(())
    }

    async fn sweep(&mut self, id: &PartitionId) -> Result<(), ShardError> {
        let unlinked = |keys| counter!("braid_speed_keys_unlinked_total").increment(keys);
        self.shared.shards.sweep(&mut self.redis, &self.shared.keys(id), unlinked).await
    }
}

/// Since when each partition's cuts are known. A reader may still use the view before a cut.
#[derive(Debug, Default)]
struct GracePeriods {
    cuts: BTreeMap<PartitionId, VecDeque<KnownCut>>,
}

#[derive(Debug, Clone, Copy)]
struct KnownCut {
    since: Instant,
    cut: i64,
}

impl GracePeriods {
    /// Notes the partition's cut, and returns the largest one that has been known for at least `grace`. A larger one than it is now
    /// counts no more: a rollback has lowered it, and the view needs the slices in between.
    fn expired(&mut self, id: &PartitionId, cut: i64, grace: Duration) -> Option<i64> {
        let cuts = self.cuts.entry(id.clone()).or_default();
        cuts.retain(|known| known.cut <= cut);
        if cuts.back().is_none_or(|last| last.cut != cut) {
            cuts.push_back(KnownCut { since: Instant::now(), cut });
        }
        let mut expired = None;
        while let Some(first) = cuts.front().copied().filter(|first| first.since.elapsed() >= grace) {
            expired = Some(first.cut);
            if cuts.len() == 1 {
                // The newest cut stays known, so that it is not taken for a new one again.
                break;
            }
            cuts.pop_front();
        }
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_counts_once_it_was_known_for_the_grace() {
        let id = PartitionId::new("log", 0);
        let mut graces = GracePeriods::default();
        let (long, none) = (Duration::from_secs(3_600), Duration::ZERO);
        assert_eq!(graces.expired(&id, 5, long), None, "a reader may still use the view before it");
        assert_eq!(graces.expired(&id, 5, none), Some(5));
        assert_eq!(graces.expired(&id, 5, none), Some(5), "it stays known");
        assert_eq!(graces.expired(&id, 9, long), None);
        assert_eq!(graces.expired(&PartitionId::new("log", 1), 2, long), None, "each partition has its own");
        assert_eq!(graces.expired(&id, 9, none), Some(9), "of several the newest");
    }

    #[test]
    fn a_cut_that_was_lowered_by_a_rollback_does_not_count() {
        let (id, mut graces) = (PartitionId::new("log", 0), GracePeriods::default());
        let (grace, none) = (Duration::from_millis(20), Duration::ZERO);
        assert_eq!(graces.expired(&id, 9, Duration::from_secs(3_600)), None);
        std::thread::sleep(2 * grace);
        assert_eq!(graces.expired(&id, 5, grace), None, "the slices from 5 to 9 are needed again");
        assert_eq!(graces.expired(&id, 5, none), Some(5));
        assert_eq!(graces.expired(&id, 9, none), Some(9));
    }
}
