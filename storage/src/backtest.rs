//! The table of what a stream would have written. A backtest writes files of it, and one commit puts them in the place of all others.
//! What was decided from an archive of before an erasure is taken out again.

use std::collections::HashSet;

use platform::store::{Commit, Committed, DataFile, StoreError, Table};
use polars::prelude::*;
use shared_logic::contracts::archive::Erasure;
use shared_logic::contracts::backtest::{self as written, BacktestNote};
use shared_logic::schema::INSTANT;

use crate::{ORPHAN_AGE, Storage};

/// How often it is tried again to replace the table after another backtest has done so.
const ATTEMPTS: u32 = 20;

/// The table of a stream's backtest at one version.
#[derive(Debug, Clone)]
pub struct Backtest {
    table: Table,
}

/// An output that a stream would have written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BacktestOutput {
    /// The partition that the stream reads.
    pub partition: i32,
    /// The offset of the record that completed the output.
    pub offset: i64,
    /// Which of the outputs for that offset it is.
    pub n: u32,
    /// The key of its record.
    pub key: Option<Vec<u8>>,
    /// The output.
    pub payload: Vec<u8>,
    /// Its time, microseconds since 1970.
    pub time_us: i64,
}

/// Why the table was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum BacktestNotKept {
    /// It could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others committed before every attempt.
    #[error("other backtests committed first to {table} {ATTEMPTS} times")]
    Overtaken {
        /// The table's path below the deployment's folder.
        table: String,
    },
}

impl Storage {
    /// The table of a stream's backtest, created where it is missing.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn create_backtest(&self, stream: &str) -> Result<Backtest, StoreError> {
        let table = self.store.open_or_create(&written::path(stream), &columns(), written::LOG).await?;
        Ok(Backtest { table })
    }

    /// The tables of all backtests, whether or not a catalog of today declares their streams.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn backtests(&self) -> Result<Vec<Backtest>, StoreError> {
        let mut tables = Vec::new();
        for stream in self.store.folders(written::FOLDER).await? {
            // Whatever was put into it by others goes as well.
            let table = self.store.open_as_it_is(&written::path(&stream)).await?;
            tables.extend(table.map(|table| Backtest { table }));
        }
        Ok(tables)
    }

    /// Takes everything out of the tables of backtests that [may name](Backtest::may_name) what that erasure took out of the archive of
    /// that source, or of that table; returns their paths.
    ///
    /// # Errors
    /// [`BacktestNotKept`].
    pub async fn forget_backtests(&self, source: &str, erasure: &Erasure) -> Result<Vec<String>, BacktestNotKept> {
        let mut forgotten = Vec::new();
        for mut table in self.backtests().await? {
            if table.forget(source, erasure).await? {
                forgotten.push(table.path().to_owned());
            }
        }
        Ok(forgotten)
    }
}

impl Backtest {
    /// The table's path below the deployment's folder.
    pub fn path(&self) -> &str {
        self.table.path()
    }

    /// Writes outputs of a log as a file. It belongs to the table once that is [replaced](Backtest::replace).
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn write(&self, log: &str, outputs: Vec<BacktestOutput>) -> Result<DataFile, StoreError> {
        let failed = |source| StoreError::Frame { operation: "write rows", table: self.path().to_owned(), source };
        let frame = frame(outputs).map_err(failed)?;
        self.table.write(log, frame, &[written::PARTITION, written::OFFSET]).await
    }

    /// Has the table consist of these files, which were decided from what `note` says, and no others; returns its version. What older
    /// versions consist of stays for as long as their readers may need it.
    ///
    /// # Errors
    /// [`BacktestNotKept`].
    pub async fn replace(&mut self, files: Vec<DataFile>, note: &BacktestNote) -> Result<u64, BacktestNotKept> {
        for _ in 0..ATTEMPTS {
            let older = self.table.files().await?;
            let commit =
                Commit::new("BACKTEST", written::LOG, platform::clock::now_us()).note(written::NOTE_DOMAIN, note);
            let commit = commit.adding(files.clone()).removing(older);
            if let Committed::At(version) = self.table.commit(commit).await? {
                self.remove_orphans().await?;
                return Ok(version);
            }
            self.table.refresh().await?;
        }
        Err(BacktestNotKept::Overtaken { table: self.path().to_owned() })
    }

