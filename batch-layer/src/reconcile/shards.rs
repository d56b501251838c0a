//! What a reconcile asks of the shards of one source: new slices (R3), which shards there are by now (R13), how far closed logs
//! were counted (R6), and what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use platform::redis::{Connection, RedisError};
use platform::settings;
use shared_logic::catalog::{DefinitionHash, Deployment};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::speed_view::ShardKeys;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::cut::Rotated;
use shared_logic::log::PartitionId;
use storage::{Archive, ShardClient, ShardError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::error::MetricError;

/// The shards of one source, for the duration of one reconcile.
pub(super) struct Shards<'a> {
    deployment: &'a Deployment,
    source: &'a str,
    client: ShardClient,
    redis: Connection,
    /// The closed logs that this reconcile has settled.
    settled: BTreeSet<String>,
}

impl Shards<'_> {
    /// Connects to Redis.
    ///
    /// # Errors
    /// If Redis cannot be reached.
    pub(super) async fn connect<'a>(
        settings: &settings::Redis,
        deployment: &'a Deployment,
        source: &'a str,
    ) -> Result<Shards<'a>, RedisError> {
        let redis = platform::redis::connect(settings).await?;
        Ok(Shards { deployment, source, client: ShardClient::default(), redis, settled: BTreeSet::new() })
    }

    /// R3: rotates every shard of the source's open logs. `max_slices` is how many slices a shard may have.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub(super) async fn rotate(&mut self, facts: &Facts, max_slices: usize) -> Result<Rotated, ShardError> {
        let mut rotated = Rotated::new();
        for id in open_partitions(facts) {
            let keys = self.keys(&id);
            match self.client.rotate(&mut self.redis, &keys, max_slices).await? {
                Reply::Done(shard) => {
                    if shard.last_slice() != shard.cursor {
                        let slices = shard.slices.len();
                        warn!(%id, slices, "too many slices: there is no new one until the speed layer drops some");
                    }
                    rotated.insert(id, shard.slices);
                }
                Reply::Refused(_) => info!(%id, "there is no shard to rotate; taking what is archived"),
            }
        }
        Ok(rotated)
    }

    /// R13: asks again for the shards of open logs that `rotated` does not name, and adds the slices of those that
    /// exist by now. Returns whether there are any.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub(super) async fn opened_meanwhile(&mut self, facts: &Facts, rotated: &mut Rotated) -> Result<bool, ShardError> {
        let known = rotated.len();
        let missing: Vec<PartitionId> = open_partitions(facts).filter(|id| !rotated.contains_key(id)).collect();
        for id in missing {
            let keys = self.keys(&id);
            if let Some(shard) = self.client.positions(&mut self.redis, &keys).await? {
                info!(%id, "the shard was opened meanwhile; planning anew with its slices");
                rotated.insert(id, shard.slices);
            }
        }
        Ok(rotated.len() > known)
    }

    /// Waits until every shard of an open log counts that definition, not beyond `deadline` and not after `stop`. Returns the
    /// first partition whose shard does not. A partition without a shard is no hindrance.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub(super) async fn wait_until_counted(
        &mut self,
        definition: &DefinitionHash,
        facts: &Facts,
        (poll, deadline): (Duration, Instant),
        stop: &CancellationToken,
    ) -> Result<Option<PartitionId>, ShardError> {
        loop {
            let uncounted = self.uncounted(definition, facts).await?;
            if uncounted.is_none() || Instant::now() >= deadline || stop.is_cancelled() {
                return Ok(uncounted);
            }
            tokio::select! {
                () = tokio::time::sleep(poll) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn uncounted(
        &mut self,
        definition: &DefinitionHash,
        facts: &Facts,
    ) -> Result<Option<PartitionId>, ShardError> {
        for id in open_partitions(facts) {
            let keys = self.keys(&id);
            let shard = self.client.positions(&mut self.redis, &keys).await?;
            if shard.is_some_and(|shard| !shard.definitions.contains_key(definition)) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// R6: settles the closed logs. Before a cut reaches the end of a closed log, the archive has to know what the speed layer
    /// counted beyond that end: those records had arrived, and no answer counts them from this cut on, so they are noted as
    /// lost.
    ///
    /// # Errors
    /// If Redis does not answer, or the archive cannot be written.
    pub(super) async fn settle(&mut self, archive: &mut Archive) -> Result<(), MetricError> {
        // A change of the facts may bring newer facts with it, and with them more closed logs.
        loop {
            let facts = archive.facts();
            let closed = facts.logs.iter().filter(|log| log.closed).map(|log| log.log.clone());
            let unsettled: Vec<String> = closed.filter(|log| !self.settled.contains(log)).collect();
            if unsettled.is_empty() {
                return Ok(());
            }
            let mut cursors = BTreeMap::new();
            for (id, end) in facts.closed_partitions().filter(|(id, _)| unsettled.contains(&id.log)) {
                let keys = self.keys(&id);
                let Some(shard) = self.client.positions(&mut self.redis, &keys).await? else { continue };
                if shard.cursor > end {
                    error!(%id, from = end, to = shard.cursor, "the log ended before everything that speed had counted was archived: answers have a gap until `braid lost accept`");
                }
                cursors.insert(id, shard.cursor);
            }
            archive.change("SETTLE", |facts| unsettled.iter().for_each(|log| facts.settle(log, &cursors))).await?;
            self.settled.extend(unsettled);
        }
    }

    fn keys(&self, id: &PartitionId) -> ShardKeys {
        ShardKeys::new(self.deployment, self.source, id)
    }
}

/// The partitions of logs that have not ended.
fn open_partitions(facts: &Facts) -> impl Iterator<Item = PartitionId> {
    facts.partitions().map(|(id, _)| id).filter(move |id| !facts.is_closed(&id.log))
}
