//! The table of reconciles: what each of them moved, and the drift between the layers that it measured; and the checks of streams and
//! search indexes.
//!
//! Each reconcile of a source appends a small file. From time to time the files of the source become one again, with the newest rows
//! of each metric and stream, so neither rows nor files become many.

use std::collections::{BTreeMap, HashSet};

use platform::store::{Commit, Committed, DataFile, StoreError, Table};
use polars::prelude::{Column, DataFrame, DataType, Field, PolarsError, PolarsResult, Schema};
use shared_logic::contracts::reconciliation::{self as written, Reconciliation, RowKind};
use shared_logic::schema::INSTANT;
use tokio::task::JoinError;

use crate::{ORPHAN_AGE, Storage};

/// How many rows of each metric and stream are kept, the newest ones; a few more until files are merged again.
pub const ROWS_KEPT: usize = 500;
/// How many files a source has at most.
const FILES_MAX: usize = 16;
/// How often rows are appended again after another process has committed first.
const ATTEMPTS: u32 = 20;

/// The table of reconciles at one version.
#[derive(Debug, Clone)]
pub struct Reconciliations {
    table: Table,
}

/// Which rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsOf<'a> {
    /// All of them.
    All,
    /// The reconciles of a metric.
    Metric(&'a str),
    /// The checks of a stream.
    Stream(&'a str),
    /// The checks of a search index.
    Index(&'a str),
}

impl RowsOf<'_> {
    fn is_of(self, row: &Reconciliation) -> bool {
        let (kind, name) = match self {
            RowsOf::All => return true,
            RowsOf::Metric(name) => (RowKind::Metric, name),
            RowsOf::Stream(name) => (RowKind::Stream, name),
            RowsOf::Index(name) => (RowKind::Index, name),
        };
        row.kind() == kind && row.metric == name
    }
}

/// Why rows were not kept, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReconciliationsError {
    /// The table could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that decoded rows panicked, or was not started because the process ends.
    #[error("cannot decode rows of table {table}")]
    Thread {
        /// The table's path below the deployment's folder.
        table: String,
        /// How the thread ended.
        source: JoinError,
    },
    /// Other processes committed before every attempt.
    #[error("other processes committed first to {table} {ATTEMPTS} times")]
    Overtaken {
        /// The table's path below the deployment's folder.
        table: String,
    },
}

impl Storage {
    /// The table of reconciles at its newest version; `None` until the first of them has written a row.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn reconciliations(&self) -> Result<Option<Reconciliations>, StoreError> {
        let table = self.store.open(&written::path(&self.deployment.version)).await?;
        Ok(table.map(|table| Reconciliations { table }))
    }

    /// The table of reconciles, created where it is missing.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn create_reconciliations(&self) -> Result<Reconciliations, StoreError> {
        let path = written::path(&self.deployment.version);
        let table = self.store.open_or_create(&path, &columns(), written::SOURCE).await?;
        Ok(Reconciliations { table })
    }
}

