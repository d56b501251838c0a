//! A table at one version: its files and the notes of its commits.
//!
//! - `reading`: what deltalake has read of its log;
//! - `notes`: the notes that one log entry carries;
//! - `committing`: the next version;
//! - `cleaning`: what is deleted of it, and when.

mod cleaning;
mod committing;
mod notes;
mod reading;

use std::sync::Arc;

use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, ObjectStoreError, Path};
use futures::TryStreamExt;
use futures::future::try_join;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use polars::prelude::{DataFrame, LazyFrame, Schema};
use serde::de::DeserializeOwned;
use tracing::warn;
use uuid::Uuid;

use self::notes::Notes;
use self::reading::Reading;
use super::digest::{self, FilesDigest};
use super::location::Location;
use super::parquet::{self, Effort};
use super::{DataFile, RowGroups, StoreError, commit, data_file, log_file};
use crate::telemetry::error_text;

/// A Delta table, at the version of the last open, refresh or commit. It consists of the files that this version's commit
/// noted, unless no commit has noted any yet.
#[derive(Debug, Clone)]
pub struct Table {
    location: Location,
    /// What deltalake has read of the log: up to this version, or up to an older one if this value has committed since.
    delta: Reading,
    /// The number of the newest commit that this value knows.
    version: u64,
    /// The files of this version.
    files: FilesDigest,
    /// Tells this version's log entry from another of the same number, which exists only after the first was set aside or
    /// the store was replaced by another copy.
    entry: Option<String>,
    /// The notes that this version's log entry carries, as far as they are known.
    notes: Notes,
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

    /// Opens a table at its newest version, whatever its last commit noted; `None` if it does not exist.
    pub(super) async fn open_as_it_is(location: Location) -> Result<Option<Table>, StoreError> {
        match location.load().await? {
            Some(delta) => Table::read_from(location, delta).await.map(Some),
            None => Ok(None),
        }
    }

    /// The table as deltalake has read it, whatever its last commit noted.
    pub(super) async fn read_from(location: Location, delta: DeltaTable) -> Result<Table, StoreError> {
        let files = files_digest(&location, &delta).await?;
        let version = delta.version().unwrap_or_default();
        let (delta, notes) = (Reading::new(delta), Notes::default());
        let mut table = Table { location, delta, version, files, entry: None, notes, loads: 0 };
        (table.entry, table.notes) = table.read_entry().await?;
        Ok(table)
    }

    /// The store, with the table's folder as its root.
    pub(super) fn objects(&self) -> Arc<dyn ObjectStore> {
        self.delta.so_far().object_store()
    }

    /// The table's path below the store's root.
    pub fn path(&self) -> &str {
        self.location.table()
    }

    /// The URL of a file of the table, by which other programs read it: `file:///…` or `s3://bucket/…`.
    pub fn url_of(&self, file: &DataFile) -> String {
        self.location.url_of(&file.path).into()
    }

    /// The number of the newest commit that this value knows.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What this value has read: the number of the newest commit, and how often the log was read anew because it had changed
    /// under that number. Files and notes are the same as long as both are.
    pub fn state(&self) -> (u64, u64) {
        (self.version(), self.loads)
    }

    /// Reads newer commits, and returns whether there were any. If what it has read does not lead to what the log says now, it
    /// reads the log anew, and the version may then be an older one. Where it fails, this value stays as it was.
    ///
    /// It looks at two entries at once, and reads those that are new. The log anew is read from its newest checkpoint on.
    ///
    /// # Errors
    /// If the log cannot be read, or [`StoreError::FilesDiffer`].
    pub async fn refresh(&mut self) -> Result<bool, StoreError> {
        let (stands, next) = try_join(self.stands(), self.entry(self.version() + 1)).await?;
        if !stands {
            warn!(
                table = self.path(),
                version = self.version(),
                "the newest log entry that was read is gone or was replaced; reading the log anew"
            );
            return self.load_anew().await;
        }
        if next.is_none() {
            return Ok(false);
        }
        self.advance().await
    }

    /// Whether the log entry of this version is there, as it was read. It is not if another has taken its number, or if it is
    /// older than the table keeps entries: then newer ones exist.
    async fn stands(&self) -> Result<bool, StoreError> {
        Ok(self.entry_mark().await? == self.entry)
    }

    /// Whether the log has no newer version.
    async fn is_newest(&self) -> Result<bool, StoreError> {
        Ok(self.stands().await? && self.entry(self.version() + 1).await?.is_none())
    }

