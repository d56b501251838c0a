//! The speed view: reads shards from Redis, positions and the counters of one group key in every slice that counts.
//!
//! One read-only script reads a shard, so its positions and counters belong together (R10). The counters of a finished slice
//! never change, so they are kept in memory, and most requests read only the newest slice of each shard.
//!
//! - `read_shard`: reads one shard, in as many rounds as it takes to name all its slices;
//! - `slices`: slices as ranges of offsets, and the instance and slices that each shard had when it was last read;
//! - `finished`: the cache of finished slices.

mod finished;
mod read_shard;
mod slices;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use platform::settings::Size;
use shared_logic::catalog::{DefinitionHash, Deployment, Metric};
use shared_logic::contracts::speed_view::{Counters, Reading, Shard, ShardKeys};
use shared_logic::group_key::GroupKey;
use shared_logic::log::PartitionId;
use storage::{ShardClient, ShardError};

use crate::redis_link::{RedisLink, Unreachable};
use finished::FinishedSlices;
use slices::KnownSlices;

/// How many shards one request reads at the same time.
const CONCURRENT_SHARDS: usize = 64;

/// The speed view of one version.
pub(crate) struct SpeedView {
    redis: Arc<RedisLink>,
    deployment: Deployment,
    client: ShardClient,
    finished: FinishedSlices,
    known: KnownSlices,
}

/// Which counters of a shard are read: those of one group key, as one definition of a metric counts them.
pub(crate) struct CounterSelection<'a> {
    pub(crate) metric: &'a Metric,
    pub(crate) definition: &'a DefinitionHash,
    pub(crate) key: &'a GroupKey,
}

/// One shard at one moment.
#[derive(Debug, Clone)]
pub(crate) struct ShardReading {
    /// Its positions.
    pub(crate) shard: Shard,
    /// The latest moment at which Kafka gave an end offset that the cursor has reached since; microseconds since 1970.
    pub(crate) as_of_us: Option<i64>,
    /// The group key's counters, per slice that counts.
    pub(crate) counters: Vec<Arc<Counters>>,
}

/// The shards that were read, by partition; `None` for a partition without one.
pub(crate) type ShardReadings = BTreeMap<PartitionId, Option<ShardReading>>;

/// Why the speed view could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpeedError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("cannot read the speed view from redis")]
    Shard(#[from] ShardError),
    #[error("the slices of partition {partition} changed {rounds} times while they were read")]
    KeptChanging { partition: PartitionId, rounds: usize },
}

impl SpeedView {
    /// Reads nothing yet. `slice_memory` bounds the counters of finished slices that are kept.
    pub(crate) fn new(redis: Arc<RedisLink>, deployment: Deployment, slice_memory: Size) -> SpeedView {
        SpeedView {
            redis,
            deployment,
            client: ShardClient::default(),
            finished: FinishedSlices::new(slice_memory.as_usize()),
            known: KnownSlices::default(),
        }
    }

    /// Reads several shards. For each partition, `from` gives the offset from which slices count.
    ///
    /// # Errors
    /// If Redis or one of the shards cannot be read: a part of the shards is of no use.
    pub(crate) async fn read(
        &self,
        selection: &CounterSelection<'_>,
        from: &BTreeMap<PartitionId, i64>,
    ) -> Result<ShardReadings, SpeedError> {
        let each = from.iter().map(|(id, from)| {
            async { Ok::<_, SpeedError>((id.clone(), self.read_shard(selection, id, *from).await?)) }.boxed()
        });
        stream::iter(each.collect::<Vec<_>>()).buffer_unordered(CONCURRENT_SHARDS).try_collect().await
    }

    /// Reads the positions of a source's shards, without counters.
    ///
    /// # Errors
    /// As [`SpeedView::read`].
    pub(crate) async fn positions(
        &self,
        source: &str,
        ids: impl IntoIterator<Item = PartitionId>,
    ) -> Result<ShardReadings, SpeedError> {
        let each = ids.into_iter().map(|id| async move {
            let keys = ShardKeys::new(&self.deployment, source, &id);
            let mut redis = self.redis.connection().await?;
            let reading = self.client.read(&mut redis, &keys, &[], &GroupKey::new(&[]), &[]).await?;
            Ok::<_, SpeedError>((id, reading.map(|reading| ShardReading::new(reading, Vec::new()))))
        });
        stream::iter(each).buffer_unordered(CONCURRENT_SHARDS).try_collect().await
    }
}

impl ShardReading {
    fn new(reading: Reading, counters: Vec<Arc<Counters>>) -> ShardReading {
        ShardReading { shard: reading.shard, as_of_us: reading.as_of_us, counters }
    }
}
