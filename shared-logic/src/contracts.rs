//! How the layers write down what they share: the only things that they know of each other.
//!
//! - `archive`: the Delta archive's columns, and the facts that each of its commits carries (R6);
//! - `batch_view`: the Delta batch view's columns, and the note with the cut that each of its commits carries (R1);
//! - `speed_view`: the shard in Redis, as pure functions (R2 to R5, R8), and the scripts that do the same there.

pub mod archive;
pub mod batch_view;
pub mod speed_view;

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
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.log, self.partition)
    }
}

/// An offset per partition, written as `{"<log>": {"<partition>": offset}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offsets(BTreeMap<PartitionId, i64>);

impl Offsets {
    /// The partition's offset, if it is named.
    pub fn get(&self, partition: &PartitionId) -> Option<i64> {
        self.0.get(partition).copied()
    }

    /// Names the partition.
    pub fn set(&mut self, partition: PartitionId, offset: i64) {
        self.0.insert(partition, offset);
    }

    /// Every named partition with its offset, in order.
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
