//! Which offsets a reconcile takes: what rotates return, once the archive covers it (R1, R3); and of logs that ended, all that is
//! archived, once it is noted what of them is lost (R6).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use platform::redis::Connection;
use platform::settings::Settings;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::speed_view::ShardKeys;
use shared_logic::contracts::speed_view::script::{self, Reply};
use shared_logic::cut::{self, CutPlan};
use shared_logic::log::PartitionId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::archive::Archive;

/// The begins that rotates returned. A partition without a shard is not in it.
pub(super) type Rotated = BTreeMap<PartitionId, i64>;

/// The shards of one source, as a reconcile sees them.
pub(super) struct Shards<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) source: &'a Source,
    redis: Connection,
    /// Closed logs whose shards this reconcile has asked.
    settled: BTreeSet<String>,
}

impl Shards<'_> {
    /// Connects to Redis.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub(super) async fn connect<'a>(
        settings: &Settings,
        catalog: &'a Catalog,
        source: &'a Source,
    ) -> anyhow::Result<Shards<'a>> {
        let redis = platform::redis::connect(&settings.redis).await?;
        Ok(Shards { catalog, source, redis, settled: BTreeSet::new() })
    }

    /// R3: rotates every shard of the source's open logs.
    ///
    /// # Errors
    /// If Redis does not answer: without a slice that begins at the cut, answers would be incomplete until the next reconcile.
    pub(super) async fn rotate(&mut self, facts: &Facts, max_slices: usize) -> anyhow::Result<Rotated> {
        let rotate = redis::Script::new(script::ROTATE);
        let mut rotated = Rotated::new();
        for (id, _) in facts.partitions().filter(|(id, _)| !facts.is_closed(&id.log)) {
            let mut invocation = rotate.key(self.key(&id));
            let fields: Vec<String> = invocation
                .arg(max_slices)
                .invoke_async(&mut self.redis)
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

    /// R6: before a cut reaches a closed log's end, the archive has to know what the speed layer counted beyond it. That had
    /// arrived, and with this cut nobody counts it any more: it is lost, and said to be.
    ///
    /// # Errors
    /// If Redis does not answer, or the archive cannot be written.
    pub(super) async fn settle(&mut self, archive: &mut Archive) -> anyhow::Result<()> {
        loop {
            let closed = archive.facts.logs.iter().filter(|log| log.closed).map(|log| log.log.clone());
            let news: Vec<String> = closed.filter(|log| !self.settled.contains(log)).collect();
            if news.is_empty() {
                return Ok(());
            }
            let (read, mut cursors) = (redis::Script::new(script::READ), BTreeMap::new());
            for (id, end) in archive.facts.closed_partitions().filter(|(id, _)| news.contains(&id.log)) {
                let fields: Vec<String> = read.key(self.key(&id)).invoke_async(&mut self.redis).await?;
                let Some(shard) = script::positions(&fields)? else { continue };
                if shard.cursor > end {
                    error!(%id, from = end, to = shard.cursor, "the log ended before what speed had counted was archived: answers have a gap until `batch-layer lost accept`");
                }
                cursors.insert(id, shard.cursor);
            }
            archive.change("SETTLE", |facts| news.iter().for_each(|log| facts.settle(log, &cursors))).await?;
            self.settled.extend(news);
        }
    }

    fn key(&self, id: &PartitionId) -> String {
        ShardKeys::new(&self.catalog.deployment, &self.source.name, id).shard()
    }
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
