//! A table at one version: its files and the notes of its commits.

use std::sync::Arc;

use deltalake::DeltaTable;
use futures::TryStreamExt;
use object_store::ObjectStore;
use polars::prelude::{DataFrame, LazyFrame, Schema};
use serde::de::DeserializeOwned;

use super::{Commit, Committed, DataFile, StoreError, commit, data_file, parquet};

/// A Delta table, at the version of the last open, refresh or commit.
#[derive(Debug, Clone)]
pub struct Table {
    path: String,
    delta: DeltaTable,
}

impl Table {
    pub(super) fn new(path: &str, delta: DeltaTable) -> Table {
        Table { path: path.to_owned(), delta }
    }

    /// The store, with the table's folder as its root.
    pub(super) fn objects(&self) -> Arc<dyn ObjectStore> {
        self.delta.object_store()
    }

    /// The table's path below the store's root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The number of the newest commit that this value knows.
    pub fn version(&self) -> u64 {
        self.delta.version().unwrap_or_default()
    }

    /// Reads newer commits, and returns whether there were any.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn refresh(&mut self) -> Result<bool, StoreError> {
        let before = self.version();
        self.delta.update_state().await.map_err(|source| self.delta_error("read the log", source))?;
        Ok(self.version() > before)
    }

    /// The columns that this version declares, except its partition column `partition`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn columns(&self, partition: &str) -> Result<Schema, StoreError> {
        let snapshot = self.delta.snapshot().map_err(|source| self.delta_error("read the log", source))?;
        Ok(commit::columns(&snapshot.schema(), partition))
    }

    /// The newest note of that domain in this version.
    ///
    /// # Errors
    /// If the log cannot be read, or the note is not a `T`.
    pub async fn note<T: DeserializeOwned>(&self, domain: &str) -> Result<Option<T>, StoreError> {
        let snapshot = self.delta.snapshot().map_err(|source| self.delta_error("read the log", source))?;
        let text = snapshot
            .snapshot()
            .domain_metadata(self.delta.log_store().as_ref(), domain)
            .await
            .map_err(|source| self.delta_error("read the note", source))?;
        text.map(|text| {
            serde_json::from_str(&text).map_err(|error| StoreError::Foreign {
                table: self.path.clone(),
                what: format!("a note {domain} ({error})"),
            })
        })
        .transpose()
    }

    /// The files that make up this version.
    ///
    /// # Errors
    /// If the log cannot be read, or a file has deletion vectors, which Braid never writes.
    pub async fn files(&self) -> Result<Vec<DataFile>, StoreError> {
        let snapshot = self.delta.snapshot().map_err(|source| self.delta_error("read the log", source))?;
        let log_store = self.delta.log_store();
        let views = snapshot.snapshot().file_views(log_store.as_ref(), None);
        let files: Vec<_> = views.try_collect().await.map_err(|source| self.delta_error("list the files", source))?;
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
        parquet::write(&self.delta.object_store(), &self.path, "", partition, frame, ranged).await
    }

    /// The given columns of the files' rows, cast to the given types. A column that a file lacks is null in its rows.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn read(&self, files: &[DataFile], columns: &Schema) -> Result<LazyFrame, StoreError> {
        parquet::read(&self.delta.object_store(), &self.path, files, columns).await
    }

    /// Commits on top of this version. On success, this value is at the new version.
    ///
    /// # Errors
    /// If the log cannot be written. A commit that lost to another writer is not an error but [`Committed::Conflict`].
    pub async fn commit(&mut self, commit: Commit) -> Result<Committed, StoreError> {
        let version = self.version() + 1;
        let snapshot = self.delta.snapshot().map_err(|source| self.delta_error("read the log", source))?;
        let id = snapshot.metadata().id().to_owned();
        let committed = commit::write(self.delta.log_store(), &self.path, &id, version, commit).await?;
        if let Committed::At(_) = committed {
            self.refresh().await?;
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
            .map_err(|source| self.delta_error("write a checkpoint", source))?;
        deltalake::checkpoints::cleanup_metadata(&self.delta, None)
            .await
            .map_err(|source| self.delta_error("clean up the log", source))?;
        Ok(())
    }

    /// The paths of the files that belong to this version, or were taken out of the table less than `age` ago, so that readers
    /// of older versions may still need them.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn files_in_use(
        &self,
        _age: std::time::Duration,
    ) -> Result<std::collections::HashSet<String>, StoreError> {
        Ok(self.files().await?.into_iter().map(|file| file.path).collect())
    }

    /// Removes files that no reader can need: they do not belong to this version, and are older than `age`. Returns their
    /// number.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_orphans(&self, age: std::time::Duration) -> Result<usize, StoreError> {
        let listed: std::collections::HashSet<String> = self.files().await?.into_iter().map(|file| file.path).collect();
        parquet::remove_orphans(&self.delta.object_store(), &self.path, &listed, age).await
    }

    fn delta_error(&self, operation: &'static str, source: deltalake::DeltaTableError) -> StoreError {
        StoreError::Delta { operation, table: self.path.clone(), source: Box::new(source) }
    }

    fn foreign(&self, what: String) -> StoreError {
        StoreError::Foreign { table: self.path.clone(), what }
    }
}
