//! What a stream would have written: the Delta table `<name>/backtest/<stream>`, which each backtest replaces whole.
//!
//! Such a table holds keys and payloads, so an erasure of the source that it was made of, or of a table that its stream looks into, takes
//! everything out of it again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::archive::Erasure;

/// The partition column: the log that the stream has read.
pub const LOG: &str = "log";
/// The partition that it has read.
pub const PARTITION: &str = "partition";
/// The offset of the record that completed the output.
pub const OFFSET: &str = "offset";
/// Which of the stream's outputs for that offset it is.
pub const N: &str = "n";
/// The key of the output's record, bytes; null if it has none.
pub const KEY: &str = "key";
/// The output, JSON as bytes.
pub const PAYLOAD: &str = "payload";
/// The output's time, an instant.
pub const TIME: &str = "time";

/// The folder of all such tables.
pub const FOLDER: &str = "backtest";
/// The Delta metadata domain that holds the [note](BacktestNote) of the table's newest commit.
pub const NOTE_DOMAIN: &str = "braid.backtest";

/// What the outputs of a table were decided from. The stream may be one of another catalog, so the table says it itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacktestNote {
    /// The source that the stream reads.
    pub source: String,
    /// The version of that source's archive.
    pub archive_version: u64,
    /// Of each table that rows were looked up in (B4), the version of its archive.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, u64>,
}

impl BacktestNote {
    /// The version of the archive of that source, or of that table, from which outputs with this note were decided; `None`: from none.
    pub fn decided_from(&self, source: &str) -> Option<u64> {
        if self.source == source { Some(self.archive_version) } else { self.tables.get(source).copied() }
    }

    /// Whether outputs with this note may name what an erasure took out of the archive of that source, or of that table, afterwards.
    pub fn is_of_before(&self, source: &str, erasure: &Erasure) -> bool {
        self.decided_from(source).is_some_and(|version| erasure.parts.iter().any(|part| version < part.version))
    }
}

/// Where the table lies below the deployment's root, `<store.url>/<name>`.
pub fn path(stream: &str) -> String {
    format!("{FOLDER}/{stream}")
}

#[cfg(test)]
mod tests {
    use super::super::archive::{ErasedPart, Facts};
    use super::*;

    #[test]
    fn a_backtest_may_name_what_was_erased_after_its_archive_was_read() {
        let part = |version| ErasedPart { version, rules: "a".into(), list: String::new(), events: 1, at_us: None };
        let mut facts = Facts::default();
        facts.erase("x", Some(part(5)), None);
        facts.erase("x", Some(part(7)), Some(0));
        let is_of_before = |source: &str, archive_version| {
            let tables = [("users".to_owned(), 5)].into();
            let note = BacktestNote { source: source.to_owned(), archive_version, tables };
            note.is_of_before("s", &facts.erasures[0])
        };
        assert!(is_of_before("s", 4) && is_of_before("s", 6), "also one that read between two parts");
        assert!(!is_of_before("s", 7) && !is_of_before("other", 4));
    }

    #[test]
    fn a_backtest_may_name_what_was_erased_of_a_table_that_it_looked_into() {
        let mut facts = Facts::default();
        let part = ErasedPart { version: 7, rules: "a".into(), list: String::new(), events: 1, at_us: None };
        facts.erase("x", Some(part), Some(0));
        let is_of_before = |version| {
            let tables = [("users".to_owned(), version)].into();
            let note = BacktestNote { source: "s".to_owned(), archive_version: 1, tables };
            note.is_of_before("users", &facts.erasures[0])
        };
        assert!(is_of_before(6) && !is_of_before(7));
        // Notes of before there were tables name none.
        let note: BacktestNote = serde_json::from_str(r#"{"source":"s","archive_version":1}"#).expect("a note");
        assert_eq!((note.decided_from("s"), note.decided_from("users")), (Some(1), None));
    }
}
