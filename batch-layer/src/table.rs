//! Tables: archived changes → the rows that they leave (B1, B2).
//!
//! The archive holds every change of a table's topic. A table is materialised from it incrementally: the changes between the offsets
//! that the table stands for and those that the archive has reached are settled together with what the table holds, and the rows of the
//! shares that they touch are written anew. Rows and offsets are one commit, the very next version after the one that it was planned on;
//! if another run commits first, it is planned anew. So a run that is killed leaves files that no version names, and one that is
//! repeated changes nothing. What a table was at other offsets, or at some time, is made from the archive again.
//!
//! - `subject`: what is materialised: a table, or what a search index follows of a stream;
//! - `held`: the archive of a table, and which offsets it has at some time;
//! - `shape`: archived records and rows of the table → changes, all as frames of the same columns;
//! - `gathered`: the archive's files → the changes of some shares, as many as fit into memory;
//! - `settled`: changes → rows, and what besides has to be kept (B1);
//! - `state`: what a table holds, and whether it can be gone on from;
//! - `materialise`: changes → the next version of the table (B2);
//! - `as_of`: the rows at some offsets, or at some time;
//! - `shared_rows`: the rows of a table share by share, and the keys of changes, for search indexes;
//! - `wanted`: whether it is to be materialised at once (B3);
//! - `history`: changes in memory, to find again what was looked up (B4);
//! - `command`: the command line.

mod as_of;
pub(crate) mod command;
mod gathered;
mod held;
mod history;
mod materialise;
mod settled;
mod shape;
mod shared_rows;
mod state;
mod subject;
mod wanted;

use std::collections::BTreeMap;
use std::fmt;

use platform::store::StoreError;
use polars::prelude::DataFrame;
use serde_json::{Value, json};
use shared_logic::log::{Offsets, PartitionId};

use crate::rows::RowsError;

pub use self::as_of::as_of;
pub use self::history::NotFoundAgain;
pub(crate) use self::history::{Cursors, History};
pub use self::materialise::materialise;
pub(crate) use self::materialise::{materialise_subject, tidy_up};
pub(crate) use self::shared_rows::{SharedRow, SharedRows, changed_keys};
pub(crate) use self::subject::Subject;
pub(crate) use self::wanted::Wanted;

/// How many bytes of changes are gathered at a time, about; as much again is in memory while they are settled.
const GATHERED_BYTES: usize = 256 << 20;

/// When a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsOf {
    /// As it was last materialised; if it never was under this definition, as far as the archive has come.
    Newest,
    /// In each partition, below the first record with a timestamp beyond that. Microseconds since 1970.
    Time(i64),
    /// Below these offsets. Of a partition that is not named, nothing.
    Offsets(BTreeMap<PartitionId, i64>),
}

/// The rows of a table.
#[derive(Debug, Clone)]
pub struct TableRows {
    /// Per partition, the first offset that they do not stand for.
    pub offsets: BTreeMap<PartitionId, i64>,
    /// One row per key that is not deleted, ascending by key. The columns are the fields of the table's source, in their order: the
    /// declared ones, of which one is the key, and `changed_at`. Instants are integers of microseconds since 1970, as everywhere in
    /// memory.
    pub rows: DataFrame,
}

/// What became of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Materialised {
    /// Its name.
    pub table: String,
    /// Its version after the commit; `None`: nothing was ever archived of it.
    pub version: Option<u64>,
    /// Per partition, the first offset that it does not stand for.
    pub next: Offsets,
    /// How many rows it has.
    pub rows: u64,
    /// How many archived records were read for that.
    pub rows_read: u64,
    /// How many rows were written.
    pub written: u64,
    /// Whether it was made anew from the whole archive.
    pub anew: bool,
}

/// Why a table was not materialised or read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The archive or the table could not be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The archive does not hold the changes up to there.
    #[error(
        "the archive holds the changes of {partition} up to offset {archived}, and {wanted} is asked for: ask for no more, or wait for \
         `batch-layer archive`"
    )]
    NotArchived {
        /// The partition.
        partition: PartitionId,
        /// Up to where it was asked for.
        wanted: i64,
        /// The first offset that is not archived.
        archived: i64,
    },
    /// Not every change can be read any more.
    #[error("the archive of `{table}` does not hold every change: {why}")]
    NotWhole {
        /// The table's name.
        table: String,
        /// What is missing, and the way on.
        why: &'static str,
    },
    /// The files of a run would have been taken for orphans before they were committed.
    #[error("writing `{table}` took longer than files may wait for their commit; try again when the store is faster")]
    TooSlow {
        /// The table's name.
        table: String,
    },
    /// Other runs committed before every attempt.
    #[error("others committed to `{table}` first {attempts} times; try again")]
    Overtaken {
        /// The table's name.
        table: String,
        /// How often it was tried.
        attempts: u32,
    },
}

impl Materialised {
    /// The same for a program.
    pub(crate) fn to_json(&self) -> Value {
        let Materialised { table, version, next, rows, rows_read, written, anew } = self;
        json!({
            "table": table, "outcome": "materialised", "version": version, "next": next, "rows": rows, "rows_read": rows_read,
            "rows_written": written, "anew": anew,
        })
    }
}

impl fmt::Display for Materialised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Materialised { table, version, rows, rows_read, written, anew, .. } = self;
        let Some(version) = version else { return write!(f, "{table}: nothing is archived yet") };
        let how = if *anew { " (made anew)" } else { "" };
        write!(f, "{table}: version {version}, {rows} rows{how}; {rows_read} archive rows read, {written} rows written")
    }
}

impl From<StoreError> for TableError {
    fn from(error: StoreError) -> TableError {
        RowsError::from(error).into()
    }
}

#[cfg(test)]
pub(crate) mod tests;
