//! What had arrived at a moment: per partition, the first offset whose record has a timestamp of then or later, and where there is none,
//! the log's end, which is asked for after that moment (P2).

use futures::FutureExt;
use futures::future::BoxFuture;
use platform::kafka::{Bound, KafkaError, Topics};
use platform::settings;
use platform::store::{DataFile, StoreError};
use polars::prelude::*;
use shared_logic::contracts::archive::{LOG, OFFSET, PARTITION, TIMESTAMP};
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::schema::INSTANT;
use storage::Archive;

use super::ReportError;
use super::outcome::Waiting;
use crate::archive_rows::may_hold;
use crate::stream::TopicEnds;

/// Says where topics end.
pub trait LogEnds: Send + Sync {
    /// The id of a topic, and where its partitions end; `None` if there is no such topic.
    fn ends<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<TopicEnds>, KafkaError>>;
}

/// Kafka, which says it.
#[derive(Debug, Clone)]
pub struct KafkaEnds {
    kafka: settings::Kafka,
}

impl KafkaEnds {
    /// Nothing is asked yet.
    pub fn new(kafka: &settings::Kafka) -> KafkaEnds {
        KafkaEnds { kafka: kafka.clone() }
    }

    async fn ask(&self, topic: &str) -> Result<Option<TopicEnds>, KafkaError> {
        let topics = Topics::new(&self.kafka)?;
        let Some(known) = topics.describe(topic).await? else { return Ok(None) };
        let partitions: Vec<i32> = (0..known.partitions).collect();
        let ends = topics.offsets(topic, &partitions, Bound::End).await?;
        Ok(Some(TopicEnds { log: known.log, ends }))
    }
}

impl LogEnds for KafkaEnds {
    fn ends<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<TopicEnds>, KafkaError>> {
        self.ask(topic).boxed()
    }
}

/// What had arrived of a topic at a moment, which has passed. Partitions of which that is nothing are not named, nor are imported files.
/// `from` is what had arrived at an earlier moment, below which nothing is looked for.
///
/// # Errors
/// If the archive cannot be read, or Kafka does not answer. The second error says what is waited for.
pub(super) async fn arrived(
    archive: &Archive,
    topic: &str,
    from: Option<&Offsets>,
    at_us: i64,
    ends: &dyn LogEnds,
) -> Result<Result<Offsets, Waiting>, ReportError> {
    let (facts, files) = (archive.facts(), archive.files().await?);
    let (mut arrived, mut open, mut is_over) = (Offsets::default(), Vec::new(), true);
    for (log, partition, known) in facts.entries().filter(|(log, ..)| log.import.is_none()) {
        let id = PartitionId::new(log.log.clone(), partition);
        let from = from.and_then(|from| from.get(&id)).unwrap_or(known.begin).max(known.begin);
        let range = OffsetRange { id: id.clone(), from, to: known.next };
        match first_since(archive, &files, range, at_us).await? {
            Some(first) => {
                is_over = false;
                arrived.set(id, first);
            }
            None if facts.is_ended(&id) => arrived.set(id, known.next),
            None => open.push(id),
        }
    }
    // The moment has passed, so that any end that is asked for now lies behind all that had arrived. Where every log has ended, there may
    // be another one that the archive does not know yet.
    if is_over || !open.is_empty() {
        let asked = ends.ends(topic).await;
        let asked = asked.map_err(|source| ReportError::Ends { topic: topic.to_owned(), source: Box::new(source) })?;
        match asked {
            Some(asked) => {
                if let Some(other) = open.iter().find(|id| id.topic() != asked.log) {
                    return Ok(Err(Waiting::OtherLog { topic: topic.to_owned(), log: other.log.clone() }));
                }
                for (partition, end) in asked.ends {
                    let id = facts.current(&asked.log, partition);
                    if open.contains(&id) || facts.partition(&id).is_none() {
                        arrived.set(id, end);
                    }
                }
            }
            None if open.is_empty() => {}
            None => return Ok(Err(Waiting::NoTopic { topic: topic.to_owned() })),
        }
    }
    let begin = |id: &PartitionId| facts.partition(id).map_or(0, |known| known.begin);
    Ok(Ok(arrived.iter().filter_map(|(id, at)| (at > begin(id)).then(|| (id.clone(), at))).collect()))
}

/// The first offset of a range whose record has a timestamp of that moment or later. Row groups are left out by their statistics.
async fn first_since(
    archive: &Archive,
    files: &[DataFile],
    mut range: OffsetRange,
    at_us: i64,
) -> Result<Option<i64>, StoreError> {
    let columns =
        [(LOG, DataType::String), (PARTITION, DataType::Int32), (OFFSET, DataType::Int64), (TIMESTAMP, INSTANT)];
    let columns: Schema = columns.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype)).collect();
    let mut found = None;
    for file in files {
        if range.from >= range.to || !may_hold(file, std::slice::from_ref(&range)) {
            continue;
        }
        let is_since = |part: &DataFile| part.ranges.get(TIMESTAMP).is_none_or(|(_, high)| *high >= at_us);
        let of_range = range.clone();
        let is_wanted = |part: &DataFile| may_hold(part, std::slice::from_ref(&of_range)) && is_since(part);
        for group in archive.row_groups(file, &columns, is_wanted).await? {
            let wanted = range.clone();
            if let Some(first) = group.read(move |rows| first_of(&rows, &wanted, at_us)).await? {
                (found, range.to) = (Some(first), first);
            }
        }
    }
    Ok(found)
}

fn first_of(rows: &DataFrame, range: &OffsetRange, at_us: i64) -> PolarsResult<Option<i64>> {
    let (logs, partitions) = (rows.column(LOG)?.str()?, rows.column(PARTITION)?.i32()?);
    let (offsets, times) = (rows.column(OFFSET)?.i64()?, rows.column(TIMESTAMP)?.cast(&DataType::Int64)?);
    let times = times.i64()?;
    let is_since = |row: usize| {
        let offset = offsets.get(row).filter(|offset| (range.from..range.to).contains(offset))?;
        let is_of_range = logs.get(row)? == range.id.log && partitions.get(row)? == range.id.partition;
        Some(offset).filter(|_| is_of_range && times.get(row).is_some_and(|time| time >= at_us))
    };
    Ok((0..rows.height()).filter_map(is_since).min())
}