    /// Whether its newest outputs were decided from that source, or from rows of that table. A table without a note, which has none or is of
    /// an older build, may be of any.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn is_of(&self, source: &str) -> Result<bool, StoreError> {
        Ok(self.note().await?.is_none_or(|note| note.decided_from(source).is_some()))
    }

    /// Whether the table has outputs that may name what that erasure took out of the archive of that source. A table without a note may
    /// be of any.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn may_name(&self, source: &str, erasure: &Erasure) -> Result<bool, StoreError> {
        let is_of_before = self.note().await?.is_none_or(|note| note.is_of_before(source, erasure));
        Ok(is_of_before && !self.table.files().await?.is_empty())
    }

    async fn note(&self) -> Result<Option<BacktestNote>, StoreError> {
        self.table.note(written::NOTE_DOMAIN).await
    }

    /// Takes all outputs out of the table, if they [may name](Backtest::may_name) what that erasure took out; returns whether it did.
    /// Its older versions are deleted later, by [`Backtest::remove_orphans`].
    ///
    /// # Errors
    /// [`BacktestNotKept`].
    pub async fn forget(&mut self, source: &str, erasure: &Erasure) -> Result<bool, BacktestNotKept> {
        for _ in 0..ATTEMPTS {
            if !self.may_name(source, erasure).await? {
                return Ok(false);
            }
            let commit = Commit::new("ERASE", written::LOG, platform::clock::now_us());
            let commit = commit.removing(self.table.files().await?);
            if let Committed::At(_) = self.table.commit(commit).await? {
                return Ok(true);
            }
            self.table.refresh().await?;
        }
        Err(BacktestNotKept::Overtaken { table: self.path().to_owned() })
    }

    /// Writes a checkpoint, and deletes files that the table has not consisted of for [`ORPHAN_AGE`].
    ///
    /// # Errors
    /// If the table cannot be read or written.
    pub async fn remove_orphans(&self) -> Result<usize, StoreError> {
        self.table.checkpoint().await?;
        self.table.remove_orphans(ORPHAN_AGE, &HashSet::new()).await
    }

    /// Whether files are left that do not belong to this version, and were written before that moment by the store's clock;
    /// microseconds since 1970.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn has_orphans_of_before(&self, at_us: i64) -> Result<bool, StoreError> {
        self.table.has_others_of_before(at_us, &HashSet::new()).await
    }

    /// The rows of the table's version.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn rows(&self) -> Result<LazyFrame, StoreError> {
        self.table.read(&self.table.files().await?, &columns()).await
    }
}

/// The columns, without the partition column.
fn columns() -> Schema {
    let columns = [
        (written::PARTITION, DataType::Int32),
        (written::OFFSET, DataType::Int64),
        (written::N, DataType::Int64),
        (written::KEY, DataType::Binary),
        (written::PAYLOAD, DataType::Binary),
        (written::TIME, INSTANT),
    ];
    columns.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype)).collect()
}