    /// Reads newer commits as [`Table::refresh`] does, if they follow on this version.
    async fn advance(&mut self) -> Result<bool, StoreError> {
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
    async fn newer(&self) -> Result<Option<Table>, StoreError> {
        let mut delta = self.delta.so_far();
        delta.update_state().await.map_err(|source| self.location.failed("read the log", source))?;
        if delta.version().unwrap_or_default() <= self.version {
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
        self.compare(self.files, FilesDigest::from_note(&note).ok_or_else(unreadable)?)
    }

    /// Fails unless the files that are found are those that were noted.
    fn compare(&self, found: FilesDigest, noted: FilesDigest) -> Result<(), StoreError> {
        if found == noted {
            return Ok(());
        }
        let (table, version) = (self.path().to_owned(), self.version);
        Err(StoreError::FilesDiffer { table, version, found: found.files, noted: noted.files })
    }

    /// What deltalake reads of the log up to this version. Commits of this value that were not read back are read now, and what they
    /// left has to be what they noted.
    async fn read_back(&self) -> Result<DeltaTable, StoreError> {
        let mut delta = self.delta.so_far();
        if delta.version() != Some(self.version) {
            let read = delta.update_incremental(Some(self.version)).await;
            read.map_err(|source| self.location.failed("read the log", source))?;
            self.compare(files_digest(&self.location, &delta).await?, self.files)?;
            self.delta.keep(delta.clone());
        }
        Ok(delta)
    }

    /// What tells the log entry of this version from another; `None` if it is not there, as a checkpoint holds what it said.
    async fn entry_mark(&self) -> Result<Option<String>, StoreError> {
        Ok(self.entry(self.version()).await?.and_then(|entry| entry.e_tag))
    }

    /// What tells the log entry of this version from another, as [`Table::entry_mark`] says, and the notes that it carries.
    async fn read_entry(&self) -> Result<(Option<String>, Notes), StoreError> {
        let (path, objects) = (entry_path(self.version()), self.objects());
        let read = async {
            let read = objects.get(&path).await?;
            let mark = read.meta.e_tag.clone();
            Ok::<_, ObjectStoreError>((mark, Notes::of(&read.bytes().await?)))
        };
        match read.await {
            Ok(read) => Ok(read),
            Err(ObjectStoreError::NotFound { .. }) => Ok((None, Notes::default())),
            Err(error) => Err(self.failed("read", path.as_ref(), error)),
        }
    }

    /// The log entry of that version, if it is there.
    async fn entry(&self, version: u64) -> Result<Option<ObjectMeta>, StoreError> {
        let entry = entry_path(version);
        match self.objects().head(&entry).await {
            Ok(entry) => Ok(Some(entry)),
            Err(ObjectStoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look at", entry.as_ref(), error)),
        }
    }

    /// The columns that this version declares, except its partition column `partition`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn columns(&self, partition: &str) -> Result<Schema, StoreError> {
        // Whatever is not read back yet has changed no columns.
        let delta = self.delta.so_far();
        Ok(commit::columns(&self.snapshot(&delta)?.schema(), partition))
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
        if let Some(note) = self.notes.get(domain) {
            return Ok(Some(note.clone()));
        }
        let delta = self.read_back().await?;
        let log_store = delta.log_store();
        let text = self.snapshot(&delta)?.snapshot().domain_metadata(log_store.as_ref(), domain).await;
        text.map_err(|source| self.location.failed("read the note", source))
    }

    /// The files that make up this version.
    ///
    /// # Errors
    /// If the log cannot be read, or a file has deletion vectors, which Braid never writes.
    pub async fn files(&self) -> Result<Vec<DataFile>, StoreError> {
        let delta = self.read_back().await?;
        let log_store = delta.log_store();
        let views = self.snapshot(&delta)?.snapshot().file_views(log_store.as_ref(), None);
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
                let (rows, ranges) = data_file::parse_stats(file.stats().as_deref().unwrap_or("{}"));
                Ok(DataFile::new(file.path().into_owned(), partition, (file.size(), rows), ranges))
            })
            .collect()
    }

    /// Writes a frame as a new file of that partition. The file belongs to the table once it is committed.
    ///
    /// `ranged` names integer or text columns; their smallest and largest values are recorded with the file. `a/b/c` names an integer
    /// column `c` whose values are recorded for each pair of a text `a` and an integer `b`, which together name a group, as in
    /// `text/7`.
    ///
    /// # Errors
    /// If the frame cannot be encoded or the file cannot be written.
    pub async fn write(&self, partition: &str, frame: DataFrame, ranged: &[&str]) -> Result<DataFile, StoreError> {
        parquet::write(&self.objects(), self.path(), "", partition, frame, ranged, Effort::Thorough).await
    }

