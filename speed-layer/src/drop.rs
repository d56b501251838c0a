//! R8: slices that every batch view holds are removed, from the front, after a grace period.
//!
//! First the begins go, in one script: from then on no reader counts the slices. Their values are unlinked afterwards, in
//! bounded steps that refuse a slice that is still listed. Values are found by scanning the shard's keys, so what a killed
//! worker left behind goes with the next sweep.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use metrics::counter;
use platform::redis::Connection;
use shared_logic::contracts::speed_view::script::{self, Reply};
use shared_logic::contracts::speed_view::{Refusal, ShardKeys};
use shared_logic::log::PartitionId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::boundary::Boundary;
use crate::lane::Shared;

/// How many keys one step of a scan looks at.
const SCAN_KEYS: usize = 1_000;
/// How many keys one unlink removes.
const UNLINK_KEYS: usize = 500;

/// Drops what can be dropped, every `speed.drop_every`, until `stop`.
pub async fn run(shared: Arc<Shared>, mut redis: Connection, stop: CancellationToken) {
    let (mut graces, mut gone) = (Graces::default(), BTreeSet::new());
    let mut first = true;
    loop {
        tokio::select! {
            () = tokio::time::sleep(shared.settings.drop_every.get()) => {}
            () = stop.cancelled() => return,
        }
        let looked = shared.batch.lock().await.look().await;
        let boundary = match looked {
            Ok(boundary) => boundary,
            Err(error) => {
                warn!(%error, "cannot look at the batch views; nothing is dropped");
                continue;
            }
        };
        // The first sweep collects what an earlier worker left behind.
        let dropped = async {
            drop_owned(&shared, &mut redis, &boundary, &mut graces, first).await?;
            drop_closed(&shared, &mut redis, &boundary, &mut gone).await
        };
        match dropped.await {
            Ok(()) => first = false,
            Err(error) => warn!(error = format!("{error:#}"), "cannot drop slices now"),
        }
    }
}

/// Drops the front slices of the shards that this worker counts into.
async fn drop_owned(
    shared: &Shared,
    redis: &mut Connection,
    boundary: &Boundary,
    graces: &mut Graces,
    sweep_all: bool,
) -> anyhow::Result<()> {
    let owned: BTreeSet<PartitionId> = shared.owned.borrow().clone();
    let grace = shared.settings.drop_grace.get();
    for id in &owned {
        let Some(cut) = boundary.droppable(id) else { continue };
        let Some(cut) = graces.past(id, cut, grace) else {
            if sweep_all {
                sweep(shared, redis, id).await?;
            }
            continue;
        };
        let keys = keys(shared, id);
        let mut drop = shared.scripts.drop.key(keys.shard());
        let before = slices(shared, redis, &keys).await?;
        let fields: Vec<String> = drop.arg(cut).invoke_async(redis).await?;
        if let Reply::Done(shard) = script::reply(&fields)?
            && (shard.slices.len() < before || sweep_all)
        {
            debug!(%id, cut, left = shard.slices.len(), "dropped slices");
            counter!("braid_speed_slices_dropped_total").increment((before - shard.slices.len().min(before)) as u64);
            sweep(shared, redis, id).await?;
        }
    }
    Ok(())
}

/// Shards of closed logs that lie wholly below every cut are deleted; one that counted beyond what is archived stays until a
/// reconcile has noted that as lost. Every worker may do it, and twice is once.
async fn drop_closed(
    shared: &Shared,
    redis: &mut Connection,
    boundary: &Boundary,
    gone: &mut BTreeSet<PartitionId>,
) -> anyhow::Result<()> {
    for (id, end) in boundary.deletable().into_iter().filter(|(id, _)| !gone.contains(id)).collect::<Vec<_>>() {
        let fields: Vec<String> =
            shared.scripts.delete.key(keys(shared, &id).shard()).arg(end).invoke_async(redis).await?;
        match script::reply(&fields)? {
            Reply::Done(_) => {
                info!(%id, "the shard of a closed log is deleted");
                sweep(shared, redis, &id).await?;
            }
            Reply::Refused(Refusal::Missing) => {}
            Reply::Refused(Refusal::Differs(_)) => continue,
        }
        gone.insert(id);
    }
    Ok(())
}

