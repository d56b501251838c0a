//! What all lanes of one source share.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::kafka::{KafkaError, Topics};
use platform::settings::{self, Streams};
use platform::store::StoreError;
use shared_logic::catalog::{Deployment, Source};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::stream::{Definitions, progress_topic, transactional_id};
use shared_logic::log::PartitionId;
use shared_logic::stream::{LanePlan, Limits};
use shared_logic::stream_topics::WrittenTopic;
use storage::{Archive, Followed};
use tokio::sync::{Mutex, OnceCell, watch};

use super::memory::Memory;
use crate::log::ends::Ends;
use crate::log::identity::LogIdentity;
use crate::table::lookup::LookedInto;

/// What all lanes of one source share.
pub struct Shared {
    /// The deployment, whose version is the generation of the streams.
    pub deployment: Deployment,
    /// The source that is read.
    pub source: Source,
    /// The streams over it, compiled.
    pub plan: Arc<LanePlan>,
    /// Their definitions.
    pub definitions: Definitions,
    /// The topics that they write.
    pub written: Vec<WrittenTopic>,
    /// The settings of lanes.
    pub settings: Streams,
    /// The memory of all lanes of the process.
    pub memory: Arc<Memory>,
    /// The settings of Kafka.
    pub kafka: settings::Kafka,
    /// Whether the topic is compacted, asked once.
    pub compacted: OnceCell<bool>,
    /// Asks Kafka about topics.
    pub topics: Topics,
    /// Asks for the id of the source's topic (R7).
    pub identity: LogIdentity,
    /// The newest known ends of the assigned partitions.
    pub ends: watch::Receiver<Ends>,
    /// How many partitions topics have of which lanes have to know if they gain some.
    pub partitions: watch::Receiver<BTreeMap<String, i32>>,
    /// The archive of the source.
    pub archive: Mutex<Followed<Facts>>,
    /// The tables that the streams look into, if they do.
    pub looked_into: Option<Arc<LookedInto>>,
}

impl Shared {
    /// The archive of the source at its newest version; `None` before the archiver's first commit.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn archive(&self) -> Result<Option<Archive>, StoreError> {
        let mut archive = self.archive.lock().await;
        Ok(archive.newest().await?.filter(|archive| archive.note().is_some()).cloned())
    }

    /// Whether records may vanish from the middle of the topic.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub async fn is_compacted(&self) -> Result<bool, KafkaError> {
        let ask = || self.topics.is_compacted(&self.source.topic);
        self.compacted.get_or_try_init(ask).await.copied()
    }

    /// The progress topic (T3).
    pub fn progress_topic(&self) -> String {
        progress_topic(&self.deployment, &self.source.name)
    }

    /// The topics that its lanes write to; those for late events whether or not a stream has any.
    pub fn written(&self) -> Vec<String> {
        let streams = self.plan.streams().iter();
        let topics = streams.flat_map(|stream| [stream.topic.clone(), stream.late_topic.clone()]);
        topics.chain([self.progress_topic()]).collect()
    }

    /// The transactional id of a partition's lane.
    pub fn transactional_id(&self, id: &PartitionId) -> String {
        transactional_id(&self.deployment, &self.source.name, id)
    }

    /// How much a lane may hold.
    pub fn limits(&self) -> Limits {
        Limits {
            // At most one micro-batch is given at a time.
            pending_events: self.settings.max_rows,
            // A lane that may take no more is given nothing.
            state_bytes: self.settings.state.as_usize(),
            step_bytes: self.settings.max_transaction.as_usize(),
        }
    }
}
