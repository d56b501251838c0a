//! Where the partitions of a stream's topic begin and end, as Kafka says at one moment, and which incarnations they are, as the
//! archive says.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::kafka::KafkaError;
use shared_logic::contracts::archive::Facts;
use shared_logic::log::PartitionId;

use super::access::Access;
use super::positions::{Position, Positions};

/// How long Kafka may take to say it, so that an answer without what lies behind the archive comes in time.
const WITHIN: Duration = Duration::from_secs(3);

/// The partitions of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogBounds {
    /// The topic's id.
    topic: String,
    /// By number.
    partitions: Vec<PartitionBounds>,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionBounds {
    /// The incarnation that goes on.
    pub(super) id: PartitionId,
    /// Where that incarnation begins.
    pub(super) begin: i64,
    /// The first offset that the log holds.
    pub(super) start: i64,
    /// One past the last committed record.
    pub(super) end: i64,
}

impl LogBounds {
    /// Asks Kafka; `None` if there is no such topic.
    ///
    /// Offsets are asked for by the topic's name, after its id. They are of this log only if the topic still has the id afterwards (R7).
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub(super) async fn ask(access: &Access, topic: &str, facts: &Facts) -> Result<Option<LogBounds>, KafkaError> {
        let asked = tokio::time::timeout(WITHIN, LogBounds::asked(access, topic, facts)).await;
        let silent =
            |_| Err(KafkaError::Timeout { operation: "list offsets of", topic: topic.to_owned(), within: WITHIN });
        asked.unwrap_or_else(silent)
    }

    async fn asked(access: &Access, topic: &str, facts: &Facts) -> Result<Option<LogBounds>, KafkaError> {
        let Some(described) = access.topics.describe(topic).await? else { return Ok(None) };
        let partitions: Vec<i32> = (0..described.partitions).collect();
        let starts = access.topics.starts(topic, &partitions);
        let (starts, ends) = tokio::try_join!(starts, access.topics.ends(topic, &partitions))?;
        Ok(Some(LogBounds::new(&described.log, &starts, &ends, facts)))
    }

    /// The partitions that have a start and an end.
    pub(super) fn new(topic: &str, starts: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, i64>, facts: &Facts) -> LogBounds {
        let bounds = |(partition, end): (&i32, &i64)| {
            let id = facts.current(topic, *partition);
            let begin = facts.partition(&id).map_or(0, |known| known.begin);
            PartitionBounds { id, begin, start: starts.get(partition).copied().unwrap_or(0), end: *end }
        };
        LogBounds { topic: topic.to_owned(), partitions: ends.iter().map(bounds).collect() }
    }

    /// The topic's id.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// The bounds of a partition.
    pub(super) fn partition(&self, partition: i32) -> Option<&PartitionBounds> {
        self.partitions.iter().find(|bounds| bounds.id.partition == partition)
    }

    /// The bounds of every partition.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &PartitionBounds> {
        self.partitions.iter()
    }

    /// Positions in each partition.
    pub(super) fn positions(&self, offset: impl Fn(&PartitionBounds) -> i64) -> Positions {
        let position =
            |bounds: &PartitionBounds| Position { incarnation: bounds.id.incarnation(), offset: offset(bounds) };
        Positions { topic: self.topic.clone(), partitions: self.partitions.iter().map(position).collect() }
    }
}