    /// Writes a frame as [`Table::write`] does, in a folder that names the partition column, too, as Hive has them: `date=2026-04-24`. Some
    /// programs, such as Polars, read the column's values from there, and not from the table's log.
    ///
    /// # Errors
    /// If the frame cannot be encoded or the file cannot be written.
    pub async fn write_in_named_folder(
        &self,
        column: &str,
        partition: &str,
        frame: DataFrame,
        ranged: &[&str],
    ) -> Result<DataFile, StoreError> {
        let folder = format!("{column}=");
        parquet::write(&self.objects(), self.path(), &folder, partition, frame, ranged, Effort::Thorough).await
    }

    /// Writes a frame as [`Table::write`] does, but with less work: the file is soon merged with others.
    ///
    /// # Errors
    /// If the frame cannot be encoded or the file cannot be written.
    pub async fn write_quickly(
        &self,
        partition: &str,
        frame: DataFrame,
        ranged: &[&str],
    ) -> Result<DataFile, StoreError> {
        parquet::write(&self.objects(), self.path(), "", partition, frame, ranged, Effort::Quick).await
    }

    /// Writes row groups as a new file of that partition, as [`Table::write`] does.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub async fn write_groups(&self, partition: &str, groups: RowGroups) -> Result<DataFile, StoreError> {
        parquet::write_groups(&self.objects(), self.path(), partition, groups).await
    }

    /// Writes the bytes of a file as a new file of the same partition, under another name; `None` if that file is gone. It
    /// belongs to the table once it is committed, and is as young as any other new file, so nothing removes it until then.
    ///
    /// # Errors
    /// If the file cannot be read, or the new one cannot be written.
    pub async fn copied(&self, file: &DataFile) -> Result<Option<DataFile>, StoreError> {
        let objects = self.objects();
        let read = async { objects.get(&Path::from(file.path.as_str())).await?.bytes().await };
        let bytes = match read.await {
            Ok(bytes) => bytes,
            Err(ObjectStoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed("read", &file.path, error)),
        };
        let path = format!("{}/{}.parquet", file.partition, Uuid::new_v4());
        let put = objects.put(&Path::from(path.as_str()), bytes.into()).await;
        put.map_err(|error| self.failed("write", &path, error))?;
        Ok(Some(DataFile { path, ..file.clone() }))
    }

    /// The given columns of the files' rows, cast to the given types. A column that a file lacks is null in its rows.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn read(&self, files: &[DataFile], columns: &Schema) -> Result<LazyFrame, StoreError> {
        parquet::read(&self.objects(), self.path(), files, columns).await
    }

    fn snapshot<'a>(&self, delta: &'a DeltaTable) -> Result<&'a DeltaTableState, StoreError> {
        delta.snapshot().map_err(|source| self.location.failed("read the log", source))
    }

    /// A file that could not be read, written or deleted.
    pub(super) fn failed(&self, operation: &'static str, file: &str, error: ObjectStoreError) -> StoreError {
        let (file, table) = (file.to_owned(), self.path().to_owned());
        StoreError::File { operation, file, table, source: Box::new(error) }
    }

    fn foreign(&self, what: String) -> StoreError {
        StoreError::Foreign { table: self.path().to_owned(), what }
    }
}

/// Where the log entry of that version lies.
fn entry_path(version: u64) -> Path {
    Path::from(format!("_delta_log/{}", log_file::entry(version)))
}

/// The files that make up what deltalake has read.
async fn files_digest(location: &Location, delta: &DeltaTable) -> Result<FilesDigest, StoreError> {
    let mut files = FilesDigest::default();
    each_path(location, delta, |path| files = files.with(path)).await?;
    Ok(files)
}

/// Shows the path of each of these files.
async fn each_path(location: &Location, delta: &DeltaTable, mut shown: impl FnMut(&str)) -> Result<(), StoreError> {
    let failed = |source| location.failed("list the files", source);
    let log_store = delta.log_store();
    let mut views = delta.snapshot().map_err(failed)?.snapshot().file_views(log_store.as_ref(), None);
    while let Some(file) = views.try_next().await.map_err(failed)? {
        shown(&file.path());
    }
    Ok(())
}
