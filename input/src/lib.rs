//! What files and pipes hold: bytes → records.
//!
//! - [`plain`]: bytes of an input → bytes of lines, unpacked;
//! - [`rows`]: which lines are one record, which none, and in which order their columns stand;
//! - `parquet_rows`: rows of a Parquet file as JSON objects;
//! - [`file`](mod@file): a whole file for a source, whatever format both have, and the digest of its content;
//! - `blocks`: a file that does not lie on local disk, in blocks;
//! - `columns`: the names of a file's columns;
//! - `json`: texts as JSON.

mod blocks;
mod columns;
pub mod file;
mod json;
mod parquet_rows;
pub mod plain;
pub mod rows;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why an input could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file could not be opened, or its first bytes not be read.
    #[error("cannot read {name}")]
    Open {
        /// The input's name.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// A line could not be read.
    #[error("cannot read {name} at line {line}")]
    Line {
        /// The input's name.
        name: String,
        /// The number of the line.
        line: usize,
        /// The cause.
        source: io::Error,
    },
    /// A record has too many bytes.
    #[error("line {number} of {name} is longer than {mib} MiB: {why}")]
    TooLong {
        /// The input's name.
        name: String,
        /// The number of its first line.
        number: usize,
        /// The most that a record may have.
        mib: usize,
        /// What may be the reason.
        why: &'static str,
    },
    /// A header is expected, but records of the source have none.
    #[error("source `{source_name}` is {format}, which has no header: leave --header out")]
    NoHeader {
        /// The source's name.
        source_name: String,
        /// Its format.
        format: &'static str,
    },
    /// The header lacks a required column.
    #[error(
        "the header of {name} lacks the column `{column}`, which the source requires; it names {names}: if that is another name \
         for it, declare the field with path = [\"…\"], and with \"?\" if it may be absent"
    )]
    HeaderLacks {
        /// The input's name.
        name: String,
        /// The column.
        column: String,
        /// The columns that the header names.
        names: String,
    },
    /// Two columns have one name.
    #[error(
        "{name} has two columns `{column}`, and which of them is meant would be a guess: give each column a name of its own, or leave \
         one of them out"
    )]
    TwoColumns {
        /// The input's name.
        name: String,
        /// What both are called.
        column: String,
    },
    /// A required field stands deeper in an object than a column can.
    #[error(
        "field `{field}` stands deeper in an object than a column of {name} can: write the file as NDJSON, or declare the field \
         under the name of a column"
    )]
    NotInAColumn {
        /// The input's name.
        name: String,
        /// The field.
        field: String,
    },
    /// A Parquet file could not be read.
    #[error("cannot read {name} as Parquet: {why}")]
    Parquet {
        /// The input's name.
        name: String,
        /// Why.
        why: String,
    },
    /// A column of a Parquet file holds what its field or JSON cannot.
    #[error("column `{column}` of {name} {why}")]
    Column {
        /// The input's name.
        name: String,
        /// The column.
        column: String,
        /// What it holds, and the way out.
        why: String,
    },
    /// A file's format does not fit the source's.
    #[error("{name} is {kind}, and records of source `{source_name}` are {format}: {way_out}")]
    OtherFormat {
        /// The input's name.
        name: String,
        /// What the file is.
        kind: &'static str,
        /// The source's name.
        source_name: String,
        /// Its format.
        format: &'static str,
        /// What to do.
        way_out: &'static str,
    },
    /// The file is packed in a way that is not read.
    #[error("{name} is {packed}, which is not read: unpack it first, or pack it with gzip or zstd")]
    Packed {
        /// The file's name.
        name: String,
        /// How it is packed.
        packed: &'static str,
    },
    /// The address names no place from which files are read. It may hold a key, so it is not printed.
    #[error("files are not read from {scheme}://: give a path on local disk, or s3://bucket/path")]
    NotLocal {
        /// What the address begins with.
        scheme: String,
    },
    /// The file is no regular file, so that it cannot be read twice.
    #[error("{name} is no regular file: it is read twice, so write it to a file first")]
    NotAFile {
        /// The input's name.
        name: String,
    },
    /// The file has changed since it was opened.
    #[error("{name} changed while it was read: try again once nothing writes to it")]
    Changed {
        /// The input's name.
        name: String,
    },
}

/// A file, or standard input for `-`, and its name in messages.
///
/// # Errors
/// If the file cannot be opened.
pub fn open(path: &Path) -> Result<(String, Box<dyn Read + Send>), InputError> {
    if path == Path::new("-") {
        return Ok(("standard input".to_owned(), Box::new(io::stdin())));
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => Ok((name, Box::new(file))),
        Err(source) => Err(InputError::Open { name, source }),
    }
}
