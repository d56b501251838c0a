//! Why a lane does not go on, in `_lanes/stopped/<generation>/lane-<partition>.json` beside the source's archive; and that it has published,
//! in `_lanes/published/<generation>/<log>/lane-<partition>.json`.
//!
//! Most of what stops a lane can be seen from outside; what it alone knows, such as a limit of its memory or a right that it lacks, it notes
//! here. The store is the one place that it can write to whatever Kafka refuses: where it cannot be written, nobody else can read it either,
//! and all say so. Nothing depends on the note, and nobody has to remove it in time: what was published later shows that it is over.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::log::PartitionId;

/// The folder of these notes.
pub const STOPPED: &str = "_lanes/stopped/";
/// The folder of what says that lanes have published (T7). Snapshots do not say whose they are: lanes of another generation read the same
/// source, and may have had the same streams.
pub const PUBLISHED: &str = "_lanes/published/";

/// Why a lane does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// When it stopped, microseconds since 1970.
    pub since_us: i64,
    /// When it last tried to go on, microseconds since 1970.
    pub tried_us: i64,
    /// Why that failed.
    pub why: String,
}

/// What is kept beside an archive about the lanes over its source, of one generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LanesNoted {
    /// T7: the progress topic that they began with; `None` if they never began.
    pub begun: Option<String>,
    /// By partition, why its lane did not go on.
    pub stopped: BTreeMap<i32, Stopped>,
    /// T7: the partitions of which a lane has published, each with its log.
    pub published: BTreeSet<PartitionId>,
}

/// The path of the note of a generation's lane. It cannot be taken for a manifest, whose name is a number.
pub fn stopped_path(generation: &str, partition: i32) -> String {
    format!("{STOPPED}{generation}/lane-{partition}.json")
}

/// The partition whose note lies there, if it is one of that generation.
pub fn stopped_partition(generation: &str, path: &str) -> Option<i32> {
    path.strip_prefix(STOPPED)?.strip_prefix(generation)?.strip_prefix("/lane-")?.strip_suffix(".json")?.parse().ok()
}

/// The path of what says that a generation's lane of that partition has published. It cannot be taken for a manifest either.
pub fn published_path(generation: &str, id: &PartitionId) -> String {
    format!("{PUBLISHED}{generation}/{}/lane-{}.json", id.log, id.partition)
}

/// The partition of which that path says so, if it is one of that generation.
pub fn published_partition(generation: &str, path: &str) -> Option<PartitionId> {
    let own = path.strip_prefix(PUBLISHED)?.strip_prefix(generation)?.strip_prefix('/')?;
    let (log, partition) = own.strip_suffix(".json")?.split_once("/lane-")?;
    Some(PartitionId::new(log, partition.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_found_by_its_path() {
        assert_eq!(stopped_partition("v1", &stopped_path("v1", 12)), Some(12));
        let others =
            ["_lanes/begun/v1.json", "_lanes/stopped/v1/lane-x.json", "_lanes/stopped/v10/lane-12.json", "12.json"];
        for other in others {
            assert_eq!(stopped_partition("v1", other), None);
        }
    }

    #[test]
    fn what_was_published_is_found_by_its_path() {
        let id = PartitionId::new("topic-id.1", 12);
        assert_eq!(published_partition("v1", &published_path("v1", &id)), Some(id.clone()));
        for other in
            [published_path("v10", &id), stopped_path("v1", 5), "_lanes/0123456789abcdef/log/3/7.json".to_owned()]
        {
            assert_eq!(published_partition("v1", &other), None, "{other}");
        }
    }
}
