//! A shard made ready to be counted into: opened where the rules say, with this catalog's definitions, at an offset that
//! the log still holds.

use std::time::Duration;

use platform::kafka::{Bound, KafkaError, Topics};
use platform::redis::Connection;
use platform::store::StoreError;
use redis::Script;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::speed_view::script::{self, Reply, hashes_text};
use shared_logic::contracts::speed_view::{Refusal, Shard, ShardKeys};
use shared_logic::log::PartitionId;
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use crate::apply::Scripts;
use crate::boundary::Batch;

/// Why a shard is not ready yet; each is tried again.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The topic does not exist.
    #[error("topic {topic} does not exist; create it, or run `batch-layer archive`, which does")]
    NoTopic {
        /// Which.
        topic: String,
    },
    /// The archive has not begun the partition.
    #[error("the archive has not begun {id}; is `batch-layer archive` running?")]
    NotArchived {
        /// Which.
        id: PartitionId,
    },
    /// The cursor lies beyond the log's end.
    #[error("the cursor {cursor} of {id} lies beyond the log's end {end}: the broker lost data; nothing is skipped")]
    BeyondTheEnd {
        /// Which.
        id: PartitionId,
        /// Where the shard stands.
        cursor: i64,
        /// Where the log ends.
        end: i64,
    },
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Redis did not answer.
    #[error("cannot look at the shard")]
    Redis(#[from] redis::RedisError),
    /// The views or the archive cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The shard is of another format.
    #[error(transparent)]
    Unknown(#[from] script::UnknownReply),
    /// Somebody else changed the shard at the same time.
    #[error("the shard of {id} changed meanwhile")]
    Raced {
        /// Which.
        id: PartitionId,
    },
}

/// A shard that is ready.
#[derive(Debug)]
pub struct Ready {
    /// The log that the topic is now, and the partition.
    pub id: PartitionId,
    /// The shard's keys.
    pub keys: ShardKeys,
    /// The shard.
    pub shard: Shard,
    /// The first offset that may warm the deduplication window: the log holds it, and the archive has it too. What lies
    /// before the archive's begin (`start = "latest"`) is no earlier copy of anything, or the layers would disagree.
    pub warm_start: i64,
}

/// What positioning needs.
pub struct Positioning<'a> {
    /// Builds a shard's keys.
    pub keys_of: &'a (dyn Fn(&PartitionId) -> ShardKeys + Sync),
    /// The topic.
    pub topic: &'a str,
    /// The definitions to count.
    pub hashes: &'a [DefinitionHash],
    /// Kafka's topics.
    pub topics: &'a Topics,
    /// The scripts.
    pub scripts: &'a Scripts,
    /// The batch side, looked at when a shard has to be opened.
    pub batch: &'a Mutex<Batch>,
}

impl Positioning<'_> {
    /// Makes the shard of a partition ready, one step at a time; each step is safe to repeat.
    ///
    /// # Errors
    /// [`NotReady`]: wait and try again.
    pub async fn ready(&self, redis: &mut Connection, partition: i32) -> Result<Ready, NotReady> {
        let topic = self.topics.describe(self.topic).await?;
        let topic = topic.ok_or_else(|| NotReady::NoTopic { topic: self.topic.to_owned() })?;
        let id = PartitionId::new(topic.log, partition);
        let keys = (self.keys_of)(&id);
        let mut shard = match self.read(redis, &keys).await? {
            Some(shard) => shard,
            None => self.open(redis, &id, &keys).await?,
        };
        if !shard.counts(self.hashes) {
            info!(%id, cursor = shard.cursor, "the shard counts other definitions; adopting this catalog's");
            shard = self.run(redis, &self.scripts.adopt, &id, &keys, &[hashes_text(self.hashes)]).await?;
        }
        let log_start = self.bound(partition, Bound::Start).await?;
        let end = self.bound(partition, Bound::End).await?;
        if shard.cursor < log_start {
            warn!(%id, cursor = shard.cursor, log_start, "the log no longer holds the cursor; reopening the shard at its start");
            let arguments = [shard.cursor.to_string(), log_start.to_string(), hashes_text(self.hashes)];
            shard = self.run(redis, &self.scripts.reopen, &id, &keys, &arguments).await?;
        }
        if shard.cursor > end {
            return Err(NotReady::BeyondTheEnd { id, cursor: shard.cursor, end });
        }
        let begin = self.batch.lock().await.begin(&id).await?;
        let warm_start = begin.map_or(log_start, |begin| begin.max(log_start));
        Ok(Ready { id, keys, shard, warm_start })
    }

    async fn open(&self, redis: &mut Connection, id: &PartitionId, keys: &ShardKeys) -> Result<Shard, NotReady> {
        let boundary = self.batch.lock().await.look().await?;
        let at = boundary.opening(id).ok_or_else(|| NotReady::NotArchived { id: id.clone() })?;
        info!(%id, at, "opening a shard");
        self.run(redis, &self.scripts.open, id, keys, &[at.to_string(), hashes_text(self.hashes)]).await
    }

    async fn read(&self, redis: &mut Connection, keys: &ShardKeys) -> Result<Option<Shard>, NotReady> {
        let fields: Vec<String> = self.scripts.read.key(keys.shard()).invoke_async(redis).await?;
        Ok(script::positions(&fields)?)
    }

    async fn run(
        &self,
        redis: &mut Connection,
        script: &Script,
        id: &PartitionId,
        keys: &ShardKeys,
        arguments: &[String],
    ) -> Result<Shard, NotReady> {
        let mut invocation = script.key(keys.shard());
        arguments.iter().for_each(|argument| {
            invocation.arg(argument);
        });
        let fields: Vec<String> = invocation.invoke_async(redis).await?;
        match script::reply(&fields)? {
            Reply::Done(shard) => Ok(shard),
            Reply::Refused(Refusal::Missing | Refusal::Differs(_)) => Err(NotReady::Raced { id: id.clone() }),
        }
    }

    async fn bound(&self, partition: i32, which: Bound) -> Result<i64, NotReady> {
        let offsets = self.topics.offsets(self.topic, &[partition], which).await?;
        Ok(offsets.get(&partition).copied().unwrap_or_default())
    }
}

/// Waiting longer than this for the archive is worth a warning.
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(1);

/// Logs why a shard is not ready: what an operator has to mend as an error, what passes by itself as a notice.
pub fn log(not_ready: &NotReady, partition: i32, wait: Duration) {
    let wait_ms = wait.as_millis();
    match not_ready {
        NotReady::BeyondTheEnd { .. } | NotReady::Unknown(_) => error!(partition, wait_ms, "{not_ready}"),
        NotReady::Redis(source) => warn!(partition, wait_ms, %source, "{not_ready}; trying again"),
        // Every first start begins with it.
        NotReady::NotArchived { .. } if wait < ARCHIVE_PATIENCE => info!(partition, "{not_ready}; waiting for it"),
        _ => warn!(partition, wait_ms, "{not_ready}; trying again"),
    }
}
