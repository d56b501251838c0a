//! Why a lane does not go on, in `_lanes/stopped/<version>/lane-<partition>.json` beside the source's archive.
//!
//! Most of what stops a lane can be seen from outside; what it alone knows, such as a limit of its memory or a right that it lacks, it notes
//! here. The store is the one place that it can write to whatever Kafka refuses: where it cannot be written, nobody else can read it either,
//! and all say so. Nothing depends on the note, and nobody has to remove it in time: what was published later shows that it is over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The folder of these notes.
pub const STOPPED: &str = "_lanes/stopped/";

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
    /// The paths of all files that lanes have left, whichever generation's.
    pub files: Vec<String>,
}

impl LanesNoted {
    /// Whether there is any snapshot of a partition's lane, whole or not, under whatever definitions (T7).
    pub fn has_snapshot(&self, log: &str, partition: i32) -> bool {
        let of_lane = format!("/{log}/{partition}/");
        self.files.iter().any(|path| path.contains(&of_lane))
    }
}

/// The path of the note of a generation's lane. It cannot be taken for a manifest, whose name is a number.
pub fn stopped_path(generation: &str, partition: i32) -> String {
    format!("{STOPPED}{generation}/lane-{partition}.json")
}

/// The partition whose note lies there, if it is one of that generation.
pub fn stopped_partition(generation: &str, path: &str) -> Option<i32> {
    path.strip_prefix(STOPPED)?.strip_prefix(generation)?.strip_prefix("/lane-")?.strip_suffix(".json")?.parse().ok()
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
    fn a_snapshot_is_one_of_its_own_partition() {
        let files = vec!["_lanes/0123456789abcdef/log/3/00000000000000000007.json".to_owned(), stopped_path("v1", 5)];
        let noted = LanesNoted { files, ..LanesNoted::default() };
        assert!(noted.has_snapshot("log", 3) && !noted.has_snapshot("log", 0) && !noted.has_snapshot("v1", 5));
    }
}
