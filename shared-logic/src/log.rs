//! Positions in logs.
//!
//! A *log* is one life of a topic: a topic that is deleted and created again is another log, with another topic id. An
//! offset means something only together with the log and the partition that it counts in.
//!
//! A log can lose its tail without another id, when a broker goes back to an older copy of its data. From there on it is
//! another *incarnation* of that partition alone, which is a log of its own: `<topic id>.<n>`, n from 1 (R12).
//!
//! - `witness`: what tells that a log has lost its tail;
//! - `partitioner`: in which partition a key lies, as a rule.

mod partitioner;
mod witness;

pub use partitioner::partition_of;
pub use witness::{Check, Content, ContentHash, NotAWitness, Outcome, Position, Witness};

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One partition of one log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// The log: the topic's id.
    pub log: String,
    /// The partition's number.
    pub partition: i32,
}

impl PartitionId {
    /// The partition of that log.
    pub fn new(log: impl Into<String>, partition: i32) -> PartitionId {
        PartitionId { log: log.into(), partition }
    }

    /// R12: the id of the topic that the log is of, without the incarnation.
    pub fn topic(&self) -> &str {
        topic_of(&self.log)
    }

    /// R12: which incarnation of its topic's partition it is; the first is 0.
    pub fn incarnation(&self) -> u64 {
        incarnation_of(&self.log).unwrap_or(0)
    }

    /// R12: the incarnation of the same partition that follows.
    pub fn next_incarnation(&self) -> PartitionId {
        PartitionId::new(format!("{}.{}", self.topic(), self.incarnation() + 1), self.partition)
    }
}

/// R12: the topic's id in the name of one of its logs. Ids of topics hold no dot.
pub fn topic_of(log: &str) -> &str {
    match (log.rsplit_once('.'), incarnation_of(log)) {
        (Some((topic, _)), Some(_)) => topic,
        _ => log,
    }
}

fn incarnation_of(log: &str) -> Option<u64> {
    log.rsplit_once('.')?.1.parse().ok()
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.log, self.partition)
    }
}

/// An offset per partition, written as `{"<log>": {"<partition>": offset}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(value_type = BTreeMap<String, BTreeMap<String, i64>>)
)]
pub struct Offsets(BTreeMap<PartitionId, i64>);

impl Offsets {
    /// The partition's offset, if there is one.
    pub fn get(&self, partition: &PartitionId) -> Option<i64> {
        self.0.get(partition).copied()
    }

    /// Sets the partition's offset.
    pub fn set(&mut self, partition: PartitionId, offset: i64) {
        self.0.insert(partition, offset);
    }

    /// Every partition with its offset, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&PartitionId, i64)> {
        self.0.iter().map(|(partition, offset)| (partition, *offset))
    }
}

impl FromIterator<(PartitionId, i64)> for Offsets {
    fn from_iter<I: IntoIterator<Item = (PartitionId, i64)>>(offsets: I) -> Offsets {
        Offsets(offsets.into_iter().collect())
    }
}

impl Serialize for Offsets {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut logs: BTreeMap<&str, BTreeMap<i32, i64>> = BTreeMap::new();
        for (id, offset) in self.iter() {
            logs.entry(&id.log).or_default().insert(id.partition, offset);
        }
        logs.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Offsets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Offsets, D::Error> {
        let logs: BTreeMap<String, BTreeMap<i32, i64>> = BTreeMap::deserialize(deserializer)?;
        Ok(logs
            .into_iter()
            .flat_map(|(log, partitions)| {
                partitions
                    .into_iter()
                    .map(move |(partition, offset)| (PartitionId::new(log.clone(), partition), offset))
            })
            .collect())
    }
}

/// A range of offsets of one partition, `[from, to)`; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRange {
    /// Which partition.
    pub id: PartitionId,
    /// The first offset, or `i64::MIN` where the range has no lower bound.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
}

impl OffsetRange {
    /// The offsets at or above `from` and below `to`, for every partition of `to`. A partition that `from` does not name
    /// has no lower bound.
    pub fn between(from: Option<&Offsets>, to: &Offsets) -> Vec<OffsetRange> {
        let range = |(id, to): (&PartitionId, i64)| {
            let from = from.and_then(|from| from.get(id)).unwrap_or(i64::MIN);
            OffsetRange { id: id.clone(), from, to }
        };
        to.iter().map(range).filter(|range| range.from < range.to).collect()
    }
}