/// Outputs as a frame of the [`columns`].
fn frame(outputs: Vec<BacktestOutput>) -> PolarsResult<DataFrame> {
    let rows = outputs.len();
    let mut keys = BinaryChunkedBuilder::new(written::KEY.into(), rows);
    let mut payloads = BinaryChunkedBuilder::new(written::PAYLOAD.into(), rows);
    for output in &outputs {
        keys.append_option(output.key.as_deref());
        payloads.append_value(output.payload.as_slice());
    }
    let partitions: Vec<i32> = outputs.iter().map(|output| output.partition).collect();
    let offsets: Vec<i64> = outputs.iter().map(|output| output.offset).collect();
    let numbers: Vec<i64> = outputs.iter().map(|output| output.n.into()).collect();
    let times: Vec<i64> = outputs.iter().map(|output| output.time_us).collect();
    let columns: Vec<Column> = vec![
        Column::new(written::PARTITION.into(), partitions),
        Column::new(written::OFFSET.into(), offsets),
        Column::new(written::N.into(), numbers),
        keys.finish().into_series().into(),
        payloads.finish().into_series().into(),
        Column::new(written::TIME.into(), times).cast(&INSTANT)?,
    ];
    DataFrame::new(rows, columns)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use platform::settings;
    use shared_logic::catalog::Deployment;
    use shared_logic::contracts::archive::{ErasedPart, Facts};

    use super::*;

    fn output(offset: i64) -> BacktestOutput {
        let key = (offset % 2 == 0).then(|| b"k".to_vec());
        BacktestOutput { partition: 1, offset, n: 3, key, payload: b"{}".to_vec(), time_us: offset * 1_000 }
    }

    async fn offsets(table: &Backtest) -> Vec<i64> {
        let rows = table.rows().await.expect("read").collect().expect("rows");
        assert_eq!(rows.width(), columns().len());
        let mut offsets: Vec<i64> =
            rows.column(written::OFFSET).expect("there").i64().expect("integers").iter().flatten().collect();
        offsets.sort_unstable();
        offsets
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_backtest_replaces_the_one_before_in_one_commit() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
        let deployment = Deployment::new("braid", "v1");
        let storage = Storage::new(&settings, &deployment).expect("a store");
        let mut one = storage.create_backtest("alerts").await.expect("created");
        let mut other = storage.create_backtest("alerts").await.expect("opened");
        assert_eq!(one.path(), "backtest/alerts");
        let files = vec![
            one.write("log", vec![output(1), output(2)]).await.expect("written"),
            one.write("log.1", vec![output(3)]).await.expect("written"),
        ];
        let note = BacktestNote { source: "s".to_owned(), archive_version: 4, tables: BTreeMap::new() };
        assert_eq!(one.replace(files, &note).await.expect("replaced"), 1);
        assert_eq!(offsets(&one).await, [1, 2, 3]);
        // It knows an older version, and replaces the newest one all the same.
        let files = vec![other.write("log", vec![output(7)]).await.expect("written")];
        assert_eq!(other.replace(files, &note).await.expect("replaced"), 2);
        let newest = storage.create_backtest("alerts").await.expect("opened");
        assert_eq!(offsets(&newest).await, [7]);
        assert_eq!(other.replace(Vec::new(), &note).await.expect("replaced"), 3);
        assert_eq!(offsets(&other).await, Vec::<i64>::new());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_an_erasure_took_out_is_forgotten_by_backtests_of_before_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
        let deployment = Deployment::new("braid", "v1");
        let storage = Storage::new(&settings, &deployment).expect("a store");
        assert!(storage.backtests().await.expect("listed").is_empty(), "there is no folder yet");
        let part = ErasedPart { version: 7, rules: "a".into(), list: String::new(), events: 1, at_us: None };
        let mut facts = Facts::default();
        facts.erase("x", Some(part), Some(0));
        let erasure = &facts.erasures[0];
        let looked_into = |table: &str| BTreeMap::from([(table.to_owned(), 6)]);
        for (stream, source, archive_version, tables) in [
            ("before", "s", 6, BTreeMap::new()),
            ("since", "s", 7, BTreeMap::new()),
            ("of_another", "t", 6, looked_into("u")),
            ("of_rows", "t", 6, looked_into("s")),
        ] {
            let mut table = storage.create_backtest(stream).await.expect("created");
            let files = vec![table.write("log", vec![output(1)]).await.expect("written")];
            let note = BacktestNote { source: source.to_owned(), archive_version, tables };
            table.replace(files, &note).await.expect("replaced");
        }
        // Another backtest commits between the look and the commit.
        let mut seen_before = storage.create_backtest("before").await.expect("opened");
        let mut late = storage.create_backtest("before").await.expect("opened");
        let files = vec![late.write("log", vec![output(2)]).await.expect("written")];
        let note = BacktestNote { source: "s".to_owned(), archive_version: 6, tables: BTreeMap::new() };
        late.replace(files, &note).await.expect("replaced");
        assert!(seen_before.forget("s", erasure).await.expect("forgotten"));
        assert!(!seen_before.forget("s", erasure).await.expect("looked"), "nothing is left");
        let forgotten = storage.forget_backtests("s", erasure).await.expect("emptied");
        assert_eq!(forgotten, ["backtest/of_rows"], "it holds what it has looked up");

        let tables = storage.backtests().await.expect("listed");
        assert_eq!(tables.len(), 4);
        for mut table in tables {
            assert!(!table.forget("s", erasure).await.expect("looked"), "{}", table.path());
            let is_emptied = ["backtest/before", "backtest/of_rows"].contains(&table.path());
            let expected: &[i64] = if is_emptied { &[] } else { &[1] };
            assert_eq!(offsets(&table).await, expected, "{}", table.path());
        }
        assert!(seen_before.has_orphans_of_before(i64::MAX).await.expect("listed"), "readers may need them");
        assert_eq!(seen_before.remove_orphans().await.expect("looked"), 0, "they are young");
    }
}
