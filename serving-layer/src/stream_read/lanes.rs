//! How far the lanes over a source have come: what they have published in each partition, and what there is to read.
//!
//! Lanes say that in the progress topic, in the transactions that hold their outputs. Its last records are read when somebody asks, and
//! what was read is good for a moment, however many ask.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::kafka::KafkaError;
use platform::telemetry::error_text;
use shared_logic::catalog::{Deployment, Source};
use shared_logic::contracts::stream::{ProgressKey, Published, progress_topic};
use tokio::sync::{Mutex, OnceCell};

use super::access::Access;
use super::log;
use super::log_client::LogRecord;

/// How long an answer is good.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// How long Kafka may take for one. Beyond, it says that Kafka does not answer.
const WITHIN: Duration = Duration::from_secs(3);
/// How many of the last offsets of a partition of the progress topic are read. A lane writes a record for each of its streams at
/// least every few seconds.
const LAST_OFFSETS: i64 = 1_000;

/// What is known of the lanes over one source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lanes {
    /// The id of the source's topic; `None` if there is no such topic.
    pub(crate) log: Option<String>,
    /// The partitions of the source.
    pub(crate) partitions: BTreeMap<i32, LanePartition>,
    /// Whether the brokers know transactions, without which no stream is written.
    pub(crate) knows_transactions: Option<bool>,
    /// Whether the source's records have the time at which they were appended; `None` if that is not known.
    pub(crate) dates_records: Option<bool>,
    /// Why Kafka could not be asked.
    pub(crate) error: Option<String>,
}

/// What is known of one lane.
#[derive(Debug, Clone, Default)]
pub(crate) struct LanePartition {
    /// The end of the source's partition.
    pub(crate) end: Option<i64>,
    /// By stream, what was published last.
    pub(crate) published: BTreeMap<String, LanePublished>,
}

/// What a lane has published of one stream.
#[derive(Debug, Clone)]
pub(crate) struct LanePublished {
    pub(crate) published: Published,
    /// When, microseconds since 1970.
    pub(crate) at_us: Option<i64>,
}

/// Reads how far the lanes over one source have come.
pub(crate) struct LaneReader {
    topic: String,
    progress_topic: String,
    access: Arc<Access>,
    knows_transactions: OnceCell<bool>,
    /// What was read last, and when.
    last: Mutex<Option<(Instant, Arc<Lanes>)>>,
}

/// What is read of the progress topic.
type Progress = BTreeMap<(i32, String), LanePublished>;

impl LaneReader {
    /// Nothing is read yet.
    pub(crate) fn new(deployment: &Deployment, source: &Source, access: &Arc<Access>) -> LaneReader {
        LaneReader {
            topic: source.topic.clone(),
            progress_topic: progress_topic(deployment, &source.name),
            access: Arc::clone(access),
            knows_transactions: OnceCell::new(),
            last: Mutex::default(),
        }
    }

    /// What is known, at most a moment old.
    pub(crate) async fn newest(&self) -> Arc<Lanes> {
        // Those who ask at the same time wait for one answer.
        let mut last = self.last.lock().await;
        if let Some((_, lanes)) = last.as_ref().filter(|(read_at, _)| read_at.elapsed() < GOOD_FOR) {
            return Arc::clone(lanes);
        }
        let mut lanes = Lanes::default();
        let error = match tokio::time::timeout(WITHIN, self.read(&mut lanes)).await {
            Ok(read) => read.err().map(|error| error_text(&error)),
            Err(_) => Some(format!("kafka did not say how far topic {} was read within {WITHIN:?}", self.topic)),
        };
        let lanes = Arc::new(Lanes { error, ..lanes });
        *last = Some((Instant::now(), Arc::clone(&lanes)));
        lanes
    }

    async fn read(&self, lanes: &mut Lanes) -> Result<(), KafkaError> {
        lanes.knows_transactions = self.knows_transactions().await?;
        let Some(described) = self.access.topics.describe(&self.topic).await? else { return Ok(()) };
        lanes.log = Some(described.log);
        lanes.partitions = (0..described.partitions).map(|partition| (partition, LanePartition::default())).collect();
        // A client that may not ask is not told.
        lanes.dates_records = self.access.logs.dates_records(&self.topic).await.ok();
        let partitions: Vec<i32> = lanes.partitions.keys().copied().collect();
        // First: what was published by then was read up to there.
        let published = self.published().await?;
        for (partition, end) in self.access.topics.ends(&self.topic, &partitions).await? {
            lanes.partitions.entry(partition).or_default().end = Some(end);
        }
        for ((partition, stream), published) in published {
            lanes.partitions.entry(partition).or_default().published.insert(stream, published);
        }
        Ok(())
    }

    /// What was published last, by partition and stream.
    async fn published(&self) -> Result<Progress, KafkaError> {
        let topic = &self.progress_topic;
        let Some(described) = self.access.topics.describe(topic).await? else { return Ok(Progress::new()) };
        let partitions: Vec<i32> = (0..described.partitions).collect();
        let starts = self.access.topics.starts(topic, &partitions);
        let (starts, ends) = tokio::try_join!(starts, self.access.topics.ends(topic, &partitions))?;
        let last = |(partition, end): (i32, i64)| -> (i32, Range<i64>) {
            let start = starts.get(&partition).copied().unwrap_or(0);
            (partition, start.max(end - LAST_OFFSETS)..end)
        };
        let ranges = ends.into_iter().map(last).collect();
        let read = log::read(&self.access, topic, ranges, Progress::new(), |progress, record| {
            take(progress, &record);
            ControlFlow::Continue(())
        });
        Ok(read.await?.made)
    }

    /// Asked until a broker has said it.
    async fn knows_transactions(&self) -> Result<Option<bool>, KafkaError> {
        if let Some(known) = self.knows_transactions.get() {
            return Ok(Some(*known));
        }
        let known = self.access.logs.knows_transactions().await?;
        if let Some(known) = known {
            // Somebody else may have been told the same.
            let _ = self.knows_transactions.set(known);
        }
        Ok(known)
    }
}

/// A record takes the place of an older one of its key. What no lane has written says nothing.
fn take(progress: &mut Progress, record: &LogRecord<'_>) {
    let key = record.key.and_then(ProgressKey::of);
    let value = record.payload.and_then(Published::of);
    if let (Some(ProgressKey::Stream(stream)), Some(published)) = (key, value) {
        let published = LanePublished { published, at_us: record.timestamp_us() };
        progress.insert((record.partition, stream), published);
    }
}
