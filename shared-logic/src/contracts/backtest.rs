//! What a stream would have written: the Delta table `<name>/backtest/<stream>`, which each backtest replaces whole.
//!
//! Such a table holds keys and payloads, so an erasure of the source that it was made of takes everything out of it again.

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
}

impl BacktestNote {
    /// Whether outputs with this note may name what an erasure took out of the archive of that source afterwards.
    pub fn is_of_before(&self, source: &str, erasure: &Erasure) -> bool {
        self.source == source && erasure.parts.iter().any(|part| self.archive_version < part.version)
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
            let note = BacktestNote { source: source.to_owned(), archive_version };
            note.is_of_before("s", &facts.erasures[0])
        };
        assert!(is_of_before("s", 4) && is_of_before("s", 6), "also one that read between two parts");
        assert!(!is_of_before("s", 7) && !is_of_before("other", 4));
    }
}
