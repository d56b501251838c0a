//! `[tables.…]`: topics of keyed changes, and the rows that they leave.

use crate::format::Format;

/// The field that every table has besides those that the catalog names: the timestamp of the record that changed the row last.
pub const CHANGED_AT: &str = "changed_at";

/// A table's topic keeps the newest change of every key for ever, so that who reads it later has every row. For a week it keeps every
/// change, and every delete, so that an archiver that was away for less misses none.
pub(super) const TOPIC: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("min.compaction.lag.ms", "604800000"), ("delete.retention.ms", "604800000")];

/// The latest state of keyed changes: for each key the row that its last change left, if that did not delete it (B1).
///
/// As what is read, it is a [`Source`](super::Source) of the same name, with `is_table`. That one says the rest: fields, partitions,
/// when it is reconciled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The table's name, the key of its table in the catalog. No source or stream is called so.
    pub name: String,
    /// The topic of its changes; no other source has it.
    pub topic: String,
    /// The field whose value is the key: a required text or integer. The record's own key says the same.
    pub key: String,
    /// How changes are written.
    pub format: TableFormat,
}

/// How changes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// A record is a row, one JSON object; without a payload, it deletes the row of its key.
    Json,
    /// A record is a change as Debezium writes it, with or without the block that describes its schema.
    Debezium,
}

impl TableFormat {
    /// Every format.
    pub const ALL: [TableFormat; 2] = [TableFormat::Json, TableFormat::Debezium];

    /// The format's name in the catalog.
    pub fn name(self) -> &'static str {
        self.of_payloads().name()
    }

    /// How payloads are read.
    pub fn of_payloads(self) -> Format {
        match self {
            TableFormat::Json => Format::Json,
            TableFormat::Debezium => Format::Debezium,
        }
    }
}
