//! The Delta table of what keyed changes have left, in `<name>/tables/<table>` (B2).
//!
//! It has one row per key that is not deleted: the declared fields, and which record changed the row last ([`LOG`], [`PARTITION`],
//! [`OFFSET`], [`CHANGED_AT`]). It is partitioned by [`SHARE`]: keys are divided into shares by their hashes, so that a few changed
//! keys do not have a large table written anew. A small table is one share. Rows of a file are sorted by their keys' texts.
//!
//! What B1 needs besides lies beside the table: deletes, and the last changes of keys in partitions that do not decide. It is a file
//! for each share that has such, which the [`Note`] names: its rows have the key's text in [`KEY`], and [`IS_DELETED`].
//!
//! Each commit carries a [`Note`] in the same write as the rows: which offsets they stand for.

use std::collections::BTreeMap;

use polars::prelude::{DataType, Field, PlSmallStr, Schema};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::archive::Erasure;
use crate::catalog::{DefinitionHash, RulesHash, Source};
use crate::log::Offsets;
use crate::schema::{Field as SourceField, INSTANT};

/// The Delta metadata domain that holds the [`Note`].
pub const NOTE_DOMAIN: &str = "braid.table";
/// Where the note's JSON has an entry for each log: most of these are over and do not change any more.
pub const NOTE_LOGS: &str = "/next";

/// The partition column: the number of the share.
pub const SHARE: &str = "_share";
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

/// A table never has more shares.
pub const SHARES_MAX: u32 = 1 << 10;

/// The folder of all such tables.
pub const FOLDER: &str = "tables";

/// Where the table lies below the deployment's root, `<store.url>/<name>`.
pub fn path(table: &str) -> String {
    format!("{FOLDER}/{table}")
}

/// The fields that the catalog declares for the table that this source is; what it has besides is the time of the change.
pub fn declared(source: &Source) -> impl Iterator<Item = &SourceField> {
    source.fields.iter().filter(|field| field.name != source.event_time)
}

/// The columns of the table, without its partition column.
pub fn columns(source: &Source) -> Schema {
    let fields = declared(source).map(|field| (field.name.as_str().into(), field.kind.table_type()));
    schema(fields.chain(places(INSTANT)))
}

/// The columns of the table as they are read, with instants as integers.
pub fn row_columns(source: &Source) -> Schema {
    schema(places(DataType::Int64).chain(in_memory(source)))
}

/// The columns of what lies beside the table, as they are written and read.
pub fn change_columns(source: &Source) -> Schema {
    let own = std::iter::once((KEY.into(), DataType::String)).chain(places(DataType::Int64));
    schema(own.chain([(IS_DELETED.into(), DataType::Boolean)]).chain(in_memory(source)))
}

fn in_memory(source: &Source) -> impl Iterator<Item = (PlSmallStr, DataType)> {
    declared(source).map(|field| (field.name.as_str().into(), field.kind.column_type()))
}

/// Where a change lies, and its timestamp.
fn places(instant: DataType) -> impl Iterator<Item = (PlSmallStr, DataType)> {
    let columns =
        [(LOG, DataType::String), (PARTITION, DataType::Int32), (OFFSET, DataType::Int64), (CHANGED_AT, instant)];
    columns.into_iter().map(|(name, dtype)| (name.into(), dtype))
}

fn schema(columns: impl Iterator<Item = (PlSmallStr, DataType)>) -> Schema {
    columns.map(|(name, dtype)| Field::new(name, dtype)).collect()
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
    /// Into how many shares keys are divided: a power of two.
    pub shares: u32,
    /// Of the shares that have such: the file beside the table with deletes, and with changes that do not decide.
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

/// The share of a key, if keys are divided into so many: a power of two. Where there are twice as many, a share is two of these, one
/// behind the other.
pub fn share_of(key: &str, shares: u32) -> u32 {
    let bits = shares.trailing_zeros();
    let hash = xxh3_64(key.as_bytes());
    // A shift by all 64 bits is none.
    hash.checked_shr(u64::BITS - bits).map_or(0, |share| share as u32)
}

impl Note {
    /// How many changes lie beside the table.
    pub fn others(&self) -> u64 {
        self.others.values().map(|others| others.rows).sum()
    }

    /// Whether rows with this note, or what lies beside them, may name what an erasure took out of their archive afterwards.
    pub fn is_of_before(&self, erasure: &Erasure) -> bool {
        let holds_some = self.rows > 0 || !self.others.is_empty();
        holds_some && erasure.parts.iter().any(|part| self.archive_version < part.version)
    }

    /// The note of the same table without any row, as of a version of the archive of which it stands for nothing: whoever follows it again reads
    /// all of that.
    #[must_use]
    pub fn emptied(&self, archive_version: u64, committed_at_us: i64) -> Note {
        Note {
            next: Offsets::default(),
            archive_version,
            rows: 0,
            others: BTreeMap::new(),
            superseded: BTreeMap::new(),
            committed_at_us,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::archive::{ErasedPart, Facts};
    use crate::log::PartitionId;

    #[test]
    fn a_share_is_divided_into_two() {
        for number in 0..2_000 {
            let key = format!("u-{number}");
            assert_eq!(share_of(&key, 1), 0);
            let mut shares = 1;
            while shares < SHARES_MAX {
                assert_eq!(share_of(&key, shares * 2) / 2, share_of(&key, shares), "{key} {shares}");
                shares *= 2;
            }
        }
        let used = |shares| {
            (0..2_000)
                .map(|number| share_of(&format!("u-{number}"), shares))
                .collect::<std::collections::BTreeSet<u32>>()
        };
        assert_eq!(used(8), (0..8).collect());
    }

    #[test]
    fn what_is_emptied_names_nobody_and_stands_for_nothing() {
        let mut facts = Facts::default();
        let part = ErasedPart { version: 8, rules: RulesHash::from("r"), list: String::new(), events: 1, at_us: None };
        facts.erase("x", Some(part), Some(0));
        let erasure = &facts.erasures[0];
        let note = Note {
            definition: DefinitionHash::of_none(),
            rules: RulesHash::from("r"),
            next: [(PartitionId::new("l", 0), 5)].into_iter().collect(),
            archive_version: 7,
            rows: 1,
            shares: 2,
            others: [(1, Others { path: "a".to_owned(), size: 700, rows: 3 })].into(),
            superseded: [("b".to_owned(), 5)].into(),
            committed_at_us: 9,
        };
        assert!(note.is_of_before(erasure));
        assert!(Note { rows: 0, ..note.clone() }.is_of_before(erasure), "what lies beside names it, too");
        assert!(Note { others: BTreeMap::new(), ..note.clone() }.is_of_before(erasure));
        assert!(!Note { archive_version: 8, ..note.clone() }.is_of_before(erasure));
        let emptied = note.emptied(8, 10);
        assert!(!emptied.is_of_before(erasure) && emptied.superseded.is_empty());
        assert_eq!((emptied.rows, emptied.others(), emptied.next.iter().count()), (0, 0, 0));
        assert_eq!((emptied.archive_version, emptied.shares, emptied.committed_at_us), (8, 2, 10));
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
            shares: 2,
            others: [(1, others)].into(),
            superseded: [("_others/1/b.parquet".to_owned(), 5)].into(),
            committed_at_us: 9,
        };
        let written = serde_json::to_string(&note).expect("written");
        assert_eq!(serde_json::from_str::<Note>(&written).expect("read"), note, "{written}");
        assert_eq!(note.others(), 3);
    }
}
