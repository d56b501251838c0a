//! A Delta table whose commits carry a note: what the commit says of its rows, written atomically with them.
//!
//! - `rest`: what of a note does not change any more is not written with every commit.

mod rest;

use std::sync::Arc;
use std::time::Duration;

use platform::store::{Commit, Committed, DataFile, GroupReader, RowGroups, Store, StoreError, TOMBSTONE_AGE, Table};
use polars::prelude::{DataFrame, LazyFrame, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::rest::Rest;

/// How long a file is kept that belongs to no version any more, or to none yet: longer than any reader uses an old version,
/// and than any commit takes from its first file to its log entry. A file that a commit took out ages from that commit.
pub const ORPHAN_AGE: Duration = Duration::from_secs(3600);

// Checkpoints still say when a file was taken out, even if the clock of one process is an hour ahead of another's.
const _: () = assert!(TOMBSTONE_AGE.as_secs() >= 2 * ORPHAN_AGE.as_secs());

/// A note, and the kind of table whose commits carry it.
pub trait TableNote: Serialize + DeserializeOwned {
    /// The Delta metadata domain that holds the note.
    const DOMAIN: &'static str;
    /// The table's partition column.
    const PARTITION: &'static str;
    /// A JSON pointer to the note's object or array whose entries come to rest.
    const ENTRIES: &'static str;
}

/// A table and the note of its newest commit, both at the version at which the table was opened, refreshed or committed to.
#[derive(Debug, Clone)]
pub struct NotedTable<N> {
    table: Table,
    note: Option<Arc<N>>,
    at_rest: Option<AtRest>,
    /// The state of the table that `note` belongs to. It is not the table's after a note could not be read.
    noted_at: (u64, u64),
}

/// Which entries of a note are written apart.
#[derive(Debug, Clone)]
struct AtRest {
    rest: Arc<Rest>,
    /// How often the table's log had been read anew when they were read.
    loads: u64,
}

impl<N: TableNote> NotedTable<N> {
    pub(crate) async fn open(store: &Store, path: &str) -> Result<Option<NotedTable<N>>, StoreError> {
        match store.open(path).await? {
            Some(table) => NotedTable::with_note(table).await.map(Some),
            None => Ok(None),
        }
    }

    /// Opens the table, whether or not it consists of the files that its last commit noted.
    pub(crate) async fn open_as_it_is(store: &Store, path: &str) -> Result<Option<NotedTable<N>>, StoreError> {
        match store.open_as_it_is(path).await? {
            Some(table) => NotedTable::with_note(table).await.map(Some),
            None => Ok(None),
        }
    }

    /// Opens the table, created with those columns where it is missing.
    pub(crate) async fn create(store: &Store, path: &str, columns: &Schema) -> Result<NotedTable<N>, StoreError> {
        NotedTable::with_note(store.open_or_create(path, columns, N::PARTITION).await?).await
    }

    async fn with_note(table: Table) -> Result<NotedTable<N>, StoreError> {
        let (note, at_rest) = Self::read_note(&table, None).await?;
        Ok(NotedTable { note, at_rest, noted_at: table.state(), table })
    }

    /// The newest note. What of it is at rest is read only if that is not what is known.
    async fn read_note(table: &Table, known: Option<&AtRest>) -> Result<(Option<Arc<N>>, Option<AtRest>), StoreError> {
        let foreign = |what: String| StoreError::Foreign { table: table.path().to_owned(), what };
        let Some(written) = table.note::<Value>(N::DOMAIN).await? else { return Ok((None, None)) };
        let (mut whole, mut at_rest) = (written, None);
        if let Some(at) = rest::rest_at(&whole) {
            let (_, loads) = table.state();
            let rest = match known.filter(|known| (known.loads, known.rest.at) == (loads, at)) {
                Some(known) => Arc::clone(&known.rest),
                None => {
                    let rest = table.note(&rest_domain(N::DOMAIN)).await?;
                    Arc::new(rest.ok_or_else(|| foreign(format!("a note {} without its rest", N::DOMAIN)))?)
                }
            };
            let joined = rest::join(whole, N::ENTRIES, &rest);
            whole = joined.ok_or_else(|| foreign(format!("a note {} with another rest", N::DOMAIN)))?;
            at_rest = Some(AtRest { rest, loads });
        }
        let note = serde_json::from_value(whole);
        let note = note.map_err(|error| foreign(format!("a note {} ({error})", N::DOMAIN)))?;
        Ok((Some(Arc::new(note)), at_rest))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Whether the note is that of the table's version. It is not after a refresh whose note could not be read.
    pub(crate) fn is_noted(&self) -> bool {
        self.noted_at == self.table.state()
    }

    /// The note of the newest commit that carries one; `None` before the first.
    pub fn note(&self) -> Option<&Arc<N>> {
        self.note.as_ref()
    }

    /// The table's path below the deployment's folder.
    pub fn path(&self) -> &str {
        self.table.path()
    }

    /// The URL of a file of the table, by which other programs read it.
    pub fn url_of(&self, file: &DataFile) -> String {
        self.table.url_of(file)
    }

    /// The number of the newest commit that is known.
    pub fn version(&self) -> u64 {
        self.table.version()
    }

    /// Looks for newer commits and reads the newest note; returns whether there were any. Where the log was replaced by another
    /// copy, the version may then be an older one, or the same with other files.
    ///
    /// # Errors
    /// If the log cannot be read, or [`StoreError::FilesDiffer`]. The table may then be newer than the note, until a refresh
    /// succeeds.
    pub async fn refresh(&mut self) -> Result<bool, StoreError> {
        self.table.refresh().await?;
        let newer = self.noted_at != self.table.state();
        if newer {
            (self.note, self.at_rest) = Self::read_note(&self.table, self.at_rest.as_ref()).await?;
            self.noted_at = self.table.state();
        }
        Ok(newer)
    }

    /// The columns that the table declares, without its partition column.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn columns(&self) -> Result<Schema, StoreError> {
        self.table.columns(N::PARTITION)
    }

    /// The files that make up this version.
    ///
    /// # Errors
    /// If the log cannot be read, or a file has deletion vectors, which Braid never writes.
    pub async fn files(&self) -> Result<Vec<DataFile>, StoreError> {
        self.table.files().await
    }

    /// Reads those columns of the files' rows, in the types given; a column that a file does not have is null there.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn read(&self, files: &[DataFile], columns: &Schema) -> Result<LazyFrame, StoreError> {
        self.table.read(files, columns).await
    }

    /// The row groups of a file, to be read as those columns. Groups that `may_hold` refuses by the ranges of their columns are
    /// left out.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn row_groups(
        &self,
        file: &DataFile,
        columns: &Schema,
        may_hold: impl Fn(&DataFile) -> bool,
    ) -> Result<Vec<GroupReader>, StoreError> {
        self.table.row_groups(file, columns, may_hold).await
    }

    /// Writes a frame as a new file of that partition. It belongs to the table once it is committed.
    ///
    /// `ranged` names integer or text columns whose smallest and largest values are kept with the file.
    ///
    /// # Errors
    /// If the frame cannot be encoded or the file cannot be written.
    pub async fn write(&self, partition: &str, frame: DataFrame, ranged: &[&str]) -> Result<DataFile, StoreError> {
        self.table.write(partition, frame, ranged).await
    }

    /// Writes row groups as a new file of that partition.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub async fn write_groups(&self, partition: &str, groups: RowGroups) -> Result<DataFile, StoreError> {
        self.table.write_groups(partition, groups).await
    }

    /// Starts a commit. `operation` is a word for the table's log: what the commit does.
    pub fn begin(&self, operation: &'static str) -> Commit {
        Commit::new(operation, N::PARTITION, platform::clock::now_us())
    }

    /// Commits on top of this version. On success this is the table at the new version, with the new note if there is one;
    /// without one, the note of the version before stays.
    ///
    /// # Errors
    /// If the log cannot be written. That another writer committed first is not an error but [`Committed::Conflict`].
    pub async fn commit(&mut self, commit: Commit, note: Option<N>) -> Result<Committed, StoreError> {
        // The table was read, and then its note was not: the note of this commit follows from an older one.
        if self.noted_at != self.table.state() {
            return Ok(Committed::Conflict);
        }
        let (_, loads) = self.table.state();
        let (commit, at_rest) = match &note {
            Some(note) => self.with(commit, note),
            None => (commit, self.at_rest.clone()),
        };
        let committed = self.table.commit(commit).await?;
        if let Committed::At(version) = committed {
            self.note = note.map(Arc::new).or_else(|| self.note.take());
            self.at_rest = at_rest;
            self.noted_at = (version, loads);
        }
        Ok(committed)
    }

    /// A commit with that note, and what of the note is at rest then.
    fn with(&self, commit: Commit, note: &N) -> (Commit, Option<AtRest>) {
        let json = |note: &N| serde_json::to_value(note).expect("notes are plain data");
        let (version, loads) = self.table.state();
        let known = self.at_rest.as_ref().map(|known| known.rest.as_ref());
        let before = || self.note.as_deref().map(json);
        let (written, rest) = rest::divide(json(note), N::ENTRIES, before, known, version + 1);
        let commit = commit.note(N::DOMAIN, &written);
        match rest {
            Some(rest) => {
                let commit = commit.note(&rest_domain(N::DOMAIN), &rest);
                (commit, Some(AtRest { rest: Arc::new(rest), loads }))
            }
            None => (commit, self.at_rest.clone().filter(|_| rest::rest_at(&written).is_some())),
        }
    }

    /// Writes a checkpoint, and deletes the log entries and checkpoints that are superfluous and older than
    /// `store.log_retention`.
    ///
    /// # Errors
    /// If the log cannot be read or written.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        self.table.checkpoint().await
    }
}

