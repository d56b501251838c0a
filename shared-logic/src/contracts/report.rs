//! The table of a report, in `<name>/warehouse/<report>`: for others to query, with any reader of Delta tables (P1).
//!
//! Its rows are those of the group keys of the report's metric, partitioned by the day that they are of, `YYYY-MM-DD`, a day by the clocks
//! of the report's zone. A day is one file, sorted by the columns of the group key, null first and texts by their bytes; a day without
//! events has none. Each commit replaces one day, and says in the same write what its rows were computed from: a [`DateNote`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::DefinitionHash;
use crate::log::Offsets;

/// The Delta metadata domain that holds the [`Note`].
pub const NOTE_DOMAIN: &str = "braid.report";
/// Where the note's JSON has an entry for each day: those that are not revised any more do not change.
pub const NOTE_DATES: &str = "/dates";

/// The partition column: the day of the rows, `YYYY-MM-DD`.
pub const DATE: &str = "date";

/// Of so many days a note says which offsets their rows were computed from, besides the day that is committed: more than are made up for
/// or revised.
const DETAILED: usize = 64;

/// Where the table lies below the deployment's root, `<store.url>/<name>`.
pub fn path(report: &str) -> String {
    format!("warehouse/{report}")
}

/// What is known of every day that was committed. Of days that are over, it is not said any more which offsets their rows were computed
/// from, or it would grow with the partitions of every day: their own commits have said it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// By the day, `YYYY-MM-DD`.
    pub dates: BTreeMap<String, DateNote>,
}

/// What the rows of a day were computed from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DateNote {
    /// The definition of the report.
    pub definition: DefinitionHash,
    /// The version of the deployment whose view was read.
    pub version: String,
    /// The version of the batch view.
    pub view_version: u64,
    /// Per partition, the first offset that the view did not hold.
    pub cut: Offsets,
    /// P2: per partition, the first offset that had not arrived when the day was settled; the cut lies at or above it.
    pub arrived: Offsets,
    /// By the name of each table that was joined, per partition the first offset of which its rows know nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, Offsets>,
    /// P1: by the name of the metric's source, and of each table that was joined, the version of its archive that had last taken erased
    /// events out when the rows were computed. They hold none of these. Sources of which nothing was erased are not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub erased: BTreeMap<String, u64>,
    /// How many rows there are.
    pub rows: u64,
    /// When it was committed, microseconds since 1970 by the committer's clock; for information, and for a schedule that starts.
    pub committed_at_us: i64,
    /// How many commits of this day there were before.
    #[serde(default)]
    pub revisions: u64,
}

impl Note {
    /// The last day that was committed.
    pub fn last(&self) -> Option<(&str, &DateNote)> {
        self.dates.last_key_value().map(|(date, note)| (date.as_str(), note))
    }

    /// Notes what the rows of a day were computed from, and forgets the offsets of days that are over.
    pub fn commit(&mut self, date: &str, of_date: DateNote) {
        self.dates.insert(date.to_owned(), of_date);
        let over = self.dates.iter_mut().rev().skip(DETAILED).filter(|(known, _)| *known != date);
        for (_, note) in over {
            (note.cut, note.arrived) = (Offsets::default(), Offsets::default());
            note.tables.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::PartitionId;

    #[test]
    fn a_note_is_read_as_it_was_written_and_without_what_is_not_there() {
        let offsets = Offsets::from_iter([(PartitionId::new("log", 3), 40)]);
        let of_date = DateNote {
            definition: DefinitionHash::of_none(),
            version: "v1".to_owned(),
            view_version: 7,
            cut: offsets.clone(),
            arrived: offsets,
            tables: BTreeMap::new(),
            erased: BTreeMap::new(),
            rows: 9,
            committed_at_us: 1,
            revisions: 0,
        };
        let dates = BTreeMap::from([("2026-04-24".to_owned(), of_date.clone()), ("2026-04-23".to_owned(), of_date)]);
        let note = Note { dates };
        let written = serde_json::to_value(&note).expect("written");
        assert!(written.pointer(NOTE_DATES).is_some_and(|dates| dates.is_object()), "{written}");
        assert_eq!(written.pointer("/dates/2026-04-24/tables"), None);
        assert_eq!(written.pointer("/dates/2026-04-24/erased"), None, "older builds wrote none");
        assert_eq!(serde_json::from_value::<Note>(written).expect("read"), note);
        assert_eq!(note.last().map(|(date, _)| date), Some("2026-04-24"));
    }

    #[test]
    fn days_that_are_over_do_not_say_their_offsets_and_the_one_that_is_committed_does() {
        let offsets = Offsets::from_iter([(PartitionId::new("log", 3), 40)]);
        let of_date = DateNote {
            definition: DefinitionHash::of_none(),
            version: "v1".to_owned(),
            view_version: 7,
            cut: offsets.clone(),
            arrived: offsets.clone(),
            tables: BTreeMap::from([("users".to_owned(), offsets.clone())]),
            erased: BTreeMap::from([("users".to_owned(), 7)]),
            rows: 9,
            committed_at_us: 1,
            revisions: 2,
        };
        let (mut note, date) = (Note::default(), |day: usize| format!("{:04}-01-01", 2_000 + day));
        (0..DETAILED + 6).for_each(|day| note.commit(&date(day), of_date.clone()));
        let detailed = |note: &Note| -> Vec<String> {
            let says = |of: &&DateNote| of.cut == offsets && of.arrived == offsets && !of.tables.is_empty();
            note.dates.iter().filter(|(_, of)| says(of)).map(|(date, _)| date.clone()).collect()
        };
        assert_eq!(detailed(&note), (6..DETAILED + 6).map(date).collect::<Vec<String>>());
        assert!(
            note.dates.values().all(|of| of.erased["users"] == 7),
            "how far erasures have come is kept of every day"
        );
        assert_eq!((note.dates.len(), note.dates[&date(0)].rows, note.dates[&date(0)].revisions), (DETAILED + 6, 9, 2));
        // A day of long ago is written again by hand.
        note.commit(&date(2), of_date.clone());
        assert_eq!(detailed(&note)[0], date(2));
        note.commit(&date(DETAILED + 6), of_date.clone());
        assert_eq!(detailed(&note), (7..DETAILED + 7).map(date).collect::<Vec<String>>());
    }
}
