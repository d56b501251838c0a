//! A table at one version: its files and the notes of its commits.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, Path};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use polars::prelude::{DataFrame, LazyFrame, Schema};
use serde::de::DeserializeOwned;
use tracing::warn;

use super::digest::{self, FilesDigest};
use super::location::Location;
use super::{Commit, Committed, DataFile, RowGroups, StoreError, commit, data_file, parquet};
use crate::telemetry::error_text;

/// A Delta table, at the version of the last open, refresh or commit. It consists of the files that this version's commit
/// noted, unless no commit has noted any yet.
#[derive(Debug, Clone)]
pub struct Table {
    location: Location,
    delta: DeltaTable,
    /// The files of this version.
    files: FilesDigest,
    /// Tells this version's log entry from another of the same number, which exists only after the first was set aside or
    /// the store was replaced by another copy.
    entry: Option<String>,
    /// How often the log was read anew since the table was opened.
    loads: u64,
}

impl Table {
    /// Opens a table at its newest version; `None` if it does not exist.
    pub(super) async fn open(location: Location) -> Result<Option<Table>, StoreError> {
        let Some(delta) = location.load().await? else { return Ok(None) };
        let table = Table::read_from(location, delta).await?;
        table.check_files().await?;
        Ok(Some(table))
    }

    /// The table as deltalake has read it, whatever its last commit noted.
    pub(super) async fn read_from(location: Location, delta: DeltaTable) -> Result<Table, StoreError> {
        let mut table = Table { location, delta, files: FilesDigest::default(), entry: None, loads: 0 };
        table.files = table.files_digest().await?;
        table.entry = table.entry_mark().await?;
        Ok(table)
    }

    /// The store, with the table's folder as its root.
    pub(super) fn objects(&self) -> Arc<dyn ObjectStore> {
        self.delta.object_store()
    }

    /// The table's path below the store's root.
    pub fn path(&self) -> &str {
        self.location.table()
    }

    /// The number of the newest commit that this value knows.
    pub fn version(&self) -> u64 {
        self.delta.version().unwrap_or_default()
    }

    /// What this value has read: the number of the newest commit, and how often the log was read anew because it had changed
    /// under that number. Files and notes are the same as long as both are.
    pub fn state(&self) -> (u64, u64) {
        (self.version(), self.loads)
    }