impl Reconciliations {
    /// Looks for newer rows.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn refresh(&mut self) -> Result<(), StoreError> {
        self.table.refresh().await.map(drop)
    }

    /// Appends rows about metrics and streams of a source, except those that are there already; returns how many that were. After every
    /// `checkpoint_every` versions it removes what is not needed any more.
    ///
    /// # Errors
    /// [`ReconciliationsError`]. The rows may have been written all the same; appending them again has no effect then.
    pub async fn keep(
        &mut self,
        source: &str,
        rows: &[Reconciliation],
        checkpoint_every: u64,
    ) -> Result<usize, ReconciliationsError> {
        for _ in 0..ATTEMPTS {
            let files = self.files_of(source).await?;
            let new = self.missing(&files, rows).await?;
            if new.is_empty() {
                return Ok(0);
            }
            let count = new.len();
            let merges = files.len() + 1 >= FILES_MAX;
            let (kept, removed) = if merges { (self.merged(&files, new).await?, files) } else { (new, Vec::new()) };
            let frame = frame(&kept).map_err(|source| self.frame_error("write rows", source))?;
            let file = self.table.write_quickly(source, frame, &[written::VIEW_VERSION]).await?;
            let commit = Commit::new("RECONCILIATIONS", written::SOURCE, platform::clock::now_us());
            platform::failpoints::pass("reconciliations::before_commit");
            if let Committed::At(version) = self.table.commit(commit.adding([file]).removing(removed)).await? {
                if version.is_multiple_of(checkpoint_every) {
                    self.table.checkpoint().await?;
                    self.table.remove_orphans(ORPHAN_AGE, &HashSet::new()).await?;
                }
                return Ok(count);
            }
            self.table.refresh().await?;
        }
        Err(ReconciliationsError::Overtaken { table: self.table.path().to_owned() })
    }

    /// The newest of these rows, the newest first.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn newest(&self, of: RowsOf<'_>, limit: usize) -> Result<Vec<Reconciliation>, ReconciliationsError> {
        let mut rows = self.read(&self.table.files().await?).await?;
        rows.retain(|row| of.is_of(row));
        rows.sort_by(|a, b| newest_first(a).cmp(&newest_first(b)));
        rows.truncate(limit);
        Ok(rows)
    }

    async fn files_of(&self, source: &str) -> Result<Vec<DataFile>, StoreError> {
        let mut files = self.table.files().await?;
        files.retain(|file| file.partition == source);
        Ok(files)
    }

    /// Those of some rows that no file has.
    async fn missing(
        &self,
        files: &[DataFile],
        rows: &[Reconciliation],
    ) -> Result<Vec<Reconciliation>, ReconciliationsError> {
        let version = |row: &Reconciliation| i64::try_from(row.view_version).unwrap_or(i64::MAX);
        let may_hold =
            |file: &&DataFile| rows.iter().any(|row| file.may_hold(written::VIEW_VERSION, version(row), version(row)));
        let known = self.read(&files.iter().filter(may_hold).cloned().collect::<Vec<_>>()).await?;
        let is_new = |row: &&Reconciliation| known.iter().all(|known| known.id() != row.id());
        Ok(rows.iter().filter(is_new).cloned().collect())
    }

    /// The rows of files and new ones, of each metric and stream the newest.
    async fn merged(
        &self,
        files: &[DataFile],
        new: Vec<Reconciliation>,
    ) -> Result<Vec<Reconciliation>, ReconciliationsError> {
        let mut rows = self.read(files).await?;
        rows.extend(new);
        rows.sort_by(|a, b| newest_first(a).cmp(&newest_first(b)));
        let mut of_each: BTreeMap<(RowKind, String), usize> = BTreeMap::new();
        rows.retain(|row| {
            let count = of_each.entry((row.kind(), row.metric.clone())).or_default();
            *count += 1;
            *count <= ROWS_KEPT
        });
        Ok(rows)
    }

    /// The rows of files, in any order.
    async fn read(&self, files: &[DataFile]) -> Result<Vec<Reconciliation>, ReconciliationsError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let record: Schema = [Field::new(written::RECORD.into(), DataType::String)].into_iter().collect();
        let rows = self.table.read(files, &record).await?;
        let collected = tokio::task::spawn_blocking(move || rows.collect()).await;
        let table = || self.table.path().to_owned();
        let frame = collected.map_err(|source| ReconciliationsError::Thread { table: table(), source })?;
        let frame = frame.map_err(|source| self.frame_error("read rows", source))?;
        let texts = frame.column(written::RECORD).and_then(|column| column.str().cloned());
        let texts = texts.map_err(|source| self.frame_error("read rows", source))?;
        let row = |text: Option<&str>| {
            let row = serde_json::from_str(text.unwrap_or_default());
            row.map_err(|error| StoreError::Foreign { table: table(), what: format!("a row ({error})") }.into())
        };
        texts.iter().map(row).collect()
    }

    fn frame_error(&self, operation: &'static str, source: PolarsError) -> StoreError {
        StoreError::Frame { operation, table: self.table.path().to_owned(), source }
    }
}

/// By what the newest rows come first.
fn newest_first(row: &Reconciliation) -> (std::cmp::Reverse<(i64, u64)>, &str) {
    (std::cmp::Reverse((row.reconciled_at_us, row.view_version)), &row.metric)
}

