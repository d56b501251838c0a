//! The speed view: reads shards from Redis, positions and the counters of group keys in every slice that counts.
//!
//! One read-only script reads a shard, so its positions and counters belong together (R10). Requests share what is read: those
//! that wait at the same time are answered by one look at their source's shards, and a look reads only counters that can have
//! changed since they were read before. Counters change only together with their shard's cursor.
//!
//! - `looks`: one look after the other, each for all questions that were asked before it began;
//! - `shard`: one shard, in as many rounds as it takes to name all its slices;
//! - `slices`: slices as ranges of positions, and the positions that each shard had when it was last read;
//! - `held`: the counters that are kept in memory.

mod held;
mod looks;
mod shard;
mod slices;

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use platform::settings::Size;
use shared_logic::catalog::{Catalog, DefinitionHash};
use shared_logic::complete::{self, Shards};
use shared_logic::contracts::speed_view::{ChunkRange, Counters, Shard, ShardKeys};
use shared_logic::group_key::GroupKey;
use shared_logic::log::PartitionId;
use shared_logic::measure::MeasureKind;
use shared_logic::merge::SpeedCell;
use storage::ShardError;

use crate::redis_link::{RedisLink, Unreachable};
use looks::Looks;
use shard::{ShardReader, ShardReading};

/// How many shards one look, or one request for positions, reads at the same time.
const CONCURRENT_SHARDS: usize = 64;

/// The speed view of one version.
pub(crate) struct SpeedView {
    reader: Arc<ShardReader>,
    /// By source.
    looks: BTreeMap<String, Arc<Looks>>,
}

/// What a request asks of the shards of a source: the counters of one group key, as one definition counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) definition: DefinitionHash,
    /// The measures of that definition, in order.
    pub(crate) kinds: Vec<MeasureKind>,
    pub(crate) key: GroupKey,
    /// The chunks that the request needs.
    pub(crate) chunks: ChunkRange,
    /// The shards, and for each the offset from which its slices count. Requests that use the same snapshot share it.
    pub(crate) from: Arc<BTreeMap<PartitionId, i64>>,
}

/// The shards that were read, each at one moment.
#[derive(Debug, Default)]
pub(crate) struct ShardReadings {
    /// Their positions; `None` for a partition without a shard.
    pub(crate) shards: Shards,
    as_of_us: BTreeMap<PartitionId, i64>,
    /// The group key's counters, per slice that counts.
    counters: BTreeMap<PartitionId, Vec<Arc<Counters>>>,
}

/// Why the speed view could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SpeedError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("cannot read the speed view from redis")]
    Shard(#[from] ShardError),
    #[error("the slices of partition {partition} changed {rounds} times while they were read")]
    KeptChanging { partition: PartitionId, rounds: usize },
    #[error("a look at the shards failed because of a bug; the log says more")]
    Interrupted,
}

impl SpeedView {
    /// Reads nothing yet. `slice_memory` bounds the counters that are kept.
    pub(crate) fn new(redis: Arc<RedisLink>, catalog: &Catalog, slice_memory: Size) -> SpeedView {
        let reader = Arc::new(ShardReader::new(redis, catalog.deployment.clone(), slice_memory.as_usize()));
        let looks = catalog.sources.keys();
        let looks = looks.map(|source| (source.clone(), Arc::new(Looks::new(source, Arc::clone(&reader)))));
        SpeedView { looks: looks.collect(), reader }
    }

    /// Reads the shards of a source that the question names, each at a moment after this call.
    ///
    /// # Errors
    /// If Redis or one of the shards cannot be read: a part of the shards is of no use.
    pub(crate) async fn ask(&self, source: &str, question: Question) -> Result<Arc<ShardReadings>, SpeedError> {
        match self.looks.get(source) {
            Some(looks) => looks.ask(question).await,
            // A catalog that was checked has no metric without its source.
            None => Ok(Arc::default()),
        }
    }

    /// Reads the positions of a source's shards, without counters.
    ///
    /// # Errors
    /// As [`SpeedView::ask`].
    pub(crate) async fn positions(
        &self,
        source: &str,
        ids: impl IntoIterator<Item = PartitionId>,
    ) -> Result<ShardReadings, SpeedError> {
        let each = ids.into_iter().map(|id| {
            let keys = ShardKeys::new(self.reader.deployment(), source, &id);
            async move { Ok::<_, SpeedError>((id, self.reader.positions(&keys).await?)) }.boxed()
        });
        let mut read = stream::iter(each.collect::<Vec<_>>()).buffer_unordered(CONCURRENT_SHARDS);
        let mut readings = ShardReadings::default();
        while let Some((id, reading)) = read.try_next().await? {
            readings.add(id, reading);
        }
        Ok(readings)
    }
}

impl ShardReadings {
    /// The latest moment at which Kafka gave an end offset that the shard's cursor has reached since; microseconds since 1970.
    pub(crate) fn as_of_us(&self, id: &PartitionId) -> Option<i64> {
        self.as_of_us.get(id).copied()
    }

    /// The counters as cells, of those shards that may be added to an answer. Buckets are `grain_us` wide.
    pub(crate) fn cells(&self, grain_us: i64) -> impl Iterator<Item = SpeedCell> {
        let counts = |shard: &Option<Shard>| shard.as_ref().is_some_and(complete::counts);
        let counted = self.counters.iter().filter(move |(id, _)| self.shards.get(*id).is_some_and(counts));
        let counters = counted.flat_map(|(_, slices)| slices.iter().flat_map(|counters| counters.iter()));
        counters.map(move |(bucket, measure, value)| (bucket * grain_us, *measure, value.clone()))
    }

    fn add(&mut self, id: PartitionId, reading: Option<ShardReading>) {
        let shard = reading.map(|reading| {
            self.as_of_us.extend(reading.as_of_us.map(|as_of_us| (id.clone(), as_of_us)));
            self.counters.insert(id.clone(), reading.counters);
            reading.shard
        });
        self.shards.insert(id, shard);
    }
}

impl Hash for Question {
    /// Without the shards: they are the same for all questions of one snapshot.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.definition, &self.key, self.chunks).hash(state);
    }
}
