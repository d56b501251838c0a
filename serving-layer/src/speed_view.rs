//! The speed view: reads shards from Redis, positions and the counters of group keys in every slice that counts.
//!
//! Requests share what is read: those that wait at the same time are answered by one look at their source's shards. A look reads the
//! positions of the shards, and only counters that can have changed since they were read before. Counters change only together with
//! their shard's cursor, and where a look reads them, one read-only script gives both, so that they belong together (R10).
//!
//! - `looks`: one look after the other, each for all questions that were asked before it began;
//! - `looked`: what a question gets, and what the positions of the shards say of its answer;
//! - `reader`: the shards of a source; `shard`: one shard, in as many rounds as it takes to name all its slices;
//! - `slices`: slices as ranges of positions;
//! - `held`: the counters that are kept in memory;
//! - `sweep`: all keys, whose counters are read in steps.

mod held;
mod looked;
mod looks;
mod reader;
mod shard;
mod slices;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use platform::settings::Size;
use shared_logic::catalog::{Catalog, DefinitionHash};
use shared_logic::complete::{Shards, Standing};
use shared_logic::contracts::speed_view::{ChunkRange, State};
use shared_logic::group_key::GroupKey;
use shared_logic::log::PartitionId;
use shared_logic::measure::MeasureKind;
use storage::ShardError;
use tracing::{Instrument, debug_span};

use crate::redis_link::{RedisLink, Unreachable};
use crate::written::Shape;
pub(crate) use looked::{Judged, Looked};
use looks::Looks;
pub(crate) use looks::until_none_is_added;
use reader::ShardReader;
use sweep::Sweeper;
pub(crate) use sweep::{ByKey, KeysQuestion, SweptKeys};

/// The speed view of one version.
pub(crate) struct SpeedView {
    reader: Arc<ShardReader>,
    sweeper: Sweeper,
    /// By source.
    looks: BTreeMap<String, Arc<Looks>>,
}

/// What a request asks of the shards of a source: the counters of one group key, or of several as of the same moment.
///
/// Questions are equal if they have the same answer, to the byte. So they are of the same snapshot and metric, which have one standing;
/// of the same keys; and of the same range and shape.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The shards, for each the offset from which its slices count, and what their positions have to be.
    pub(crate) standing: Arc<Standing>,
    /// At least one. All are of one definition.
    pub(crate) keys: Arc<[Arc<CountedKey>]>,
    /// The measures of that definition, in order.
    pub(crate) kinds: Arc<[MeasureKind]>,
    /// The bounds of the range, `None` where an end is open; and the chunks that it lies in.
    pub(crate) bounds: (Option<i64>, Option<i64>),
    pub(crate) chunks: ChunkRange,
    /// How the answer is written.
    pub(crate) shape: Shape,
}

/// A group key as one definition counts it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CountedKey {
    pub(crate) definition: DefinitionHash,
    pub(crate) key: GroupKey,
}

/// The shards that were read, each at one moment.
#[derive(Debug, Default)]
pub(crate) struct ShardReadings {
    /// Their positions; `None` for a partition without a shard.
    pub(crate) shards: Shards,
    as_of_us: BTreeMap<PartitionId, i64>,
    begins: BTreeMap<PartitionId, i64>,
}

/// Why the speed view could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SpeedError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("cannot read the speed view from redis")]
    Shard(#[from] ShardError),
    #[error("the slices of partition {partition} changed {rounds} times while they were read: ask again")]
    KeptChanging { partition: PartitionId, rounds: usize },
    #[error(
        "the speed view holds {found} counters of the metric, and serving.sweep_max allows to read {most} for one answer: reconcile more \
         often, so that it holds fewer, or raise the setting"
    )]
    TooMany { found: u64, most: u64 },
    #[error(
        "counters of partition {partition} changed while they were read, and it was not noted how: that needs workers of this build, and a \
         Redis that lets the serving layer write two keys of each shard"
    )]
    Overtaken { partition: PartitionId },
    #[error("a look at the shards failed because of a bug; the log says more")]
    Interrupted,
}

impl SpeedView {
    /// Reads nothing yet. `slice_memory` bounds the counters that are kept, and `sweep_max` those that are read to find keys.
    pub(crate) fn new(redis: Arc<RedisLink>, catalog: &Catalog, slice_memory: Size, sweep_max: usize) -> SpeedView {
        let sweeper = Sweeper::new(Arc::clone(&redis), catalog.deployment.clone(), sweep_max);
        let reader = Arc::new(ShardReader::new(redis, catalog.deployment.clone(), slice_memory.as_usize()));
        let looks = catalog.sources.keys();
        let looks = looks.map(|source| (source.clone(), Arc::new(Looks::new(source, Arc::clone(&reader)))));
        SpeedView { looks: looks.collect(), reader, sweeper }
    }

    /// Reads the shards of a source that the question names, each at a moment after this call.
    ///
    /// # Errors
    /// If Redis or one of the shards cannot be read: a part of the shards is of no use.
    pub(crate) async fn ask(&self, source: &str, question: Question) -> Result<Arc<Looked>, SpeedError> {
        // A catalog that was checked has no metric without its source.
        let looks = self.looks.get(source).ok_or(SpeedError::Interrupted)?;
        looks.ask(question).instrument(debug_span!("look", source)).await
    }

    /// Reads all keys that a question means, of the shards of a source, each at a moment after this call.
    ///
    /// # Errors
    /// As [`SpeedView::ask`], and if there are too many counters, or they change faster than they are read.
    pub(crate) async fn sweep(&self, source: &str, question: KeysQuestion) -> Result<SweptKeys, SpeedError> {
        self.sweeper.sweep(source, question).await
    }

    /// How many bytes a source's shards take of Redis.
    ///
    /// # Errors
    /// If Redis cannot be asked.
    pub(crate) async fn memory(&self, source: &str, ids: &[PartitionId]) -> Result<u64, SpeedError> {
        self.reader.memory(source, ids).await
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
        let ids: Vec<PartitionId> = ids.into_iter().collect();
        let states = self.reader.states(source, &ids).await?;
        let mut readings = ShardReadings::default();
        ids.into_iter().zip(states).for_each(|(id, state)| readings.add(id, state));
        Ok(readings)
    }
}

impl ShardReadings {
    /// The latest moment at which Kafka gave an end offset that the shard's cursor has reached since; microseconds since 1970.
    pub(crate) fn as_of_us(&self, id: &PartitionId) -> Option<i64> {
        self.as_of_us.get(id).copied()
    }

    /// The start of the log that the shard remembers (K5).
    pub(crate) fn begin(&self, id: &PartitionId) -> Option<i64> {
        self.begins.get(id).copied()
    }

    fn add(&mut self, id: PartitionId, state: Option<State>) {
        let shard = state.map(|State { shard, as_of_us, begin }| {
            self.as_of_us.extend(as_of_us.map(|as_of_us| (id.clone(), as_of_us)));
            self.begins.extend(begin.map(|begin| (id.clone(), begin)));
            shard
        });
        self.shards.insert(id, shard);
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Question) -> bool {
        let is_same = (self.bounds, self.shape) == (other.bounds, other.shape) && self.keys == other.keys;
        is_same && Arc::ptr_eq(&self.standing, &other.standing)
    }
}

impl Eq for Question {}

impl Hash for Question {
    /// Without the standing, which is the same for most questions that wait at the same time.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.keys, self.bounds, self.shape).hash(state);
    }
}
