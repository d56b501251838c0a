//! Imports: files → the archive, each as a log of its own (R6).
//!
//! A record of a file is decoded, identified and rejected like one that was streamed, and its bytes are kept (R11). The log is named
//! by the digest of the file's content, and all of it is one commit. So a file is imported once, however often it is tried, and one
//! that was read halfway leaves files behind that no version refers to. From the commit on, answers are incomplete until each view
//! has been reconciled.
//!
//! An imported record has no timestamp of its own, so its age is not judged: old events are what imports are for, and neither the
//! clock nor the file's date can change what is counted.
//!
//! - `files`: names → files, on local disk and in S3 buckets;
//! - `decoding`: records → rows, so many at a time;
//! - `report`: what became of a file;
//! - `command`: the command line.

pub(crate) mod command;
mod decoding;
mod files;
mod report;

use std::sync::Arc;
use std::time::Duration;

use input::InputError;
use input::file::InputFile;
use input::rows::RowArgs;
use platform::clock::now_us;
use platform::settings::{self, Settings};
use platform::store::{Committed, DataFile, S3FileError, StoreError};
use platform::task;
use platform::telemetry::error_text;
use polars::prelude::Schema;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ImportedRecords, OlderLayout, import_log};
use storage::{Archive, ORPHAN_AGE, Storage};
use tokio::time::Instant;
use tracing::{info, warn};

use self::decoding::{Decoding, Tally};
use crate::archive::{self, commit};
use crate::progress::Progress;
use crate::rows::RowsError;

pub use self::report::{Imported, Outcome, RejectedRows};

/// How often a commit is tried again when the archiver committed first.
const ATTEMPTS: u32 = 20;
/// How often an import lists its files, which belong to no version yet, so that they are not removed as superfluous ones.
const LIST_EVERY: Duration = Duration::from_secs(ORPHAN_AGE.as_secs() / 6);
/// How old the list may become before it is written again. Later, files may have been removed.
const LIST_HOLDS: Duration = Duration::from_secs(ORPHAN_AGE.as_secs() / 4 * 3);
/// How often it is logged how far an import has come.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Why a file could not be imported. Nothing of it is counted then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read, or its format does not fit the source's.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The file lies in an S3 bucket, and was not found there.
    #[error(transparent)]
    InS3(#[from] S3FileError),
    /// The address names no file of this machine.
    #[error("{address} names no file on this machine: an address of one is file:///path")]
    NotOnDisk {
        /// The address.
        address: String,
    },
    /// The archive could not be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// It stood still for so long that the first of its rows may have been removed as superfluous.
    #[error(
        "importing {file} stood still for more than {} minutes, and nothing of it is kept: try again",
        LIST_HOLDS.as_secs() / 60
    )]
    StoodStill {
        /// The file.
        file: String,
    },
    /// The archiver committed before every attempt.
    #[error("cannot commit to {table}: the archiver committed first {ATTEMPTS} times; try again")]
    Overtaken {
        /// The archive's table.
        table: String,
    },
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> ImportError {
        RowsError::from(error).into()
    }
}

/// Imports files into the archive of one source.
#[derive(Debug, Clone)]
pub struct Importer {
    settings: settings::Archive,
    storage: Storage,
    source: Source,
    progress: Progress,
}

impl Importer {
    /// Nothing is opened yet.
    pub fn new(settings: &Settings, storage: &Storage, source: &Source) -> Importer {
        let (settings, progress) = (settings.archive.clone(), Progress::new("looking for the files"));
        Importer { settings, storage: storage.clone(), source: source.clone(), progress }
    }

    /// How far it has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Decodes a file, and changes nothing.
    ///
    /// # Errors
    /// If the file cannot be read, or its format does not fit the source's.
    pub async fn try_out(&self, file: &InputFile, args: &RowArgs) -> Result<Imported, ImportError> {
        let started = Instant::now();
        self.progress.say(format_args!("decoding {}", file.name()));
        let log = import_log(digest(file).await?);
        let decoding = self.begin(file, args, &log).await?;
        let tally = task::blocking(move || decoding.judge()).await?;
        file.is_unchanged()?;
        Ok(Imported::new(file, log, Outcome::Decoded, tally, started.elapsed()))
    }

    /// Archives a file as a log of its own, unless its content was imported before.
    ///
    /// # Errors
    /// If the file cannot be read, its format does not fit the source's, or the archive cannot be read or written.
    pub async fn import(&self, file: &InputFile, args: &RowArgs) -> Result<Imported, ImportError> {
        let started = Instant::now();
        self.progress.say(format_args!("reading {}", file.name()));
        let digest = digest(file).await?;
        let log = import_log(digest);
        let mut archive = self.archive().await?;
        if archive.facts().log(&log).is_some() {
            let nothing = Tally::default();
            return Ok(Imported::new(file, log, Outcome::AlreadyImported, nothing, started.elapsed()));
        }
        let decoding = self.begin(file, args, &log).await?;
        // From here on: to read a very large file for its digest may alone take longer than a list holds.
        let written = self.write(&archive, file, decoding, now_us()).await?;
        file.is_unchanged()?;
        let outcome = match written.tally.rows {
            0 => Outcome::Empty,
            _ => self.register(&mut archive, file, digest, &written).await?,
        };
        if let Err(error) = archive.forget_import(&written.files).await {
            warn!(
                table = archive.path(),
                error = error_text(&error),
                "cannot remove the list of an import; it goes later"
            );
        }
        Ok(Imported::new(file, log, outcome, written.tally, started.elapsed()))
    }

