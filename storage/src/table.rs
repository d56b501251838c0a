//! The table of what keyed changes have left, with the offsets that its newest commit stands for (B2).

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use platform::store::{Committed, DataFile, StoreError};
use polars::prelude::{DataFrame, LazyFrame, Schema};
use shared_logic::catalog::is_indexed_table;
use shared_logic::contracts::archive::Erasure;
use shared_logic::contracts::table::{self as written, Note, Others};

use crate::{Followed, NotedTable, ORPHAN_AGE, Storage, TableNote};

/// The folder of changes that are no rows. Delta's own tools leave folders with such a name alone.
const FOLDER: &str = "_others";

/// The rows that the changes of one table have left, at one version, with its note at that version.
pub type MaterialisedTable = NotedTable<Note>;

impl TableNote for Note {
    const DOMAIN: &'static str = written::NOTE_DOMAIN;
    const PARTITION: &'static str = written::SHARE;
    const ENTRIES: &'static str = written::NOTE_LOGS;
}

impl Storage {
    /// A table at its newest version; `None` until it is materialised for the first time.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn table(&self, name: &str) -> Result<Option<MaterialisedTable>, StoreError> {
        let table = MaterialisedTable::open(&self.store, &self.table_path(name)).await?;
        Ok(table.filter(|table| table.note().is_some()))
    }

    /// A table, created with those columns where it is missing.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn create_table(&self, name: &str, columns: &Schema) -> Result<MaterialisedTable, StoreError> {
        MaterialisedTable::create(&self.store, &self.table_path(name), columns).await
    }

    /// The names of the tables that hold what search indexes follow of a stream, whether or not a catalog of today declares such indexes.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn indexed_tables(&self, stream: &str) -> Result<Vec<String>, StoreError> {
        let archive = self.deployment.archive_name(stream);
        let mut names = self.store.folders(written::FOLDER).await?;
        names.retain(|name| is_indexed_table(name, &archive));
        Ok(names)
    }

    /// A table, to be followed from version to version.
    pub fn follow_table(&self, name: &str) -> Followed<Note> {
        Followed::new(self.store.clone(), self.table_path(name))
    }

    fn table_path(&self, name: &str) -> String {
        written::path(&self.deployment.table_name(name))
    }
}

impl MaterialisedTable {
    /// Writes changes of a share that are no rows as a file beside the table. It counts once a note names it.
    ///
    /// # Errors
    /// If they cannot be encoded or written.
    pub async fn write_others(&self, share: u32, changes: DataFrame) -> Result<Others, StoreError> {
        let DataFile { path, size, rows, .. } =
            self.table().write_beside(FOLDER, &share.to_string(), changes, &[]).await?;
        Ok(Others { path, size, rows })
    }

    /// Reads those columns of such files, in the types given.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn read_others(&self, others: &[Others], columns: &Schema) -> Result<LazyFrame, StoreError> {
        let file = |others: &Others| DataFile {
            path: others.path.clone(),
            size: others.size,
            rows: others.rows,
            ..DataFile::default()
        };
        self.read(&others.iter().map(file).collect::<Vec<DataFile>>(), columns).await
    }

    /// Which files beside the table the next note has to name as superseded, if it names `others`: those of the newest note, and what that
    /// had still to name. One whose readers have ended long ago is left out.
    pub fn superseded(&self, others: &BTreeMap<u32, Others>, now_us: i64) -> BTreeMap<String, i64> {
        let Some(note) = self.note() else { return BTreeMap::new() };
        let is_named = |path: &String| others.values().any(|others| others.path == *path);
        let age_us = i64::try_from(ORPHAN_AGE.as_micros()).unwrap_or(i64::MAX);
        let mut superseded = note.superseded.clone();
        superseded.retain(|_, since_us| *since_us >= now_us.saturating_sub(age_us));
        let named = note.others.values().map(|others| others.path.clone());
        superseded.extend(named.filter(|path| !is_named(path)).map(|path| (path, now_us)));
        superseded
    }

    /// Whether the table may name what that erasure took out of the archive that it was made of.
    pub fn may_name(&self, erasure: &Erasure) -> bool {
        self.note().is_some_and(|note| note.is_of_before(erasure))
    }

    /// Takes everything out of the table if it [may name](MaterialisedTable::may_name) what that erasure took out; returns whether it did. It is
    /// for tables that nobody materialises any more, so that nobody reads what lies beside them, either. If another process has committed
    /// first, that is left to the next call. Older versions are deleted later, by [`MaterialisedTable::remove_unused`].
    ///
    /// # Errors
    /// If the log cannot be read or written.
    pub async fn forget(&mut self, erasure: &Erasure) -> Result<bool, StoreError> {
        let newest = erasure.parts.iter().map(|part| part.version).max();
        let note = self.note().filter(|note| note.is_of_before(erasure));
        let (Some(note), Some(newest)) = (note, newest) else { return Ok(false) };
        let emptied = note.emptied(newest, platform::clock::now_us());
        let commit = self.begin("ERASE").removing(self.files().await?);
        Ok(matches!(self.commit(commit, Some(emptied)).await?, Committed::At(_)))
    }

    /// Removes files that belong to no version any more, or to none yet, if they are old enough that no reader and no writer needs them.
    /// Returns how many.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_unused(&mut self) -> Result<usize, StoreError> {
        // A note that is older than the newest one does not name all.
        self.refresh().await?;
        let in_use = self.others_in_use();
        let beside = self.table().remove_beside(FOLDER, |path| !in_use.contains(path), ORPHAN_AGE).await?;
        Ok(beside + self.table().remove_orphans(ORPHAN_AGE, &HashSet::new()).await?)
    }

    /// Whether files are left that do not belong to this version, and were written before that moment by the store's clock; microseconds
    /// since 1970.
    ///
    /// # Errors
    /// If the store cannot be listed or read.
    pub async fn has_unused_of_before(&self, at_us: i64) -> Result<bool, StoreError> {
        let named: HashSet<&str> =
            self.note().into_iter().flat_map(|note| note.others.values()).map(|others| others.path.as_str()).collect();
        let beside = self.table().over_beside(FOLDER, |path| !named.contains(path), Duration::ZERO).await?;
        let is_left = beside.iter().any(|file| file.written_us < at_us);
        Ok(is_left || self.table().has_others_of_before(at_us, &HashSet::new()).await?)
    }

    /// The files beside the table that the newest note names, also as superseded.
    fn others_in_use(&self) -> HashSet<String> {
        let Some(note) = self.note() else { return HashSet::new() };
        let named = note.others.values().map(|others| others.path.clone());
        named.chain(note.superseded.keys().cloned()).collect()
    }
}
