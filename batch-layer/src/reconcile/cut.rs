//! Which offsets a reconcile takes: what rotates return, once the archive covers it (R1, R3).

use std::collections::BTreeMap;

use anyhow::Context;
use platform::settings::Settings;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::PartitionId;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::speed_view::ShardKeys;
use shared_logic::contracts::speed_view::script::{self, Reply};
use shared_logic::cut::{self, CutPlan};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Archive;

/// The begins that rotates returned. A partition without a shard is not in it.
pub(super) type Rotated = BTreeMap<PartitionId, i64>;

/// Rotates every shard of the source's open logs.
///
/// # Errors
/// If Redis cannot be asked: without a slice that begins at the cut, answers would be incomplete until the next reconcile.
pub(super) async fn rotate(
    settings: &Settings,
    catalog: &Catalog,
    source: &Source,
    facts: &Facts,
) -> anyhow::Result<Rotated> {
    let mut redis = platform::redis::connect(&settings.redis).await?;
    let rotate = redis::Script::new(script::ROTATE);
    let mut rotated = Rotated::new();
    for (id, _) in facts.partitions().filter(|(id, _)| !facts.is_closed(&id.log)) {
        let key = ShardKeys::new(catalog, &source.name, &id).shard();
        let fields: Vec<String> = rotate
            .key(key)
            .arg(settings.speed.max_slices)
            .invoke_async(&mut redis)
            .await
            .with_context(|| format!("cannot rotate the shard of {id}"))?;
        match script::reply(&fields)? {
            Reply::Done(shard) => {
                if shard.last_slice() != shard.cursor {
                    warn!(%id, slices = shard.slices.len(), "too many slices: no new one until the speed layer drops some");
                }
                rotated.insert(id, shard.last_slice());
            }
            Reply::Refused(_) => info!(%id, "no shard to rotate; taking what is archived"),
        }
    }
    Ok(rotated)
}

/// Waits, bounded and until `stop`, until the archive covers what was rotated. What it does not cover by then is left to the next
/// reconcile: the cut is what is archived, which is as exact and only not the begin of a slice.
pub(super) async fn wait_for_archive(
    settings: &Settings,
    stop: &CancellationToken,
    archive: &mut Archive,
    rotated: &mut Rotated,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + settings.reconcile.wait.get();
    loop {
        let CutPlan::Waiting(behind) = cut::plan(None, rotated, &archive.facts) else { return Ok(()) };
        if Instant::now() >= deadline || stop.is_cancelled() {
            for late in behind {
                warn!(id = %late.partition, wanted = late.wanted, archived = late.archived, "the archive is behind; is `batch-layer archive` running?");
                rotated.insert(late.partition, late.archived);
            }
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(settings.reconcile.poll.get()) => {}
            () = stop.cancelled() => {}
        }
        archive.refresh().await?;
    }
}
