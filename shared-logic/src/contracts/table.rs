//! The Delta table of what keyed changes have left, in `<name>/tables/<table>` (B2).
//!
//! It has one row per key that is not deleted: the declared fields, and which record changed the row last ([`LOG`], [`PARTITION`],
//! [`OFFSET`], [`CHANGED_AT`]). It is partitioned by [`SLICE`]: keys are divided into slices by their hashes, so that a few changed
//! keys do not have a large table written anew. A small table is one slice. Rows of a file are sorted by their keys' texts.
//!
//! What B1 needs besides lies beside the table: deletes, and the last changes of keys in partitions that do not decide. It is a file
//! for each slice that has such, which the [`Note`] names: its rows have the key's text in [`KEY`], and [`IS_DELETED`].
//!
//! Each commit carries a [`Note`] in the same write as the rows: which offsets they stand for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::{DefinitionHash, RulesHash};
use crate::log::Offsets;

/// The Delta metadata domain that holds the [`Note`].
pub const NOTE_DOMAIN: &str = "braid.table";
/// Where the note's JSON has an entry for each log: most of these are over and do not change any more.
pub const NOTE_LOGS: &str = "/next";

/// The partition column: the number of the slice.
pub const SLICE: &str = "_slice";
/// The log of the record that changed the row last.
pub const LOG: &str = "_log";
/// Its partition.
pub const PARTITION: &str = "_partition";
/// Its offset.
pub const OFFSET: &str = "_offset";
/// Its timestamp, an instant.
pub const CHANGED_AT: &str = "_changed_at";
/// Beside the table: the key's text.
pub const KEY: &str = "_key";
/// Beside the table: whether the change is a delete.
pub const IS_DELETED: &str = "_deleted";

/// A table never has more slices.
pub const SLICES_MAX: u32 = 1 << 10;

/// Where the table lies below the deployment's root, `<store.url>/<name>`.
pub fn path(table: &str) -> String {
    format!("tables/{table}")
}

/// What a commit says of the table's rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The definition by which the rows were made.
    pub definition: DefinitionHash,
    /// The rules by which the records were decoded.
    pub rules: RulesHash,
    /// Per partition, the first offset that the table does not stand for.
    pub next: Offsets,
    /// The version of the archive that was read.
    pub archive_version: u64,
    /// How many rows there are.
    pub rows: u64,
    /// Into how many slices keys are divided: a power of two.
    pub slices: u32,
    /// Of the slices that have such: the file beside the table with deletes, and with changes that do not decide.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<u32, Others>,
    /// Such files of older versions, which their readers may still need: since when no note names them, microseconds since 1970.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub superseded: BTreeMap<String, i64>,
    /// When it was committed, microseconds since 1970 by the committer's clock. No row follows from it; a schedule goes by it when it
    /// starts.
    pub committed_at_us: i64,
}

/// A file beside the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    /// Its path, relative to the table.
    pub path: String,
    /// Bytes.
    pub size: i64,
    /// Rows.
    pub rows: u64,
}

/// The slice of a key, if keys are divided into so many: a power of two. Where there are twice as many, a slice is two of these, one
/// behind the other.
pub fn slice_of(key: &str, slices: u32) -> u32 {
    let bits = slices.trailing_zeros();
    let hash = xxh3_64(key.as_bytes());
    // A shift by all 64 bits is none.
    hash.checked_shr(u64::BITS - bits).map_or(0, |slice| slice as u32)
}

impl Note {
    /// How many changes lie beside the table.
    pub fn others(&self) -> u64 {
        self.others.values().map(|others| others.rows).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_divided_into_two() {
        for number in 0..2_000 {
            let key = format!("u-{number}");
            assert_eq!(slice_of(&key, 1), 0);
            let mut slices = 1;
            while slices < SLICES_MAX {
                assert_eq!(slice_of(&key, slices * 2) / 2, slice_of(&key, slices), "{key} {slices}");
                slices *= 2;
            }
        }
        let used = |slices| {
            (0..2_000)
                .map(|number| slice_of(&format!("u-{number}"), slices))
                .collect::<std::collections::BTreeSet<u32>>()
        };
        assert_eq!(used(8), (0..8).collect());
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let others = Others { path: "_others/0/a.parquet".to_owned(), size: 700, rows: 3 };
        let note = Note {
            definition: DefinitionHash::of_none(),
            rules: RulesHash::from("r"),
            next: Offsets::default(),
            archive_version: 7,
            rows: 2,
            slices: 2,
            others: [(1, others)].into(),
            superseded: [("_others/1/b.parquet".to_owned(), 5)].into(),
            committed_at_us: 9,
        };
        let written = serde_json::to_string(&note).expect("written");
        assert_eq!(serde_json::from_str::<Note>(&written).expect("read"), note, "{written}");
        assert_eq!(note.others(), 3);
    }
}
