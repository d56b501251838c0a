//! Where alerts are written: Kafka, or a stand-in in tests.

use futures::future::BoxFuture;
use platform::kafka::{KafkaError, TransactionError};
use shared_logic::contracts::alert::StateRecord;

/// The topics of a deployment's alerts.
pub trait AlertLog: Send + Sync + 'static {
    /// Reads the committed records of the topic of states from an offset on, up to the end that it has once it was asked. `log` is the
    /// topic's id as it was read last: if it has another one, it is read from its start. `None`: there is no topic.
    fn read<'a>(&'a self, log: Option<&'a str>, from: i64) -> BoxFuture<'a, Result<Option<AlertRead>, KafkaError>>;

    /// Creates both topics where they are missing.
    ///
    /// # Errors
    /// If that fails, or the topic of states may forget what it holds.
    fn create(&self) -> BoxFuture<'_, Result<(), NoAlertTopics>>;

    /// Starts a producer under the deployment's transactional id. When this returns, the one before is fenced, and what it left open has
    /// been ended.
    fn take_over(&self) -> BoxFuture<'_, Result<Box<dyn AlertWriter>, TransactionError>>;
}

/// Writes transactions.
pub trait AlertWriter: Send {
    /// Writes all of the records, or none. On an error the writer is gone, and the outcome is unknown until another one was started.
    fn commit(
        self: Box<Self>,
        records: AlertRecords,
    ) -> BoxFuture<'static, Result<Box<dyn AlertWriter>, TransactionError>>;
}

/// The key and the value of a record, as far as it has them.
pub type StoredRecord = (Option<Vec<u8>>, Option<Vec<u8>>);

/// What was read of the topic of states.
#[derive(Debug)]
pub struct AlertRead {
    /// The topic's id.
    pub log: String,
    /// The keys and values, in their order.
    pub records: Vec<StoredRecord>,
    /// The offset behind them.
    pub next: i64,
}

/// The records of a transaction.
#[derive(Debug, Clone, Default)]
pub struct AlertRecords {
    /// For the topic of alerts: the alert's name, and the change.
    pub changes: Vec<(String, Vec<u8>)>,
    /// For the topic of states.
    pub states: Vec<StateRecord>,
}

/// Why the topics are not there, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoAlertTopics {
    /// Kafka did not answer, or refused a topic.
    #[error("cannot create the topics of alerts")]
    Kafka(#[from] KafkaError),
    /// The topic of states may forget.
    #[error("topic {topic} is not compacted, so it forgets what is known of alerts; set cleanup.policy to compact")]
    NotCompacted {
        /// The topic's name.
        topic: String,
    },
}
