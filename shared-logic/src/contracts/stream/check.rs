//! How far the streams over a source were checked, in `_lanes/checked/<version>.json` beside the source's archive.
//!
//! Nothing depends on it but where the next check begins. Two checks at once write what each has found out, and either is right.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::catalog::DefinitionHash;
use crate::log::{Offsets, PartitionId};
use crate::stream::Fronts;

/// The folder of these notes.
pub const CHECKED: &str = "_lanes/checked/";

/// How far the streams over a source were checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckedStreams {
    /// When that was, microseconds since 1970.
    pub at_us: i64,
    /// How far, in each partition of the source.
    pub lanes: Vec<CheckedLane>,
    /// For each stream, how far its archive was read: whatever lies below was compared, or left out for good.
    pub outputs: BTreeMap<String, Offsets>,
}

/// How far the streams over a partition were checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckedLane {
    /// The log, with its incarnation.
    pub log: String,
    /// The partition's number.
    pub partition: i32,
    /// The first offset that was not checked.
    pub offset: i64,
    /// The fronts before that offset.
    pub fronts: Fronts,
    /// The streams that were checked up to there, and the definitions that had decided them.
    pub streams: BTreeMap<String, DefinitionHash>,
    /// T8: the streams whose outputs there were decided from an incomplete past.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub incomplete: BTreeSet<String>,
}

impl CheckedStreams {
    /// How far that partition was checked.
    pub fn lane(&self, id: &PartitionId) -> Option<&CheckedLane> {
        self.lanes.iter().find(|lane| lane.log == id.log && lane.partition == id.partition)
    }

    /// Notes how far a partition was checked. Of its other logs nothing is checked any more.
    pub fn set_lane(&mut self, checked: CheckedLane) {
        self.lanes.retain(|lane| lane.partition != checked.partition);
        self.lanes.push(checked);
    }
}

/// The path of the note of a generation.
pub fn checked_path(generation: &str) -> String {
    format!("{CHECKED}{generation}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_has_one_log_that_is_checked() {
        let lane = |log: &str, partition, offset| CheckedLane {
            log: log.to_owned(),
            partition,
            offset,
            fronts: Fronts::new(false),
            streams: BTreeMap::from([("w".to_owned(), "0123456789abcdef".parse().expect("a hash"))]),
            incomplete: BTreeSet::new(),
        };
        let mut checked = CheckedStreams::default();
        for (log, partition, offset) in [("a", 0, 5), ("a", 1, 9), ("a.1", 0, 3), ("a.1", 0, 4)] {
            checked.set_lane(lane(log, partition, offset));
        }
        let offset = |log: &str, partition| checked.lane(&PartitionId::new(log, partition)).map(|lane| lane.offset);
        assert_eq!([offset("a", 0), offset("a.1", 0), offset("a", 1)], [None, Some(4), Some(9)]);
        let text = serde_json::to_string(&checked).expect("written");
        assert_eq!(serde_json::from_str::<CheckedStreams>(&text).expect("read"), checked);
    }
}
