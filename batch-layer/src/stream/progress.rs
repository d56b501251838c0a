//! How far streams were published, as the progress topic of their source says, and where their topics end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use platform::kafka::{Bound, KafkaError, OwnedRecord, Topics, read_committed};
use platform::settings;
use platform::task::joined;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::stream::{ProgressNoted, progress_topic};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many partitions are read at a time. Each takes a client of its own.
const AT_ONCE: usize = 8;

/// What Kafka says of the streams over a source.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When it was asked.
    pub at: Instant,
    /// The source's log.
    pub log: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// The id of the progress topic.
    pub progress_log: String,
    /// By partition of the source, what is published.
    pub noted: BTreeMap<i32, ProgressNoted>,
    /// By stream, where its topic ended afterwards.
    pub outputs: BTreeMap<String, TopicEnds>,
    /// By table that the streams look into, where its topic ended afterwards: nothing that is published has seen more of it.
    pub tables: BTreeMap<String, TopicEnds>,
}

/// Where a topic ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicEnds {
    /// The topic's id.
    pub log: String,
    /// By partition, one past the last record that is committed.
    pub ends: BTreeMap<i32, i64>,
}

/// A topic that has to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTopic(pub String);

/// Asks how far the streams over a source are published, and then where their topics end: all that is published lies before.
///
/// # Errors
/// If Kafka does not answer. A topic that does not exist is no error of Kafka's.
pub async fn ask(
    kafka: &settings::Kafka,
    catalog: &Catalog,
    source: &Source,
) -> Result<Result<Asked, MissingTopic>, KafkaError> {
    let topics = Topics::new(kafka)?;
    let Some(described) = topics.describe(&source.topic).await? else {
        return Ok(Err(MissingTopic(source.topic.clone())));
    };
    let topic = progress_topic(&catalog.deployment, &source.name);
    let Some(progress) = topics.describe(&topic).await? else { return Ok(Err(MissingTopic(topic))) };
    let at = Instant::now();
    let noted = noted(kafka, &topics, &topic, progress.partitions).await?;
    let (mut outputs, mut tables) = (BTreeMap::new(), BTreeMap::new());
    for stream in catalog.streams_of(&source.name) {
        match ends(&topics, &stream.topic).await? {
            Ok(ends) => drop(outputs.insert(stream.name.clone(), ends)),
            Err(missing) => return Ok(Err(missing)),
        }
        for table in stream.lookups().iter().filter_map(|lookup| catalog.tables.get(&lookup.table)) {
            match ends(&topics, &table.topic).await? {
                Ok(ends) => drop(tables.insert(table.name.clone(), ends)),
                Err(missing) => return Ok(Err(missing)),
            }
        }
    }
    let (log, partitions, progress_log) = (described.log, described.partitions, progress.log);
    Ok(Ok(Asked { at, log, partitions, progress_log, noted, outputs, tables }))
}

/// Where a topic ends.
async fn ends(topics: &Topics, topic: &str) -> Result<Result<TopicEnds, MissingTopic>, KafkaError> {
    let Some(known) = topics.describe(topic).await? else { return Ok(Err(MissingTopic(topic.to_owned()))) };
    let partitions: Vec<i32> = (0..known.partitions).collect();
    let ends = topics.offsets(topic, &partitions, Bound::End).await?;
    Ok(Ok(TopicEnds { log: known.log, ends }))
}

/// What every partition of a progress topic says, up to ends that are asked for first.
///
/// # Errors
/// If Kafka does not answer.
pub(super) async fn noted(
    kafka: &settings::Kafka,
    topics: &Topics,
    topic: &str,
    partitions: i32,
) -> Result<BTreeMap<i32, ProgressNoted>, KafkaError> {
    let all: Vec<i32> = (0..partitions).collect();
    let starts = topics.offsets(topic, &all, Bound::Start).await?;
    let ends = topics.offsets(topic, &all, Bound::End).await?;
    let (mut noted, mut reading, mut left) = (BTreeMap::new(), JoinSet::new(), all.into_iter());
    loop {
        while reading.len() < AT_ONCE
            && let Some(partition) = left.next()
        {
            let bound = |bounds: &BTreeMap<i32, i64>| bounds.get(&partition).copied().unwrap_or_default();
            let (kafka, topic, from, to) = (kafka.clone(), topic.to_owned(), bound(&starts), bound(&ends));
            reading.spawn(async move {
                let read = of_partition(&kafka, &topic, partition, from, to).await;
                read.map(|noted| (partition, noted))
            });
        }
        let Some(read) = reading.join_next().await else { return Ok(noted) };
        let (partition, of_partition) = joined(read)?;
        noted.insert(partition, of_partition);
    }
}

/// What a partition of a progress topic says between two offsets.
///
/// # Errors
/// If Kafka does not answer.
pub(super) async fn of_partition(
    kafka: &settings::Kafka,
    topic: &str,
    partition: i32,
    from: i64,
    to: i64,
) -> Result<ProgressNoted, KafkaError> {
    let noted = Arc::new(Mutex::new(ProgressNoted::default()));
    let taken = Arc::clone(&noted);
    let visit = move |record: OwnedRecord| {
        let mut noted = taken.lock().unwrap_or_else(PoisonError::into_inner);
        noted.take(record.key.as_deref(), record.payload.as_deref());
        noted.written_us = noted.written_us.max(record.timestamp_ms.map(|ms| ms.saturating_mul(1_000)));
    };
    read_committed(kafka, topic, partition, from, to, visit).await?;
    let noted = std::mem::take(&mut *noted.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(noted)
}
