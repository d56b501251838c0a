//! A table at one version: its files and the notes of its commits.

use deltalake::DeltaTable;
use futures::TryStreamExt;
use polars::prelude::{DataFrame, LazyFrame, Schema};
use serde::de::DeserializeOwned;

use super::{Commit, Committed, DataFile, StoreError, commit, data_file, parquet};

/// A Delta table, at the version that it had when it was opened, refreshed or committed to.
#[derive(Debug, Clone)]
pub struct Table {
    path: String,
    delta: DeltaTable,
}

impl Table {
    pub(super) fn new(path: &str, delta: DeltaTable) -> Table {
        Table { path: path.to_owned(), delta }
    }

    /// The table's path below the store's root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The number of the newest commit that is known.
    pub fn version(&self) -> u64 {
        self.delta.version().unwrap_or_default()
    }

    /// Looks for newer commits; gives whether there were any.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn refresh(&mut self) -> Result<bool, StoreError> {
        let before = self.version();
        self.delta.update_state().await.map_err(|source| self.delta_error("read the log", source))?;
        Ok(self.version() > before)
    }

    /// The columns that the table declares but its partition column, which is `partition`, as of this version.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn columns(&self, partition: &str) -> Result<Schema, StoreError> {
        let snapshot = self.delta.snapshot().map_err(|source| self.delta_error("read the log", source))?;
        Ok(commit::columns(&snapshot.schema(), partition))
    }

    /// The newest note in that domain, as of this version.
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

    /// Writes a frame as a new file of that partition. It belongs to the table once it is committed.
    ///
    /// `ranged` names integer or text columns whose smallest and largest values are kept with the file.
    ///
    /// # Errors
    /// If the frame cannot be encoded or the file cannot be written.
    pub async fn write(&self, partition: &str, frame: DataFrame, ranged: &[&str]) -> Result<DataFile, StoreError> {
        parquet::write(&self.delta.object_store(), &self.path, partition, frame, ranged).await
    }

    /// Those columns of the files' rows, in the types given; a column that a file does not have is null there.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn read(&self, files: &[DataFile], columns: &Schema) -> Result<LazyFrame, StoreError> {
        parquet::read(&self.delta.object_store(), &self.path, files, columns).await
    }

    /// Commits on top of this version; on success this table is at the new version.
    ///
    /// # Errors
    /// If the log cannot be written. That somebody else committed first is no error but [`Committed::Conflict`].
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

    /// Writes a checkpoint at this version, so that readers need not read the log from its start, and removes log entries
    /// that are older than the table's retention.
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

    /// Removes files that belong to no version that a reader may still look at: not to this one, and last written longer
    /// than `age` ago. Gives how many.
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
