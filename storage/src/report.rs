//! The table of a report: a day of it is replaced in one commit, which says what its rows were computed from (P1).
//!
//! - `erased`: which days may hold what was erased since they were written.

mod erased;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use platform::store::{CHECKPOINTS_KEPT, Committed, DataFile, StoreError};
use polars::prelude::{DataFrame, Schema};
use shared_logic::contracts::report::{self, DateNote, Note};

pub use self::erased::ErasedDays;
use crate::{Followed, NotedTable, ORPHAN_AGE, Storage, TableNote};

/// The table of a report at one version, with its note at that version.
pub type ReportTable = NotedTable<Note>;

impl TableNote for Note {
    const DOMAIN: &'static str = report::NOTE_DOMAIN;
    const PARTITION: &'static str = report::DATE;
    const ENTRIES: &'static str = report::NOTE_DATES;
}

impl Storage {
    /// The table of a report at its newest version; `None` until its first run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn report(&self, name: &str) -> Result<Option<ReportTable>, StoreError> {
        ReportTable::open(&self.store, &report::path(name)).await
    }

    /// The table of a report, created with those columns where it is missing.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn create_report(&self, name: &str, columns: &Schema) -> Result<ReportTable, StoreError> {
        ReportTable::create(&self.store, &report::path(name), columns).await
    }

    /// Forgets what older versions of the table of a report held: removes files that belong to no version, if they are old enough that no
    /// reader and no writer needs them, and log entries, which name the first and the last key of each file. Returns whether nothing is left
    /// that was written before that moment by the store's clock; microseconds since 1970.
    ///
    /// # Errors
    /// If the store cannot be listed, read or written.
    pub async fn forget_report_before(&self, name: &str, at_us: i64) -> Result<bool, StoreError> {
        let Some(mut older) = self.report(name).await? else { return Ok(true) };
        if older.table().has_log_of_before(at_us).await? {
            // Entries go once there are so many newer checkpoints, and a report commits only once a day.
            for _ in 0..CHECKPOINTS_KEPT {
                if older.commit(older.begin("REPORT CHECKPOINT"), None).await? == Committed::Conflict {
                    return Ok(false);
                }
                older.checkpoint().await?;
            }
        }
        // Which files were taken out stands in the log, and entries that the older version was read from may be gone by now.
        let Some(mut table) = self.report(name).await? else { return Ok(true) };
        table.table().remove_orphans(ORPHAN_AGE, &HashSet::new()).await?;
        let left = table.table().orphans(Duration::ZERO, &HashSet::new()).await?;
        let is_gone =
            left.iter().all(|file| file.written_us >= at_us) && !table.table().has_log_of_before(at_us).await?;
        Ok(is_gone && !table.refresh().await?)
    }

    /// The table of a report, to be followed from version to version.
    pub fn follow_report(&self, name: &str) -> Followed<Note> {
        Followed::new(self.store.clone(), report::path(name))
    }
}

impl ReportTable {
    /// What is known of a day; `None` if it was never committed.
    pub fn date(&self, date: &str) -> Option<&DateNote> {
        self.note()?.dates.get(date)
    }

