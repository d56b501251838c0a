//! The Delta batch view of one metric: exact partials of every event below the cut, in
//! `<name>/views/<version>/<metric>`.
//!
//! Its rows are `bucket`, the `by` columns (null where events lack one) and a column per measure, partitioned by the bucket's
//! day. They are *partials*: a commit adds rows for events that are new, so several rows may have the same key and bucket, in
//! several files or in one. Whoever reads them merges them by the law of each measure: counts and sums add up, of minima the
//! smallest counts and of maxima the largest; a null minimum or maximum says nothing. A sum that leaves 64 bits stands in several
//! rows, whose other measures are those of no event (0, or null for minima and maxima). A null sum is an overflow that an older
//! build has written. A sketch is the column's bytes; a null one is that of no event. Sketches are merged as `docs/operations.md` says.
//!
//! The rows of each file are sorted by the `by` columns in the metric's order, null first and texts by their bytes, and then by
//! bucket. Small files of a day are merged while others are added.
//!
//! Each commit carries a [`Note`] in the same write as the rows: the cut, whose definition it counts, and which archive it read.

use serde::{Deserialize, Serialize};

use crate::catalog::DefinitionHash;
use crate::log::Offsets;

/// The Delta metadata domain that holds the [`Note`].
pub const NOTE_DOMAIN: &str = "braid.view";
/// Where the note's JSON has an entry for each log: most of these are over and do not change any more.
pub const NOTE_LOGS: &str = "/cut";

/// The column of a row's bucket: its start, an instant.
pub const BUCKET: &str = "bucket";
/// The partition column: the bucket's day, `YYYY-MM-DD`.
pub const DAY: &str = "_day";

/// Where a metric's view lies below the deployment's root, `<store.url>/<name>`.
pub fn path(version: &str, metric: &str) -> String {
    format!("views/{version}/{metric}")
}

/// What a commit of a batch view says of its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The definition by which every row was counted.
    pub definition: DefinitionHash,
    /// Per partition, the first offset that the view does not hold.
    pub cut: Offsets,
    /// The version of the archive that was read.
    pub archive_version: u64,
    /// The first day, in days since 1970, that the view holds; `None`: it holds every day. Events of earlier days are in no row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_before: Option<i64>,
    /// When it was committed, microseconds since 1970 by the committer's clock. No answer follows from it; a schedule goes by it when
    /// it starts.
    pub committed_at_us: i64,
    /// What an operator has asked of the view, and no reconcile has done yet.
    #[serde(default, skip_serializing_if = "Asked::is_nothing")]
    pub asked: Asked,
}

/// What an operator has asked of a view. Older builds do not know of it, and their commits forget it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// To count it anew, though it counts the catalog's definition: the version whose commit asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<u64>,
    /// To leave it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
}

/// A view that was rolled back. No reconcile changes it until an operator resumes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Which version it was rolled back to.
    pub rolled_back_to: u64,
    /// Since when, microseconds since 1970 by the operator's clock; for information only.
    pub since_us: i64,
}

impl Asked {
    /// Whether nothing is asked.
    pub fn is_nothing(&self) -> bool {
        *self == Asked::default()
    }
}

impl Note {
    /// Whether the view holds no rows of that day, in days since 1970, because they were taken out or could not be counted any more.
    pub fn is_retired(&self, day: i64) -> bool {
        self.retired_before.is_some_and(|before| day < before)
    }

    /// The note of a view of which no rows are left, so that it is no view of any definition. Its cut stands (R1), and if it is
    /// paused, it stays so.
    pub fn of_no_rows(&self, committed_at_us: i64) -> Note {
        let definition = DefinitionHash::of_none();
        let asked = Asked { rebuild: None, pause: self.asked.pause.clone() };
        Note { definition, committed_at_us, asked, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(asked: Asked) -> Note {
        let (definition, cut) = (DefinitionHash::of_none(), Offsets::default());
        Note { definition, cut, archive_version: 7, retired_before: None, committed_at_us: 1, asked }
    }

    #[test]
    fn a_note_of_an_older_build_asks_for_nothing_and_one_that_asks_for_nothing_is_read_by_an_older_build() {
        let written = serde_json::to_value(note(Asked::default())).expect("written");
        assert_eq!(written.get("asked"), None);
        assert_eq!(serde_json::from_value::<Note>(written).expect("read"), note(Asked::default()));
    }

    #[test]
    fn what_is_asked_is_read_as_it_was_written() {
        let pause = Some(Pause { rolled_back_to: 3, since_us: 9 });
        for asked in [Asked { rebuild: Some(4), pause: None }, Asked { rebuild: None, pause }] {
            let written = serde_json::to_string(&note(asked.clone())).expect("written");
            assert_eq!(serde_json::from_str::<Note>(&written).expect("read"), note(asked), "{written}");
        }
    }

    #[test]
    fn a_view_without_rows_keeps_its_cut_and_is_none_of_any_definition() {
        let before = note(Asked { rebuild: Some(4), pause: None });
        let after = before.of_no_rows(5);
        assert_eq!((after.cut, after.archive_version, after.asked), (before.cut, 7, Asked::default()));
        assert_eq!(after.definition.as_str(), "0000000000000000");
        let paused = Asked { rebuild: None, pause: Some(Pause { rolled_back_to: 3, since_us: 9 }) };
        assert_eq!(note(paused.clone()).of_no_rows(5).asked, paused, "only an operator resumes it");
    }
}
