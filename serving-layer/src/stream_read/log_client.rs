//! Reads logs on: Kafka, or a stand-in in tests.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use platform::kafka::{Consumer, KafkaError, Polled, Topics, cluster};
use platform::settings::{self, Size};

/// What each client that reads streams keeps ready of records. More does not read faster.
const FETCH_QUEUE: Size = Size::from_mib(8);
/// How many records one look at a client's queue may bring.
const POLL_RECORDS: usize = 1_024;
/// How long brokers may take to say who they are.
const CLUSTER_WITHIN: Duration = Duration::from_secs(2);

/// Reads logs: Kafka, or a stand-in in tests.
pub trait LogClient: Send + Sync + 'static {
    /// Reads the committed records of a topic's partitions, each from that offset on. It may block for a moment.
    ///
    /// # Errors
    /// If no client can be started. Brokers that cannot be reached are no error.
    fn follow(&self, topic: &str, from: &BTreeMap<i32, i64>) -> Result<Box<dyn Follower>, KafkaError>;

    /// Whether the brokers know transactions, without which no stream is written; `None` if none answers.
    fn knows_transactions(&self) -> BoxFuture<'_, Result<Option<bool>, KafkaError>>;

    /// Whether a topic's records have the time at which they were appended, and not one that their producer says.
    fn dates_records<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<bool, KafkaError>>;
}

/// Reads on.
pub trait Follower: Send {
    /// Waits up to `wait` for something to arrive, and shows what is there; records of a partition in their order.
    ///
    /// # Errors
    /// If it cannot go on.
    fn poll(&mut self, wait: Duration, visit: &mut dyn FnMut(Told<'_>)) -> Result<(), KafkaError>;
}

/// What a follower shows.
#[derive(Debug)]
pub enum Told<'a> {
    /// The next record of a partition.
    Record(LogRecord<'a>),
    /// Everything of a partition below an offset was shown.
    End {
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
    /// The log does not hold the offset from which a partition was to be read.
    OutOfRange {
        /// The partition.
        partition: i32,
    },
    /// It cannot go on.
    Failed(KafkaError),
}

/// A record, borrowed for one visit.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Its timestamp, milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its payload.
    pub payload: Option<&'a [u8]>,
}

impl LogRecord<'_> {
    /// Its timestamp, microseconds since 1970.
    pub(super) fn timestamp_us(&self) -> Option<i64> {
        self.timestamp_ms.map(|ms| ms.saturating_mul(1_000))
    }
}

/// Kafka itself.
pub(crate) struct KafkaLogs {
    topics: Topics,
    settings: settings::Kafka,
}

impl KafkaLogs {
    pub(crate) fn new(topics: Topics, settings: &settings::Kafka) -> KafkaLogs {
        let fetch_queue = settings.fetch_queue.min(FETCH_QUEUE);
        KafkaLogs { topics, settings: settings::Kafka { fetch_queue, ..settings.clone() } }
    }
}

impl LogClient for KafkaLogs {
    fn follow(&self, topic: &str, from: &BTreeMap<i32, i64>) -> Result<Box<dyn Follower>, KafkaError> {
        let mut consumer = Consumer::new(&self.settings, topic)?;
        consumer.assign(from)?;
        Ok(Box::new(consumer))
    }

    fn knows_transactions(&self) -> BoxFuture<'_, Result<Option<bool>, KafkaError>> {
        Box::pin(async move {
            let cluster = cluster(&self.settings, CLUSTER_WITHIN).await?;
            Ok(cluster.map(|cluster| !cluster.is_in_process()))
        })
    }

    fn dates_records<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<bool, KafkaError>> {
        Box::pin(async move {
            let config = self.topics.config(topic).await?;
            Ok(config.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime"))
        })
    }
}

impl Follower for Consumer {
    fn poll(&mut self, wait: Duration, visit: &mut dyn FnMut(Told<'_>)) -> Result<(), KafkaError> {
        let polled = Consumer::poll(self, wait, POLL_RECORDS, |polled| match polled {
            Polled::Record(record) => visit(Told::Record(LogRecord {
                partition: record.partition,
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
                key: record.key,
                payload: record.payload,
            })),
            Polled::End { partition, offset } => visit(Told::End { partition, offset }),
            Polled::OutOfRange { partition } => visit(Told::OutOfRange { partition }),
            // librdkafka tries again.
            Polled::Failed { error, .. } if error.is_transient() => {}
            Polled::Failed { error, .. } => visit(Told::Failed(error)),
        });
        polled.map(drop)
    }
}
