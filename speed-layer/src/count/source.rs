//! What all counting loops of one source share.
//!
//! A worker has one [`Shared`] per source. The counting loops, their stages and the task that drops slices use it; what
//! belongs to one partition alone lies in its counting loop.

use std::collections::BTreeSet;
use std::sync::Arc;

use platform::kafka::{KafkaError, Topics};
use platform::settings::{Speed, Versions};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::speed_view::ShardKeys;
use shared_logic::log::PartitionId;
use storage::{FollowedVersions, ShardClient};
use tokio::sync::{Mutex, OnceCell, Semaphore, watch};

use super::compiled::CompiledMetrics;
use super::pace::Pace;
use crate::batch_side::BatchSide;
use crate::log::ends::Ends;
use crate::log::identity::LogIdentity;

/// What all counting loops of one source share.
pub struct Shared {
    /// The catalog of the version that is counted.
    pub catalog: Arc<Catalog>,
    /// Which versions there are.
    pub versions: FollowedVersions,
    /// The source and its metrics, compiled.
    pub metrics: Arc<CompiledMetrics>,
    /// The speed layer's settings.
    pub settings: Speed,
    /// The settings of versions.
    pub replays: Versions,
    /// How fast loops go that are far behind (K4).
    pub pace: watch::Receiver<Pace>,
    /// Whether the topic is compacted, asked once.
    pub compacted: OnceCell<bool>,
    /// Asks Kafka about topics.
    pub topics: Topics,
    /// Asks for the id of the source's topic (R7).
    pub identity: LogIdentity,
    /// The newest known ends of the assigned partitions.
    pub ends: watch::Receiver<Ends>,
    /// Runs scripts on shards.
    pub shards: ShardClient,
    /// Reads the archive's facts and the views' cuts.
    pub batch_side: Mutex<BatchSide>,
    /// The newest facts that were read, so that loops see which incarnation of their partition goes on (R12).
    pub facts: watch::Sender<Arc<Facts>>,
    /// The partitions into whose shards this worker counts, each with its log.
    pub counting: watch::Sender<BTreeSet<PartitionId>>,
    /// The parts of micro-batches that may be under way at the same time, from when they are aggregated until they are applied.
    pub places: Arc<Semaphore>,
}

impl Shared {
    /// The keys of a partition's shard.
    pub fn keys(&self, id: &PartitionId) -> ShardKeys {
        ShardKeys::new(&self.catalog.deployment, &self.metrics.source.name, id)
    }

    /// Whether records may vanish from the middle of the topic.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub async fn is_compacted(&self) -> Result<bool, KafkaError> {
        let ask = || self.topics.is_compacted(&self.metrics.source.topic);
        self.compacted.get_or_try_init(ask).await.copied()
    }

    /// R12: whether the archive has begun another incarnation of that partition.
    pub fn goes_on_elsewhere(&self, id: &PartitionId) -> bool {
        self.facts.borrow().current(id.topic(), id.partition).incarnation() > id.incarnation()
    }

    /// Notes that this worker counts into the shard of `id`, and no longer into that of another log of the partition.
    pub fn starts_counting(&self, id: PartitionId) {
        self.counting.send_modify(|counting| {
            counting.retain(|other| other.partition != id.partition);
            counting.insert(id);
        });
    }

    /// Notes that this worker no longer counts the partition.
    pub fn stops_counting(&self, partition: i32) {
        self.counting.send_modify(|counting| counting.retain(|id| id.partition != partition));
    }
}
