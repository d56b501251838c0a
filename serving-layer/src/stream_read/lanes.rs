//! What can be seen of the lanes over a source: how far each has published, what there is to read and to write, and what it has noted.
//!
//! Lanes say how far they are in the progress topic, in the transactions that hold their outputs. Its last records are read when somebody
//! asks, and what was read is good for a moment, however many ask.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use platform::kafka::KafkaError;
use platform::telemetry::error_text;
use shared_logic::catalog::{Catalog, DefinitionHash, Source};
use shared_logic::contracts::stream::{ProgressKey, Published};
use shared_logic::stream_standing::{SeenArchive, SeenLane, SeenLanes, SeenTopic, Standing};
use shared_logic::stream_topics::{WrittenKind, WrittenTopic, written_topics};
use tokio::sync::{Mutex, OnceCell};
use tracing::warn;

use super::access::Access;
use super::log;
use super::log_client::LogRecord;
use crate::snapshot::SnapshotCache;

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
    /// What can be seen of them; not all of it if there is an `error`.
    pub(crate) seen: SeenLanes,
    /// Whether the source's records have the time at which they were appended; `None` if that is not known.
    pub(crate) dates_records: Option<bool>,
    /// Why Kafka could not be asked.
    pub(crate) error: Option<String>,
}

impl Lanes {
    /// How a stream stands of that definition. Of what could not be asked, nothing is said.
    pub(crate) fn standing(&self, stream: &str, definition: &DefinitionHash) -> Standing {
        if self.error.is_some() && self.seen.knows_transactions != Some(false) {
            return Standing { partitions: Vec::new(), stopped: Vec::new() };
        }
        self.seen.standing(stream, definition)
    }

    /// How many windows and sessions of a stream were open where logs ended; `None` if Kafka or the archive could not be asked.
    pub(crate) fn never_written(&self, stream: &str) -> Option<u64> {
        if self.error.is_some() { None } else { self.seen.never_written(stream) }
    }
}

/// Reads how far the lanes over one source have come.
pub(crate) struct LaneReader {
    source: String,
    topic: String,
    written: Vec<WrittenTopic>,
    generation: String,
    snapshots: Arc<SnapshotCache>,
    access: Arc<Access>,
    knows_transactions: OnceCell<bool>,
    /// What was read last, and when.
    last: Mutex<Option<(Instant, Arc<Lanes>)>>,
}

/// What is read of the progress topic, by partition.
type Progress = BTreeMap<i32, SeenLane>;

impl LaneReader {
    /// Nothing is read yet.
    pub(crate) fn new(
        catalog: &Catalog,
        source: &Source,
        snapshots: &Arc<SnapshotCache>,
        access: &Arc<Access>,
    ) -> LaneReader {
        LaneReader {
            source: source.name.clone(),
            topic: source.topic.clone(),
            written: written_topics(catalog, &source.name),
            generation: catalog.deployment.version.clone(),
            snapshots: Arc::clone(snapshots),
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
        let Lanes { seen, dates_records, .. } = lanes;
        seen.source.clone_from(&self.source);
        seen.knows_transactions = self.knows_transactions().await?;
        // Before what was published: a lane publishes before it leaves anything there.
        seen.archive = self.archive().await;
        seen.topic = self.described(&self.topic).await?;
        let partitions: Vec<i32> = (0..seen.topic.as_ref().map_or(0, |topic| topic.partitions)).collect();
        if seen.topic.is_some() {
            // A client that may not ask is not told.
            *dates_records = self.access.logs.dates_records(&self.topic).await.ok();
        }
        let written = self.written.iter().map(async |written| {
            let known = self.described(&written.name).await?;
            Ok::<_, KafkaError>((written.clone(), known))
        });
        seen.written = try_join_all(written).await?;
        // Before the ends: what was published by then was read up to there.
        let mut published = self.published(&seen.written).await?;
        let ends = match partitions.is_empty() {
            true => BTreeMap::new(),
            false => self.access.topics.ends(&self.topic, &partitions).await?,
        };
        seen.lanes = partitions
            .into_iter()
            .map(|partition| {
                let lane = published.remove(&partition).unwrap_or_default();
                (partition, SeenLane { end: ends.get(&partition).copied(), ..lane })
            })
            .collect();
        seen.former = published;
        Ok(())
    }

    async fn described(&self, topic: &str) -> Result<Option<SeenTopic>, KafkaError> {
        let known = self.access.topics.describe(topic).await?;
        Ok(known.map(|known| SeenTopic { log: known.log, partitions: known.partitions }))
    }

    /// The archive of the source, and what lanes have noted beside it.
    async fn archive(&self) -> SeenArchive {
        let Some(snapshot) = self.snapshots.current() else { return SeenArchive::Unknown };
        if snapshot.archive_unreadable(&self.source).is_some() {
            return SeenArchive::Unknown;
        }
        let archive = snapshot.archive(&self.source).filter(|archive| archive.table.note().is_some());
        let Some(archive) = archive else { return SeenArchive::Nothing };
        match archive.table.lanes_noted(&self.generation).await {
            Ok(noted) => SeenArchive::Of(Arc::clone(&archive.facts), noted),
            Err(error) => {
                warn!(source = self.source, error = error_text(&error), "cannot read what lanes have noted");
                SeenArchive::Unknown
            }
        }
    }

    /// What was published last.
    async fn published(&self, written: &[(WrittenTopic, Option<SeenTopic>)]) -> Result<Progress, KafkaError> {
        let progress = written.iter().find(|(written, _)| written.kind == WrittenKind::Progress);
        let Some((WrittenTopic { name: topic, .. }, Some(described))) = progress else { return Ok(Progress::new()) };
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
        let lane = progress.entry(record.partition).or_default();
        lane.published.insert(stream, published);
        lane.published_us = lane.published_us.max(record.timestamp_us());
    }
}