/// The columns, without the partition column.
fn columns() -> Schema {
    let of = |dtype: DataType| move |name: &str| Field::new(name.into(), dtype.clone());
    let (integer, text) = (of(DataType::Int64), of(DataType::String));
    let fields = [
        text(written::METRIC),
        integer(written::VIEW_VERSION),
        Field::new(written::RECONCILED_AT.into(), INSTANT),
        integer(written::TOOK_MS),
        integer(written::ROWS_READ),
        integer(written::ROWS_ADDED),
        integer(written::HOURS_RECOMPUTED),
        Field::new(written::COMPARABLE.into(), DataType::Boolean),
        text(written::REASON),
        integer(written::BUCKETS),
        integer(written::DIFFERING),
        integer(written::DUPLICATES),
        integer(written::UNEXPLAINED),
        text(written::RECORD),
    ];
    fields.into_iter().collect()
}

/// Rows as a frame of the [`columns`].
fn frame(rows: &[Reconciliation]) -> PolarsResult<DataFrame> {
    let integers = |name: &str, of: &dyn Fn(&Reconciliation) -> Option<u64>| {
        let values = rows.iter().map(|row| of(row).map(|value| i64::try_from(value).unwrap_or(i64::MAX)));
        Column::new(name.into(), values.collect::<Vec<Option<i64>>>())
    };
    let texts = |name: &str, of: &dyn Fn(&Reconciliation) -> Option<String>| {
        Column::new(name.into(), rows.iter().map(of).collect::<Vec<Option<String>>>())
    };
    let reconciled_at: Vec<i64> = rows.iter().map(|row| row.reconciled_at_us).collect();
    let comparable: Vec<bool> = rows.iter().map(|row| row.comparable).collect();
    let record = |row: &Reconciliation| Some(serde_json::to_string(row).expect("a row is plain data"));
    let columns = vec![
        texts(written::METRIC, &|row| Some(row.metric.clone())),
        integers(written::VIEW_VERSION, &|row| Some(row.view_version)),
        Column::new(written::RECONCILED_AT.into(), reconciled_at).cast(&INSTANT)?,
        integers(written::TOOK_MS, &|row| Some(row.took_ms)),
        integers(written::ROWS_READ, &|row| Some(row.rows_read)),
        integers(written::ROWS_ADDED, &|row| Some(row.rows_added)),
        integers(written::HOURS_RECOMPUTED, &|row| Some(row.hours_recomputed)),
        Column::new(written::COMPARABLE.into(), comparable),
        texts(written::REASON, &|row| row.reason.clone()),
        integers(written::BUCKETS, &|row| row.drift.as_ref().map(|drift| drift.buckets)),
        integers(written::DIFFERING, &|row| row.drift.as_ref().map(|drift| drift.differing)),
        integers(written::DUPLICATES, &|row| row.drift.as_ref().map(|drift| drift.duplicates)),
        integers(written::UNEXPLAINED, &|row| row.drift.as_ref().map(|drift| drift.unexplained)),
        texts(written::RECORD, &record),
    ];
    DataFrame::new(rows.len(), columns)
}

#[cfg(test)]
mod tests {
    use platform::settings;
    use shared_logic::catalog::Deployment;
    use shared_logic::contracts::index::IndexCheck;
    use shared_logic::contracts::reconciliation::StreamCheck;

    use super::*;

    fn storage(folder: &tempfile::TempDir) -> Storage {
        let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
        let deployment = Deployment::new("braid", "v1");
        Storage::new(&settings, &deployment).expect("a store")
    }

    fn row(metric: &str, view_version: u64) -> Reconciliation {
        Reconciliation {
            metric: metric.to_owned(),
            definition: "00000000000000aa".parse().expect("16 digits"),
            view_version,
            reconciled_at_us: 1_000_000 * i64::try_from(view_version).expect("small"),
            took_ms: 5,
            offsets: 7,
            partitions: 1,
            ranges: Vec::new(),
            rows_read: 7,
            rows_added: 6,
            hours_recomputed: 0,
            comparable: false,
            reason: Some("no_shard".to_owned()),
            detail: Some("there was none".to_owned()),
            drift: None,
            stream_check: None,
            index_check: None,
        }
    }

    /// A check of a stream.
    fn check(stream: &str, version: u64) -> Reconciliation {
        Reconciliation { stream_check: Some(StreamCheck::default()), ..row(stream, version) }
    }

    /// A check of a search index.
    fn of_index(index: &str, version: u64) -> Reconciliation {
        Reconciliation { index_check: Some(IndexCheck::default()), ..row(index, version) }
    }