    /// The source's archive, which declares all of its fields.
    async fn archive(&self) -> Result<Archive, ImportError> {
        let mut archive = archive::create(&self.storage, &self.source).await?;
        for _ in 0..ATTEMPTS {
            let Some(columns) = commit::missing_columns(&archive, &self.source)? else { return Ok(archive) };
            let mut facts = archive.facts();
            facts.keep_bytes(&self.source.rules(), OlderLayout::of(&self.source, &archive.columns()?));
            if commit::facts(&mut archive, facts, Some(&columns)).await? == Committed::Conflict {
                archive.refresh().await?;
            }
        }
        Err(ImportError::Overtaken { table: archive.path().to_owned() })
    }

    /// Writes all rows, while the next ones are decoded. The files belong to the archive once they are committed.
    async fn write(
        &self,
        archive: &Archive,
        file: &InputFile,
        decoding: Decoding,
        started_us: i64,
    ) -> Result<Written, ImportError> {
        let (mut files, mut listed_us, mut logged) = (Vec::new(), started_us, Instant::now());
        let declared = Arc::new(archive.columns()?);
        let mut filling = self.fill(decoding, &declared);
        loop {
            let (decoding, rows) = task::join(filling).await?;
            if rows.len() == 0 {
                return Ok(Written { tally: decoding.tally, files, listed_us });
            }
            self.progress.say(format_args!("{}: {} rows", file.name(), decoding.tally.rows));
            if logged.elapsed() >= LOG_EVERY {
                info!(file = file.name(), rows = decoding.tally.rows, "importing");
                logged = Instant::now();
            }
            filling = self.fill(decoding, &declared);
            files.extend(rows.write(archive).await?);
            if since(listed_us) >= LIST_EVERY {
                listed_us = list(archive, file, &files, listed_us).await?;
            }
        }
    }

    /// Opens a file, on a thread that may block.
    async fn begin(&self, file: &InputFile, args: &RowArgs, log: &str) -> Result<Decoding, InputError> {
        let (file, args, source, log) = (file.clone(), args.clone(), self.source.clone(), log.to_owned());
        task::blocking(move || Decoding::begin(&file, &args, &source, &log)).await
    }

    /// Decodes as many records as one commit of the archiver has, on a thread that may block.
    fn fill(
        &self,
        decoding: Decoding,
        declared: &Arc<Schema>,
    ) -> tokio::task::JoinHandle<Result<decoding::Filled, InputError>> {
        let (settings, declared) = (self.settings.clone(), Arc::clone(declared));
        tokio::task::spawn_blocking(move || decoding.fill(&settings, &declared))
    }

    /// R6: one commit that begins, ends, closes and settles the log, with all of its rows.
    async fn register(
        &self,
        archive: &mut Archive,
        file: &InputFile,
        digest: u128,
        written: &Written,
    ) -> Result<Outcome, ImportError> {
        let Written { tally, files, listed_us } = written;
        let mut listed_us = *listed_us;
        let places = tally.rejects.iter().map(|(reason, rejects)| (*reason, (rejects.count, rejects.last.clone())));
        let records = ImportedRecords { rows: tally.rows, rejects: places.collect() };
        for _ in 0..ATTEMPTS {
            archive.refresh().await?;
            let mut facts = archive.facts();
            facts.keep_bytes(&self.source.rules(), OlderLayout::of(&self.source, &archive.columns()?));
            if !facts.add_import(digest, &file.name(), now_us(), &records) {
                return Ok(Outcome::AlreadyImported);
            }
            listed_us = list(archive, file, files, listed_us).await?;
            let commit = archive.begin("IMPORT").adding(files.iter().cloned());
            platform::failpoints::pass("import::before_commit");
            if let Committed::At(version) = archive.commit(commit, Some(facts)).await? {
                platform::failpoints::pass("import::after_commit");
                info!(table = archive.path(), version, file = file.name(), rows = tally.rows, "imported");
                return Ok(Outcome::Archived { version });
            }
        }
        Err(ImportError::Overtaken { table: archive.path().to_owned() })
    }
}

/// The rows of a file, in files that belong to no version yet.
struct Written {
    tally: Tally,
    files: Vec<DataFile>,
    /// When they were last listed, or else when they were begun, microseconds since 1970.
    listed_us: i64,
}

/// The digest of a file's content, computed on a thread that may block.
async fn digest(file: &InputFile) -> Result<u128, InputError> {
    let file = file.clone();
    task::blocking(move || file.digest()).await
}

/// Lists the files of an import, so that they are not taken for superfluous ones; returns when. Fails if some of them may have
/// been removed, because they were last listed too long ago.
async fn list(archive: &Archive, file: &InputFile, files: &[DataFile], listed_us: i64) -> Result<i64, ImportError> {
    let now_us = now_us();
    if since(listed_us) > LIST_HOLDS {
        return Err(ImportError::StoodStill { file: file.name() });
    }
    archive.list_import(files).await?;
    Ok(now_us)
}

/// How long ago that moment was.
fn since(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(now_us() - us).unwrap_or_default())
}

#[cfg(test)]
mod tests;
