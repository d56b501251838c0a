//! Why the speed layer ends.

use platform::kafka::KafkaError;
use platform::redis::RedisError;
use platform::shutdown::DeadlineExceeded;
use platform::store::StoreError;
use shared_logic::log::PartitionId;
use storage::SearchError;

/// Why the speed layer ended before a stop was requested, or not in time after one.
#[derive(Debug, thiserror::Error)]
pub enum SpeedError {
    /// Redis is unusable: it cannot be reached, is too old, or evicts keys.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// One source could not be counted.
    #[error("source {name}")]
    Source {
        /// The source's name.
        name: String,
        /// Why.
        source: SourceError,
    },
    /// Counting did not stop in time.
    #[error(transparent)]
    NotStopped(#[from] DeadlineExceeded),
}

/// Why one source can no longer be counted.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Kafka's settings cannot be used.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Redis cannot be reached.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The store's settings cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The search server's settings cannot be used.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The catalog is outdated.
    #[error(transparent)]
    Superseded(#[from] Superseded),
    /// The operating system refused a thread.
    #[error("cannot start a reading thread")]
    NoThread(#[source] std::io::Error),
    /// A reading thread ended by a panic, which standard error holds.
    #[error("a reading thread panicked")]
    ReaderPanicked,
    /// The consumer group was not left in an orderly way.
    #[error("cannot leave the consumer group")]
    NotLeft(#[source] tokio::task::JoinError),
}

/// Another worker has adopted other definitions while this one ran, so this worker must start again with the current
/// catalog.
#[derive(Debug, thiserror::Error)]
#[error(
    "another worker has adopted other definitions for {id}: this worker's catalog is outdated; restart it with the current \
     catalog"
)]
pub struct Superseded {
    /// The partition whose shard has other definitions.
    pub id: PartitionId,
}