    fn versions(rows: &[Reconciliation]) -> Vec<u64> {
        rows.iter().map(|row| row.view_version).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_are_read_as_they_were_kept_the_newest_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = storage(&folder);
        assert!(storage.reconciliations().await.expect("read").is_none());
        let mut table = storage.create_reconciliations().await.expect("created");
        table.keep("s", &[row("a", 1), row("b", 1)], 10).await.expect("kept");
        table.keep("s", &[row("a", 2)], 10).await.expect("kept");
        table.keep("other", &[row("c", 9)], 10).await.expect("kept");
        let table = storage.reconciliations().await.expect("read").expect("it was created");
        let all = table.newest(RowsOf::All, 10).await.expect("read");
        assert_eq!(all, [row("c", 9), row("a", 2), row("a", 1), row("b", 1)]);
        assert_eq!(table.newest(RowsOf::Metric("a"), 10).await.expect("read"), [row("a", 2), row("a", 1)]);
        assert_eq!(versions(&table.newest(RowsOf::Metric("a"), 1).await.expect("read")), [2]);
        assert_eq!(table.newest(RowsOf::Metric("x"), 1).await.expect("read"), []);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_metric_a_stream_and_an_index_of_one_name_have_rows_of_their_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = storage(&folder);
        let mut table = storage.create_reconciliations().await.expect("created");
        assert_eq!(table.keep("s", &[row("a", 1), check("a", 1), check("b", 2)], 10).await.expect("kept"), 3);
        assert_eq!(table.keep("s", &[check("a", 1)], 10).await.expect("kept"), 0, "it is there already");
        assert_eq!(table.keep("s", &[of_index("a", 1)], 10).await.expect("kept"), 1);
        assert_eq!(table.newest(RowsOf::Metric("a"), 10).await.expect("read"), [row("a", 1)]);
        assert_eq!(table.newest(RowsOf::Stream("a"), 10).await.expect("read"), [check("a", 1)]);
        assert_eq!(table.newest(RowsOf::Index("a"), 10).await.expect("read"), [of_index("a", 1)]);
        assert_eq!(table.newest(RowsOf::Metric("b"), 10).await.expect("read"), []);
        assert_eq!(table.newest(RowsOf::All, 10).await.expect("read").len(), 4);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_row_that_is_kept_again_is_kept_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = storage(&folder);
        let mut one = storage.create_reconciliations().await.expect("created");
        let mut other = storage.create_reconciliations().await.expect("opened");
        assert_eq!(one.keep("s", &[row("a", 1)], 10).await.expect("kept"), 1);
        // Its version is older: it meets a conflict, and finds the row of the other.
        assert_eq!(other.keep("s", &[row("a", 1)], 10).await.expect("kept"), 0);
        assert_eq!(other.keep("s", &[row("a", 1), row("a", 2)], 10).await.expect("kept"), 1);
        // A view whose table was replaced counts its versions anew.
        let again = Reconciliation { reconciled_at_us: 77_000_000, ..row("a", 1) };
        assert_eq!(one.keep("s", std::slice::from_ref(&again), 10).await.expect("kept"), 1);
        let newest = one.newest(RowsOf::All, 10).await.expect("read");
        assert_eq!(newest, [again, row("a", 2), row("a", 1)]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn neither_rows_nor_files_become_many() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = storage(&folder);
        let mut table = storage.create_reconciliations().await.expect("created");
        let many: Vec<Reconciliation> = (1..=ROWS_KEPT as u64).map(|version| row("a", version)).collect();
        table.keep("s", &many, 10).await.expect("kept");
        let last = ROWS_KEPT as u64 + 40;
        for version in ROWS_KEPT as u64 + 1..=last {
            table.keep("s", &[row("a", version), row("b", version)], 10).await.expect("kept");
            let files = table.files_of("s").await.expect("listed");
            assert!(files.len() <= FILES_MAX, "{} files", files.len());
        }
        let rows = table.newest(RowsOf::Metric("a"), usize::MAX).await.expect("read");
        assert!((ROWS_KEPT..ROWS_KEPT + FILES_MAX).contains(&rows.len()), "{} rows", rows.len());
        let expected: Vec<u64> = (0..rows.len() as u64).map(|at| last - at).collect();
        assert_eq!(versions(&rows), expected);
        assert_eq!(table.newest(RowsOf::Metric("b"), usize::MAX).await.expect("read").len(), 40);
    }
}
