//! What had arrived at a moment: per partition, the first offset whose record has a timestamp of then or later, and where there is none,
//! the log's end, which is asked for after that moment (P2).

use futures::FutureExt;
use futures::future::BoxFuture;
use platform::kafka::{Bound, KafkaError, Topics};
use platform::settings;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use storage::Archive;

use super::ReportError;
use super::outcome::Waiting;
use crate::archive_rows::since::first_since;
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
    let mut ranges = Vec::new();
    for (log, partition, known) in facts.entries().filter(|(log, ..)| log.import.is_none()) {
        let id = PartitionId::new(log.log.clone(), partition);
        let from = from.and_then(|from| from.get(&id)).unwrap_or(known.begin).max(known.begin);
        ranges.push(OffsetRange { id, from, to: known.next });
    }
    let first = first_since(archive, &files, ranges.clone(), at_us).await?;
    let (mut arrived, mut open) = (Offsets::default(), Vec::new());
    for OffsetRange { id, to, .. } in ranges {
        match first.get(&id) {
            Some(first) => arrived.set(id, *first),
            None if facts.is_ended(&id) => arrived.set(id, to),
            None => open.push(id),
        }
    }
    // The moment has passed, so that any end that is asked for now lies behind all that had arrived. Where every log has ended, there may
    // be another one that the archive does not know yet.
    if first.is_empty() || !open.is_empty() {
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
    Ok(Ok(arrived.iter().filter(|(id, at)| *at > begin(id)).map(|(id, at)| (id.clone(), at)).collect()))
}
