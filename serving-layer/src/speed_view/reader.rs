//! Reads the shards of a source for the questions of one look: first where all of them stand, and then the counters that may have
//! changed since they were read before.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use shared_logic::catalog::Deployment;
use shared_logic::contracts::speed_view::{ShardKeys, State};
use shared_logic::log::PartitionId;

use super::SpeedError;
use super::shard::{Access, Answered, Asked, OneShard};
use crate::redis_link::RedisLink;

/// The positions of how many shards are read with one round trip, and the counters of how many at the same time.
const CONCURRENT_SHARDS: usize = 64;

/// Reads shards.
pub(super) struct ShardReader {
    deployment: Deployment,
    access: Access,
}

impl ShardReader {
    /// Reads nothing yet. `limit_bytes` bounds the counters that are kept.
    pub(super) fn new(redis: Arc<RedisLink>, deployment: Deployment, limit_bytes: usize) -> ShardReader {
        ShardReader { deployment, access: Access::new(redis, limit_bytes) }
    }

    /// The states of a source's shards in the order of these partitions, each at a moment after this call; `None` for a partition
    /// without a shard.
    ///
    /// # Errors
    /// If Redis or one of the shards cannot be read.
    pub(super) async fn states(&self, source: &str, ids: &[PartitionId]) -> Result<Vec<Option<State>>, SpeedError> {
        self.read_states(&self.keys(source, ids.iter())).await
    }

    /// How many bytes a source's shards take of Redis.
    ///
    /// # Errors
    /// If Redis cannot be asked.
    pub(super) async fn memory(&self, source: &str, ids: &[PartitionId]) -> Result<u64, SpeedError> {
        let mut bytes = 0;
        for keys in self.keys(source, ids.iter()) {
            bytes += self.access.memory(&keys).await?;
        }
        Ok(bytes)
    }

    /// Answers the questions that are asked of each shard.
    ///
    /// # Errors
    /// As [`ShardReader::states`], and if a shard keeps changing.
    pub(super) async fn read(
        &self,
        source: &str,
        asked: BTreeMap<&PartitionId, Vec<Asked<'_>>>,
    ) -> Result<Answered, SpeedError> {
        let keys = self.keys(source, asked.keys().copied());
        let states = self.read_states(&keys).await?;
        let (mut answered, mut open) = (Answered::new(), Vec::new());
        for (((id, asked), keys), state) in asked.into_iter().zip(&keys).zip(states) {
            let Some(state) = state.map(Arc::new) else {
                answered.extend(asked.iter().map(|asked| (asked.place, None)));
                continue;
            };
            let shard = OneShard::new(&self.access, id, keys);
            let needs = shard.answer_from_memory(&state, asked, &mut answered);
            if !needs.is_empty() {
                open.push(shard.read(state, needs).boxed());
            }
        }
        let mut read = stream::iter(open).buffer_unordered(CONCURRENT_SHARDS);
        while let Some(more) = read.try_next().await? {
            answered.extend(more);
        }
        Ok(answered)
    }

    fn keys<'a>(&self, source: &str, ids: impl Iterator<Item = &'a PartitionId>) -> Vec<ShardKeys> {
        ids.map(|id| ShardKeys::new(&self.deployment, source, id)).collect()
    }

    async fn read_states(&self, shards: &[ShardKeys]) -> Result<Vec<Option<State>>, SpeedError> {
        let mut states = Vec::with_capacity(shards.len());
        for shards in shards.chunks(CONCURRENT_SHARDS) {
            states.extend(self.access.states(shards).await?);
        }
        Ok(states)
    }
}
