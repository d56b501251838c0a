//! What became of a file that was imported.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use input::file::InputFile;
use serde::Serialize;
use shared_logic::rejection::Reason;

use super::decoding::{Rejects, Tally};

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Imported {
    /// The file's name.
    pub file: String,
    /// The name of its log.
    pub log: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How many records were read.
    pub rows: u64,
    /// How many of them are valid.
    pub valid: u64,
    /// The others, by reason.
    pub rejected: BTreeMap<Reason, RejectedRows>,
    /// How many bytes the file has.
    pub bytes: u64,
    /// How long it took, in milliseconds.
    #[serde(rename = "took_ms", serialize_with = "milliseconds")]
    pub took: Duration,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is archived.
    Archived {
        /// The version of the archive.
        version: u64,
    },
    /// Its content was imported before. Nothing changed.
    AlreadyImported,
    /// It holds no records. Nothing changed.
    Empty,
    /// It was decoded, and nothing changed.
    Decoded,
}

/// Records that cannot be decoded, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedRows {
    /// How many there are.
    pub count: u64,
    /// On which line, or in which row, the first of them is.
    pub first_line: usize,
    /// The reason, and the field if there is one.
    pub first_error: String,
}

impl Imported {
    pub(super) fn new(file: &InputFile, log: String, outcome: Outcome, tally: Tally, took: Duration) -> Imported {
        let rejected: u64 = tally.rejects.values().map(|rejects| rejects.count).sum();
        let rows = tally.rows.unsigned_abs();
        let of_reason = |(reason, rejects)| {
            let Rejects { count, first_line, first_error, .. } = rejects;
            (reason, RejectedRows { count, first_line, first_error })
        };
        Imported {
            file: file.name(),
            log,
            outcome,
            rows,
            valid: rows - rejected,
            rejected: tally.rejects.into_iter().map(of_reason).collect(),
            bytes: file.bytes(),
            took,
        }
    }

    /// Records per second.
    pub fn rate(&self) -> f64 {
        self.rows as f64 / self.took.as_secs_f64().max(1e-3)
    }
}

fn milliseconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Imported { file, log, rows, valid, bytes, .. } = self;
        match self.outcome {
            Outcome::AlreadyImported => return write!(f, "{file}: its content was already imported, as {log}"),
            Outcome::Empty => return write!(f, "{file} holds no records"),
            Outcome::Archived { version } => write!(f, "imported {file} as {log} in version {version}: ")?,
            Outcome::Decoded => write!(f, "decoded {file}, and changed nothing: ")?,
        }
        let seconds = self.took.as_secs_f64();
        write!(f, "{rows} rows of {bytes} bytes in {seconds:.1} s ({:.0}/s), {valid} valid", self.rate())?;
        if *rows > *valid {
            write!(f, ", {} rejected:", rows - valid)?;
        }
        for (at, rejects) in self.rejected.values().enumerate() {
            let RejectedRows { count, first_line, first_error } = rejects;
            write!(f, "{} {count} (first on line {first_line}: {first_error})", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}