    /// The files that hold a day.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn files_of(&self, date: &str) -> Result<Vec<DataFile>, StoreError> {
        let mut files = self.files().await?;
        files.retain(|file| file.partition == date);
        Ok(files)
    }

    /// P1: puts rows in the place of all rows of that day, and the note beside them, in one commit on top of this version. `columns` are
    /// those that the table declares from then on, and `ranged` names columns by whose ranges rows are found.
    ///
    /// # Errors
    /// If the store cannot be read or written. That another writer committed first is not an error but [`Committed::Conflict`].
    pub async fn replace(
        &mut self,
        date: &str,
        rows: DataFrame,
        of_date: DateNote,
        (columns, ranged): (&Schema, &[&str]),
    ) -> Result<Committed, StoreError> {
        let before = self.files_of(date).await?;
        let mut note = self.note().map(|note| Note::clone(note)).unwrap_or_default();
        note.commit(date, of_date);
        let mut commit = self.begin("REPORT").removing(before);
        if rows.height() > 0 {
            let written = self.table().write_in_named_folder(Note::PARTITION, date, rows, ranged);
            commit = commit.adding([written.await?]);
        }
        if self.columns()? != *columns {
            commit = commit.schema(columns);
        }
        platform::failpoints::pass("report::before_commit");
        let committed = self.commit(commit, Some(note)).await?;
        platform::failpoints::pass("report::after_commit");
        Ok(committed)
    }

    /// P1: notes of a day that its rows, which stay, hold nothing of what was erased by then.
    ///
    /// # Errors
    /// If the store cannot be read or written. That another writer committed first is not an error but [`Committed::Conflict`].
    pub async fn note_erased(&mut self, date: &str, erased: BTreeMap<String, u64>) -> Result<Committed, StoreError> {
        let mut note = self.note().map(|note| Note::clone(note)).unwrap_or_default();
        if let Some(of_date) = note.dates.get_mut(date) {
            of_date.erased.extend(erased);
        }
        let commit = self.begin("REPORT ERASED");
        self.commit(commit, Some(note)).await
    }

    /// Writes a checkpoint, and removes files that belong to no version and were written longer than an hour ago.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn tidy_up(&self) -> Result<(), StoreError> {
        self.checkpoint().await?;
        self.table().remove_orphans(ORPHAN_AGE, &HashSet::new()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use platform::settings;
    use polars::prelude::{DataType, Field, df};
    use shared_logic::catalog::{DefinitionHash, Deployment};
    use shared_logic::log::Offsets;

    use super::*;

    fn columns() -> Schema {
        Schema::from_iter([
            Field::new("user_id".into(), DataType::String),
            Field::new("clicks".into(), DataType::Int64),
        ])
    }

    fn of_date(view_version: u64, rows: &DataFrame) -> DateNote {
        DateNote {
            definition: DefinitionHash::of_none(),
            version: "v1".to_owned(),
            view_version,
            cut: Offsets::default(),
            arrived: Offsets::default(),
            tables: std::collections::BTreeMap::new(),
            erased: std::collections::BTreeMap::new(),
            rows: rows.height() as u64,
            committed_at_us: 1,
            revisions: 0,
        }
    }

    fn rows(users: &[&str]) -> DataFrame {
        df!("user_id" => users, "clicks" => vec![1_i64; users.len()]).expect("two columns")
    }

    async fn replaced(table: &mut ReportTable, date: &str, view_version: u64, users: &[&str]) -> Committed {
        let rows = rows(users);
        let note = of_date(view_version, &rows);
        table.replace(date, rows, note, (&columns(), ["user_id"].as_slice())).await.expect("tried")
    }

    /// The users of a day, as a reader finds them that has just been started.
    async fn users(storage: &Storage, date: &str) -> Vec<String> {
        let table = storage.report("engagement").await.expect("read").expect("there");
        let files = table.files_of(date).await.expect("listed");
        assert!(files.len() <= 1, "a day is one file");
        let rows = table.read(&files, &columns()).await.expect("read").collect().expect("rows");
        let column = rows.column("user_id").expect("there");
        column.str().expect("texts").iter().flatten().map(str::to_owned).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_commit_replaces_its_day_and_no_other_and_two_do_not_replace_each_other_unseen() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
        let deployment = Deployment::new("braid", "v1");
        let storage = Storage::new(&settings, &deployment).expect("a store");
        assert!(storage.report("engagement").await.expect("read").is_none());
        let create = async || storage.create_report("engagement", &columns()).await.expect("created");
        let (mut one, mut other) = (create().await, create().await);
        assert_eq!(one.path(), "warehouse/engagement");
        assert_eq!(replaced(&mut one, "2026-04-23", 5, &["a", "b"]).await, Committed::At(1));
        assert_eq!(replaced(&mut one, "2026-04-24", 6, &["c"]).await, Committed::At(2));
        assert_eq!(replaced(&mut other, "2026-04-23", 4, &["z"]).await, Committed::Conflict);
        assert!(other.refresh().await.expect("read"));
        assert_eq!(other.date("2026-04-23").map(|note| note.view_version), Some(5));
        assert_eq!(replaced(&mut other, "2026-04-23", 7, &["a"]).await, Committed::At(3));
        assert_eq!(users(&storage, "2026-04-23").await, ["a"]);
        assert_eq!(users(&storage, "2026-04-24").await, ["c"]);
        // A day without rows is known, too.
        assert_eq!(replaced(&mut other, "2026-04-24", 8, &[]).await, Committed::At(4));
        assert_eq!(users(&storage, "2026-04-24").await, Vec::<String>::new());
        let table = storage.report("engagement").await.expect("read").expect("there");
        assert_eq!(table.date("2026-04-24").map(|note| (note.view_version, note.rows)), Some((8, 0)));
        assert_eq!(table.date("2026-04-22"), None);
        table.tidy_up().await.expect("tidied up");
        assert_eq!(users(&storage, "2026-04-23").await, ["a"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_noted_of_an_erasure_changes_no_row_and_no_other_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
        let storage = Storage::new(&settings, &Deployment::new("braid", "v1")).expect("a store");
        let create = async || storage.create_report("engagement", &columns()).await.expect("created");
        let (mut one, mut other) = (create().await, create().await);
        replaced(&mut one, "2026-04-23", 5, &["a"]).await;
        replaced(&mut one, "2026-04-24", 5, &["b"]).await;
        let erased = BTreeMap::from([("clicks".to_owned(), 7)]);
        assert_eq!(other.note_erased("2026-04-23", erased.clone()).await.expect("tried"), Committed::Conflict);
        assert_eq!(one.note_erased("2026-04-23", erased.clone()).await.expect("tried"), Committed::At(3));
        let table = storage.report("engagement").await.expect("read").expect("there");
        let of = |date| table.date(date).map(|note| (note.view_version, note.revisions, note.erased.clone()));
        assert_eq!(of("2026-04-23"), Some((5, 0, erased)));
        assert_eq!(of("2026-04-24"), Some((5, 0, BTreeMap::new())));
        assert_eq!(users(&storage, "2026-04-23").await, ["a"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn entries_that_name_keys_of_before_are_forgotten_and_the_rows_of_now_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = folder.path().display().to_string();
        let log_retention = settings::Span::from_millis(1);
        let settings = settings::Store { url, log_retention, ..settings::Store::default() };
        let storage = Storage::new(&settings, &Deployment::new("braid", "v1")).expect("a store");
        let mut table = storage.create_report("engagement", &columns()).await.expect("created");
        replaced(&mut table, "2026-04-23", 5, &["person-7"]).await;
        replaced(&mut table, "2026-04-23", 6, &["a"]).await;
        let names = || {
            let log = folder.path().join("braid/warehouse/engagement/_delta_log");
            let entries =
                std::fs::read_dir(log).expect("a log").filter_map(|entry| std::fs::read(entry.ok()?.path()).ok());
            entries.filter(|entry| String::from_utf8_lossy(entry).contains("person-7")).count()
        };
        assert!(names() > 0, "the range of a file's keys stands in the log");
        // The file itself is young, so something is left.
        let is_gone = storage.forget_report_before("engagement", platform::clock::now_us()).await.expect("looked");
        assert_eq!((is_gone, names()), (false, 0));
        assert_eq!(users(&storage, "2026-04-23").await, ["a"]);
        assert!(storage.forget_report_before("engagement", 0).await.expect("looked"), "nothing is of before 1970");
        assert!(storage.forget_report_before("another", 0).await.expect("looked"), "it was never written");
    }
}