/// Unlinks the counters of every slice of the shard that is not listed.
async fn sweep(shared: &Shared, redis: &mut Connection, id: &PartitionId) -> anyhow::Result<()> {
    let keys = keys(shared, id);
    let shard = read(shared, redis, &keys).await?;
    let listed: BTreeSet<i64> = shard.iter().flatten().copied().collect();
    let mut cursor = 0_u64;
    let mut garbage: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    loop {
        let (next, found): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(keys.counters_pattern())
            .arg("COUNT")
            .arg(SCAN_KEYS)
            .query_async(redis)
            .await?;
        for key in found {
            if let Some(slice) = keys.slice_of(&key).filter(|slice| !listed.contains(slice)) {
                garbage.entry(slice).or_default().push(key);
            }
        }
        for (slice, found) in &mut garbage {
            while found.len() >= UNLINK_KEYS || (next == 0 && !found.is_empty()) {
                let step = found.split_off(found.len().saturating_sub(UNLINK_KEYS));
                let mut unlink = shared.scripts.unlink.key(keys.shard());
                for key in &step {
                    unlink.key(key);
                }
                let gone: u64 = unlink.arg(*slice).invoke_async(redis).await?;
                counter!("braid_speed_keys_unlinked_total").increment(gone);
            }
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

async fn slices(shared: &Shared, redis: &mut Connection, keys: &ShardKeys) -> anyhow::Result<usize> {
    Ok(read(shared, redis, keys).await?.map_or(0, |slices| slices.len()))
}

/// The shard's slices; `None` if there is no shard.
async fn read(shared: &Shared, redis: &mut Connection, keys: &ShardKeys) -> anyhow::Result<Option<Vec<i64>>> {
    let fields: Vec<String> = shared.scripts.read.key(keys.shard()).invoke_async(redis).await?;
    Ok(script::positions(&fields)?.map(|shard| shard.slices))
}

fn keys(shared: &Shared, id: &PartitionId) -> ShardKeys {
    ShardKeys::new(&shared.catalog.deployment, &shared.metrics.source.name, id)
}

/// Since when each cut was known. A reader may still look at the view before it.
#[derive(Debug, Default)]
struct Graces {
    seen: BTreeMap<PartitionId, VecDeque<(Instant, i64)>>,
}

impl Graces {
    /// Notes the cut, and gives the largest one that was known for at least `grace`.
    fn past(&mut self, id: &PartitionId, cut: i64, grace: std::time::Duration) -> Option<i64> {
        let seen = self.seen.entry(id.clone()).or_default();
        if seen.back().is_none_or(|(_, last)| *last != cut) {
            seen.push_back((Instant::now(), cut));
        }
        let mut past = None;
        while let Some((_, cut)) = seen.front().copied().filter(|(at, _)| at.elapsed() >= grace) {
            past = Some(cut);
            if seen.len() == 1 {
                // The newest cut stays known, so that it is not seen as new again.
                break;
            }
            seen.pop_front();
        }
        past
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cut_counts_once_it_was_known_for_the_grace() {
        let id = PartitionId::new("log", 0);
        let mut graces = Graces::default();
        let (long, none) = (Duration::from_secs(3_600), Duration::ZERO);
        assert_eq!(graces.past(&id, 5, long), None, "a reader may still look at the view before it");
        assert_eq!(graces.past(&id, 5, none), Some(5));
        assert_eq!(graces.past(&id, 5, none), Some(5), "it stays known");
        assert_eq!(graces.past(&id, 9, long), None);
        assert_eq!(graces.past(&PartitionId::new("log", 1), 2, long), None, "each partition has its own");
        assert_eq!(graces.past(&id, 9, none), Some(9), "of several the newest");
    }
}