/// The domain of what of a note is at rest.
fn rest_domain(domain: &str) -> String {
    format!("{domain}.rest")
}

/// Keeps up with a table that may not exist yet, or may be replaced by another.
#[derive(Debug, Clone)]
pub struct Followed<N> {
    store: Store,
    path: String,
    table: Option<NotedTable<N>>,
}

impl<N: TableNote> Followed<N> {
    pub(crate) fn new(store: Store, path: String) -> Followed<N> {
        Followed { store, path, table: None }
    }

    /// The table's path below the deployment's folder.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The table at its newest version; `None` while there is none.
    ///
    /// May be cancelled at any await; the next call goes on from what is known.
    ///
    /// # Errors
    /// If the store cannot be read. The next call opens the table anew, as it may have been replaced.
    pub async fn newest(&mut self) -> Result<Option<&NotedTable<N>>, StoreError> {
        // Taken out, so that a table whose refresh fails or is cancelled halfway is not used again.
        self.table = match self.table.take() {
            Some(mut table) => {
                table.refresh().await?;
                Some(table)
            }
            None => NotedTable::open(&self.store, &self.path).await?,
        };
        Ok(self.table.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use platform::settings;
    use shared_logic::contracts::archive::Facts;
    use shared_logic::log::PartitionId;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_note_that_follows_from_an_older_version_is_not_committed() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
        let store = Store::new(&settings, "braid").expect("a store");
        let open = async || NotedTable::<Facts>::create(&store, "a", &Schema::default()).await.expect("opened");
        let (mut one, mut other) = (open().await, open().await);
        let begun = |partition| {
            let mut facts = Facts::default();
            facts.begin(&PartitionId::new("log", partition), 0);
            facts
        };
        assert_eq!(one.commit(one.begin("BEGIN"), Some(begun(0))).await.expect("tried"), Committed::At(1));
        // As if its note could not be read after that.
        other.table.refresh().await.expect("read");
        assert_eq!(other.commit(other.begin("BEGIN"), Some(begun(1))).await.expect("tried"), Committed::Conflict);
        assert!(other.refresh().await.expect("read"));
        assert_eq!(other.note().map(|note| Facts::clone(note)), Some(begun(0)));
        assert_eq!(other.commit(other.begin("BEGIN"), Some(begun(1))).await.expect("tried"), Committed::At(2));
    }
}