    /// Reads newer commits, and returns whether there were any. If what it has read does not lead to what the log says now, it
    /// reads the log anew, and the version may then be an older one. Where it fails, this value stays as it was.
    ///
    /// # Errors
    /// If the log cannot be read, or [`StoreError::FilesDiffer`].
    pub async fn refresh(&mut self) -> Result<bool, StoreError> {
        if self.entry_mark().await? != self.entry {
            warn!(
                table = self.path(),
                version = self.version(),
                "the newest log entry was replaced; reading the log anew"
            );
            return self.load_anew().await;
        }
        match self.newer().await {
            Ok(Some(newer)) => {
                *self = newer;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => {
                warn!(
                    table = self.path(),
                    error = error_text(&error),
                    "cannot read newer commits; reading the log anew"
                );
                self.load_anew().await
            }
        }
    }

    /// The table with newer commits; `None` if there are none.
    async fn newer(&mut self) -> Result<Option<Table>, StoreError> {
        let mut delta = self.delta.clone();
        delta.update_state().await.map_err(|source| self.location.failed("read the log", source))?;
        if delta.version() == self.delta.version() {
            self.delta = delta;
            return Ok(None);
        }
        let newer = Table { loads: self.loads, ..Table::read_from(self.location.clone(), delta).await? };
        newer.check_files().await?;
        Ok(Some(newer))
    }

    async fn load_anew(&mut self) -> Result<bool, StoreError> {
        let anew = Table::open(self.location.clone()).await?;
        let anew = anew.ok_or_else(|| StoreError::Gone { table: self.path().to_owned() })?;
        *self = Table { loads: self.loads + 1, ..anew };
        Ok(true)
    }

    /// Compares the files with those that the last commit noted.
    async fn check_files(&self) -> Result<(), StoreError> {
        let Some(note) = self.note_text(digest::DOMAIN).await? else { return Ok(()) };
        let unreadable = || self.foreign(format!("a note {} ({note:?})", digest::DOMAIN));
        let noted = FilesDigest::from_note(&note).ok_or_else(unreadable)?;
        if noted == self.files {
            return Ok(());
        }
        let (table, version) = (self.path().to_owned(), self.version());
        Err(StoreError::FilesDiffer { table, version, found: self.files.files, noted: noted.files })
    }

    async fn files_digest(&self) -> Result<FilesDigest, StoreError> {
        let log_store = self.delta.log_store();
        let mut views = self.snapshot()?.snapshot().file_views(log_store.as_ref(), None);
        let mut files = FilesDigest::default();
        while let Some(file) =
            views.try_next().await.map_err(|source| self.location.failed("list the files", source))?
        {
            files = files.with(&file.path());
        }
        Ok(files)
    }

    /// What tells the log entry of this version from another; `None` if it is not there, as a checkpoint holds what it said.
    async fn entry_mark(&self) -> Result<Option<String>, StoreError> {
        let entry = Path::from(format!("_delta_log/{:020}.json", self.version()));
        match self.delta.object_store().head(&entry).await {
            Ok(entry) => Ok(entry.e_tag),
            Err(deltalake::ObjectStoreError::NotFound { .. }) => Ok(None),
            Err(source) => Err(StoreError::File {
                operation: "look at",
                file: entry.to_string(),
                table: self.path().to_owned(),
                source: Box::new(source),
            }),
        }
    }

    /// The columns that this version declares, except its partition column `partition`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn columns(&self, partition: &str) -> Result<Schema, StoreError> {
        Ok(commit::columns(&self.snapshot()?.schema(), partition))
    }

