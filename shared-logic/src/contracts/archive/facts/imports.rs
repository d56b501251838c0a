//! Files that were imported, each as a log of its own (R6).
//!
//! Such a log is named by the digest of what the file holds, so the same content is imported once, whatever its file is called. It
//! has one partition, whose offsets are the numbers of the file's records. All of it is archived in one commit, which also closes
//! and settles it: nothing of it comes later, and the speed layer never sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Facts, LogFacts, Place, Rejects};
use crate::log::PartitionId;
use crate::rejection::Reason;

/// Where an imported log comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The file's name, as the operator gave it.
    pub file: String,
    /// When it was imported, microseconds since 1970.
    pub at_us: i64,
    /// How many of its records could not be decoded under the rules of that time, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rejects: BTreeMap<Reason, u64>,
}

/// The records of a file that is imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportedRecords {
    /// How many there are.
    pub rows: i64,
    /// Per reason, how many of them are invalid, and where the last of these is.
    pub rejects: BTreeMap<Reason, (u64, Place)>,
}

/// The name of the log of a file with that content. No topic's id is as long.
pub fn import_log(digest: u128) -> String {
    format!("import-{digest:032x}")
}

impl Facts {
    /// The logs that were imported, the oldest first.
    pub fn imports(&self) -> impl Iterator<Item = (&LogFacts, &Import)> {
        self.logs.iter().filter_map(|log| Some((log, log.import.as_ref()?)))
    }

    /// R6: notes that all records of a file are archived: their begin, their next offset, and that the log is closed and settled.
    ///
    /// Changes nothing and returns false if a file of the same content was imported before.
    #[must_use]
    pub fn add_import(&mut self, digest: u128, file: &str, at_us: i64, records: &ImportedRecords) -> bool {
        let log = import_log(digest);
        if self.log(&log).is_some() {
            return false;
        }
        let id = PartitionId::new(log.clone(), 0);
        self.begin(&id, 0);
        let is_advanced = self.advance(&id, 0, records.rows);
        self.see_end(&id, records.rows);
        for (reason, (count, last)) in &records.rejects {
            let rejects = self.rejects.entry(*reason).or_insert_with(|| Rejects { count: 0, last: last.clone() });
            rejects.count += count;
            rejects.last = last.clone();
        }
        let rejects = records.rejects.iter().map(|(reason, (count, _))| (*reason, *count)).collect();
        let facts = self.log_mut(&log);
        (facts.closed, facts.settled) = (true, true);
        facts.import = Some(Import { file: file.to_owned(), at_us, rejects });
        is_advanced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Start;
    use crate::contracts::archive::Change;
    use crate::cut;

    fn records(rows: i64) -> ImportedRecords {
        let place = Place { log: import_log(1), partition: 0, offset: 4, error: "empty".to_owned() };
        ImportedRecords { rows, rejects: [(Reason::Empty, (2, place))].into() }
    }

    #[test]
    fn an_import_is_closed_and_settled_at_once_and_stands_behind_older_logs() {
        let mut facts = Facts::default();
        facts.begin(&PartitionId::new("topic", 0), 0);
        assert!(facts.add_import(1, "a.csv", 7, &records(5)));
        let id = PartitionId::new(import_log(1), 0);
        let known = facts.partition(&id).expect("begun");
        assert_eq!((known.begin, known.next, known.lost.len()), (0, 5, 0));
        assert!(facts.is_closed(&id.log) && facts.is_settled(&id));
        assert_eq!(facts.logs.iter().map(|log| log.log.as_str()).collect::<Vec<_>>(), ["topic", id.log.as_str()]);
        assert_eq!(facts.rejects[&Reason::Empty].count, 2);
        let rejects = BTreeMap::from([(Reason::Empty, 2)]);
        let import = Import { file: "a.csv".to_owned(), at_us: 7, rejects };
        assert_eq!(
            facts.imports().map(|(log, import)| (log.log.clone(), import.clone())).collect::<Vec<_>>(),
            [(id.log, import)]
        );
        let text = serde_json::to_string(&facts).expect("written");
        assert_eq!(serde_json::from_str::<Facts>(&text).expect("read"), facts);
    }

    #[test]
    fn the_same_content_is_imported_once() {
        let mut facts = Facts::default();
        assert!(facts.add_import(1, "a.csv", 7, &records(5)));
        let once = facts.clone();
        assert!(!facts.add_import(1, "b.csv", 8, &records(5)));
        assert_eq!(facts, once);
        assert!(facts.add_import(2, "a.csv", 8, &records(3)), "another content under the same name");
        assert_eq!(facts.rejects[&Reason::Empty].count, 4);
    }

    #[test]
    fn the_cut_of_an_import_is_its_end() {
        let mut facts = Facts::default();
        assert!(facts.add_import(1, "a.csv", 7, &records(5)));
        let id = PartitionId::new(import_log(1), 0);
        let cut::CutPlan::Ready(cut) = cut::plan(None, &cut::Rotated::new(), &facts) else { panic!("it is archived") };
        assert_eq!(cut.get(&id), Some(5));
        assert_eq!(cut::behind(&cut::Rotated::new(), &facts), []);
    }

    #[test]
    fn a_topic_that_is_seen_after_an_import_is_the_first_log_all_the_same() {
        let mut facts = Facts::default();
        assert!(facts.add_import(1, "a.csv", 7, &records(5)));
        let import = facts.logs.clone();
        let (starts, ends) = (BTreeMap::from([(0, 3)]), BTreeMap::from([(0, 7)]));
        let changes = facts.register_topic("topic", Start::Latest, &starts, &ends, &[0].into());
        assert_eq!(
            changes,
            [Change::Begun { id: PartitionId::new("topic", 0), at: 7 }],
            "and the import is not closed again"
        );
        assert_eq!(facts.logs[..1], import[..]);
    }
}