    /// The newest note of that domain in this version.
    ///
    /// # Errors
    /// If the log cannot be read, or the note is not a `T`.
    pub async fn note<T: DeserializeOwned>(&self, domain: &str) -> Result<Option<T>, StoreError> {
        let text = self.note_text(domain).await?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.foreign(format!("a note {domain} ({error})"))))
            .transpose()
    }

    async fn note_text(&self, domain: &str) -> Result<Option<String>, StoreError> {
        let log_store = self.delta.log_store();
        let text = self.snapshot()?.snapshot().domain_metadata(log_store.as_ref(), domain).await;
        text.map_err(|source| self.location.failed("read the note", source))
    }

    /// The files that make up this version.
    ///
    /// # Errors
    /// If the log cannot be read, or a file has deletion vectors, which Braid never writes.
    pub async fn files(&self) -> Result<Vec<DataFile>, StoreError> {
        let log_store = self.delta.log_store();
        let views = self.snapshot()?.snapshot().file_views(log_store.as_ref(), None);
        let files: Vec<_> =
            views.try_collect().await.map_err(|source| self.location.failed("list the files", source))?;
        files
            .iter()
            .map(|file| {
                if file.deletion_vector_descriptor().is_some() {
                    return Err(self.foreign(format!("deletion vectors (file {})", file.path())));
                }
                let partition = file.partition_values_map().into_values().next().flatten();
                let partition =
                    partition.ok_or_else(|| self.foreign(format!("a file {} without a day", file.path())))?;
                let (rows, ranges, text_ranges) = data_file::parse_stats(file.stats().as_deref().unwrap_or("{}"));
                Ok(DataFile { path: file.path().into_owned(), partition, size: file.size(), rows, ranges, text_ranges })
            })
            .collect()
    }

    /// Writes a frame as a new file of that partition. The file belongs to the table once it is committed.
    ///
    /// `ranged` names integer or text columns; their smallest and largest values are recorded with the file.
    ///
    /// # Errors
    /// If the frame cannot be encoded or the file cannot be written.
    pub async fn write(&self, partition: &str, frame: DataFrame, ranged: &[&str]) -> Result<DataFile, StoreError> {
        parquet::write(&self.delta.object_store(), self.path(), "", partition, frame, ranged).await
    }

    /// The given columns of the files' rows, cast to the given types. A column that a file lacks is null in its rows.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn read(&self, files: &[DataFile], columns: &Schema) -> Result<LazyFrame, StoreError> {
        parquet::read(&self.delta.object_store(), self.path(), files, columns).await
    }

    /// The same for one file, a row group at a time.
    pub fn row_groups(&self, file: &DataFile, columns: &Schema) -> RowGroups {
        RowGroups::new(self.delta.object_store(), self.path(), file, columns)
    }

    /// Commits on top of this version. On success, this value is at the new version.
    ///
    /// # Errors
    /// If the log cannot be written. A commit that lost to another writer is not an error but [`Committed::Conflict`].
    pub async fn commit(&mut self, commit: Commit) -> Result<Committed, StoreError> {
        let id = self.snapshot()?.metadata().id().to_owned();
        let before = (self.version(), self.files);
        let committed = commit::write(self.delta.log_store(), self.path(), &id, before, commit).await?;
        match committed {
            Committed::At(_) => {
                self.refresh().await?;
            }
            // A torn entry, too, is in the way, and some of them go unnoticed by a refresh.
            Committed::Conflict => self.location.set_torn_entry_aside().await?,
        }
        Ok(committed)
    }

    /// Writes a checkpoint of this version, so that readers need not read the log from its start, and removes log entries that
    /// are older than the table's retention.
    ///
    /// # Errors
    /// If the log cannot be read or written.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        deltalake::checkpoints::create_checkpoint(&self.delta, None)
            .await
            .map_err(|source| self.location.failed("write a checkpoint", source))?;
        deltalake::checkpoints::cleanup_metadata(&self.delta, None)
            .await
            .map_err(|source| self.location.failed("clean up the log", source))?;
        Ok(())
    }

    /// Removes files that no reader can need: they do not belong to this version, no commit took them out within `age`, and
    /// they were last written longer than `age` ago. Files whose paths are `spared` are kept. Returns the number of those removed.
    ///
    /// Checkpoints forget after a week which files were taken out, so `age` is less.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_orphans(&self, age: Duration, spared: &HashSet<String>) -> Result<usize, StoreError> {
        let mut keep = self.files_in_use(age).await?;
        keep.extend(spared.iter().cloned());
        parquet::remove_orphans(&self.delta.object_store(), self.path(), &keep, ago(age)).await
    }

    /// The paths of the files that belong to this version, or that a commit took out within `age`, so that readers of older
    /// versions may still need them.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn files_in_use(&self, age: Duration) -> Result<HashSet<String>, StoreError> {
        let mut paths = self.removed_since(ago(age)).await?;
        paths.extend(self.files().await?.into_iter().map(|file| file.path));
        Ok(paths)
    }

    /// The files that commits have taken out of the table from that moment on, by the clocks of the writers.
    async fn removed_since(&self, at_us: i64) -> Result<HashSet<String>, StoreError> {
        let log_store = self.delta.log_store();
        let mut tombstones = self.snapshot()?.all_tombstones(log_store.as_ref());
        let mut removed = HashSet::new();
        let failed = |source| self.location.failed("list the removed files", source);
        while let Some(tombstone) = tombstones.try_next().await.map_err(failed)? {
            if tombstone.deletion_timestamp().unwrap_or_default().saturating_mul(1_000) >= at_us {
                removed.insert(tombstone.path().into_owned());
            }
        }
        Ok(removed)
    }

    fn snapshot(&self) -> Result<&DeltaTableState, StoreError> {
        self.delta.snapshot().map_err(|source| self.location.failed("read the log", source))
    }

    fn foreign(&self, what: String) -> StoreError {
        StoreError::Foreign { table: self.path().to_owned(), what }
    }
}

/// The moment that long ago, in microseconds since 1970.
pub(super) fn ago(age: Duration) -> i64 {
    crate::clock::now_us().saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}
