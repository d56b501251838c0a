//! Reads the archive as any Delta reader would: the log's JSON actions say which files are active, and these are Parquet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use polars::prelude::{
    DataFrame, DataType, Expr, LazyFrame, ParquetWriter, PlRefPath, ScanArgsParquet, SortMultipleOptions, col, lit,
};
use serde_json::Value;

/// What the archive of one source holds.
#[derive(Debug, Default)]
pub struct Archive {
    /// For each log and partition, every archived offset.
    pub offsets: BTreeMap<(String, i64), BTreeSet<i64>>,
    /// Rows in all.
    pub rows: usize,
    /// Rows that could not be decoded.
    pub rejected: usize,
}

/// Where records lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The log.
    pub log: String,
    /// The partition.
    pub partition: i64,
    /// Their offsets.
    pub offsets: Range<i64>,
}

/// A row that lies among others: in its partition, events of the same bucket stand before it and behind it.
#[derive(Debug, Clone, Copy)]
pub struct Inner {
    /// A column, …
    pub column: &'static str,
    /// … and what it says.
    pub value: i64,
    /// The column of the event's time.
    pub time: &'static str,
    /// How long a bucket is, in microseconds.
    pub bucket_us: i64,
}

impl Archive {
    /// Reads the archive of `source` below a deployment's folder in the store.
    ///
    /// # Errors
    /// If there is none, if a file is missing, or if one (log, partition, offset) stands in it twice.
    pub fn read(store: &Path, source: &str) -> Result<Archive> {
        let table = table_of(store, source)?;
        // Polars brings a runtime of its own, which must not be entered from a test's.
        std::thread::spawn(move || read_table(&table)).join().expect("reading the archive does not panic")
    }

    /// Some columns of every archived row of `source`.
    pub fn rows(store: &Path, source: &str, columns: &[&str]) -> Result<DataFrame> {
        rows(table_of(store, source)?, columns.iter().map(|name| col(*name)).collect())
    }

    /// Takes one such row out of a file of the archive of `source` in place, as a disk that forgets would. The table's log does not know. Returns
    /// where its record lies.
    ///
    /// # Errors
    /// If there is no such row, or the file cannot be replaced.
    pub fn without_a_row(store: &Path, source: &str, wanted: &Inner) -> Result<Place> {
        let (table, wanted) = (table_of(store, source)?, *wanted);
        let take = move || -> Result<Place> {
            let mut stretches: BTreeMap<(String, i64, i64), Range<i64>> = BTreeMap::new();
            let mut candidates = Vec::new();
            for file in active_files(&table)? {
                let path = table.join(&file);
                let scan = LazyFrame::scan_parquet(PlRefPath::try_from_path(&path)?, ScanArgsParquet::default())?;
                let fits = col("_error").is_null().and(col(wanted.column).eq(lit(wanted.value))).fill_null(lit(false));
                let time_us = col(wanted.time).cast(DataType::Int64);
                let frame = scan.with_columns([fits.alias("fits"), time_us.alias("time_us")]).collect()?;
                let (fits, times) = (frame.column("fits")?.bool()?, frame.column("time_us")?.i64()?);
                for (row, place) in places(&frame)?.into_iter().enumerate() {
                    let Some(time_us) = times.get(row) else { continue };
                    let stretch = (place.log.clone(), place.partition, time_us.div_euclid(wanted.bucket_us));
                    let all = stretches.entry(stretch.clone()).or_insert_with(|| place.offsets.clone());
                    *all = all.start.min(place.offsets.start)..all.end.max(place.offsets.end);
                    if fits.get(row) == Some(true) {
                        candidates.push((stretch, place, path.clone(), row));
                    }
                }
            }
            let is_inner = |(stretch, place, ..): &(_, Place, _, _)| {
                let all = &stretches[stretch];
                all.start < place.offsets.start && place.offsets.end < all.end
            };
            let (_, place, path, row) = candidates.into_iter().find(is_inner).context("no such row")?;
            let scan = LazyFrame::scan_parquet(PlRefPath::try_from_path(&path)?, ScanArgsParquet::default())?;
            let frame = scan.collect()?;
            let behind = frame.slice(i64::try_from(row)? + 1, frame.height());
            let mut left = frame.head(Some(row)).vstack(&behind)?;
            // The frame may still lie in the file that it was read from.
            let (mut bytes, staged) = (Vec::new(), path.with_extension("staged"));
            ParquetWriter::new(&mut bytes).finish(&mut left)?;
            fs::write(&staged, bytes)?;
            fs::rename(&staged, &path)?;
            Ok(place)
        };
        // Polars brings a runtime of its own, which must not be entered from a test's.
        std::thread::spawn(take).join().expect("reading the archive does not panic")
    }

    /// The bytes of all files that make up the archive of `source`.
    ///
    /// # Errors
    /// If there is no archive, or a file is missing.
    pub fn bytes(store: &Path, source: &str) -> Result<u64> {
        let table = table_of(store, source)?;
        active_files(&table)?.iter().map(|file| Ok(fs::metadata(table.join(file))?.len())).sum()
    }

    /// What each commit to the archive of `source` did, as its log says, in their order.
    ///
    /// # Errors
    /// If there is no archive, or its log cannot be read.
    pub fn operations(store: &Path, source: &str) -> Result<Vec<String>> {
        let mut operations = Vec::new();
        for entry in entries(&table_of(store, source)?)? {
            let info = entry.iter().find_map(|action| action["commitInfo"]["operation"].as_str());
            operations.push(info.context("a log entry without an operation")?.to_owned());
        }
        Ok(operations)
    }

    /// Fails unless the archive holds exactly the offsets from 0 to each partition's end, each once, in one log.
    pub fn holds_each_offset_once(&self, ends: &[i64]) -> Result<()> {
        let logs: BTreeSet<_> = self.offsets.keys().map(|(log, _)| log).collect();
        ensure!(logs.len() == 1, "the archive has several logs: {logs:?}");
        for ((_, partition), offsets) in &self.offsets {
            let end = *ends.get(usize::try_from(*partition)?).context("a partition that the topic does not have")?;
            let missing: Vec<_> = (0..end).filter(|offset| !offsets.contains(offset)).collect();
            ensure!(missing.is_empty(), "partition {partition} lacks {missing:?}");
            ensure!(offsets.last() < Some(&end), "partition {partition} goes beyond its end {end}");
        }
        let archived: usize = self.offsets.values().map(BTreeSet::len).sum();
        let sent: i64 = ends.iter().sum();
        ensure!(i64::try_from(archived)? == sent, "{archived} offsets archived of {sent}");
        Ok(())
    }
}

/// Every row of a table below a deployment's folder in the store, such as `views/v1/views`, as its files have them, in an order that follows
/// from the rows alone: of two tables with the same rows, in whatever files, they are equal.
///
/// # Errors
/// If there is no such table, or a file is missing.
pub fn sorted_rows(store: &Path, table: &str) -> Result<DataFrame> {
    let rows = rows(store.join(table), vec![col("*")])?;
    let columns = rows.get_column_names_owned();
    ensure!(!columns.is_empty(), "the table {table} has no rows");
    Ok(rows.sort(columns, SortMultipleOptions::default())?)
}

/// Columns of every row of a table.
fn rows(table: PathBuf, columns: Vec<Expr>) -> Result<DataFrame> {
    let read = move || -> Result<DataFrame> {
        // The value of a partition stands in the path as well, which says nothing of its type.
        let mut scanned = ScanArgsParquet::default();
        scanned.hive_options.enabled = Some(false);
        let mut all = DataFrame::empty();
        for file in active_files(&table)? {
            let path = PlRefPath::try_from_path(&table.join(&file))?;
            let frame = LazyFrame::scan_parquet(path, scanned.clone())?.select(&columns).collect()?;
            all = if all.width() == 0 { frame } else { all.vstack(&frame)? };
        }
        Ok(all)
    };
    // Polars brings a runtime of its own, which must not be entered from a test's.
    std::thread::spawn(read).join().expect("reading a table does not panic")
}

fn read_table(table: &Path) -> Result<Archive> {
    let mut archive = Archive::default();
    for file in active_files(table)? {
        let path = PlRefPath::try_from_path(&table.join(&file))?;
        // A mark of a stream and a delete of a table are no rejects; where there is no error, the comparison is null.
        let rejected = col("_error").neq(lit("mark")).and(col("_error").neq(lit("delete"))).alias("rejected");
        let columns = [col("_log"), col("_partition"), col("_offset"), rejected];
        let frame = LazyFrame::scan_parquet(path, ScanArgsParquet::default())?.select(columns).collect()?;
        for Place { log, partition, offsets } in places(&frame)? {
            let first = archive.offsets.entry((log.clone(), partition)).or_default().insert(offsets.start);
            ensure!(first, "({log}, {partition}, {}) is archived twice, once in {file}", offsets.start);
        }
        archive.rows += frame.height();
        archive.rejected += frame.column("rejected")?.bool()?.iter().filter(|rejected| *rejected == Some(true)).count();
    }
    Ok(archive)
}

/// Where the record of each row lies.
fn places(frame: &DataFrame) -> Result<Vec<Place>> {
    let text = |name| -> Result<_> { Ok(frame.column(name)?.cast(&DataType::String)?) };
    let (logs, partitions, offsets) = (text("_log")?, text("_partition")?, text("_offset")?);
    let (logs, partitions, offsets) = (logs.str()?, partitions.str()?, offsets.str()?);
    let place = |row| -> Result<Place> {
        let log = logs.get(row).context("a row without a log")?.to_owned();
        let partition = partitions.get(row).context("a row without a partition")?.parse()?;
        let offset: i64 = offsets.get(row).context("a row without an offset")?.parse()?;
        Ok(Place { log, partition, offsets: offset..offset + 1 })
    };
    (0..frame.height()).map(place).collect()
}

/// The files that the newest version of the table consists of.
fn active_files(table: &Path) -> Result<BTreeSet<String>> {
    let mut active = BTreeSet::new();
    for action in entries(table)?.into_iter().flatten() {
        let path = |kind: &str| action[kind]["path"].as_str().map(decoded).transpose();
        if let Some(path) = path("add")? {
            active.insert(path);
        }
        if let Some(path) = path("remove")? {
            active.remove(&path);
        }
    }
    Ok(active)
}

/// The entries of the table's log, each with its actions.
fn entries(table: &Path) -> Result<Vec<Vec<Value>>> {
    let mut entries = Vec::new();
    for version in 0.. {
        let path = table.join(format!("_delta_log/{version:020}.json"));
        if !path.exists() {
            ensure!(version > 0, "{path:?} is missing");
            break;
        }
        let actions = fs::read_to_string(path)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        entries.push(actions);
    }
    Ok(entries)
}

/// Paths in the log are percent-encoded.
fn decoded(path: &str) -> Result<String> {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).with_context(|| format!("a cut-off escape in {path:?}"))?;
        bytes.push(u8::from_str_radix(code, 16).with_context(|| format!("a wrong escape in {path:?}"))?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Ok(String::from_utf8(bytes)?)
}

/// The archive's table, where the contract puts it.
fn table_of(store: &Path, source: &str) -> Result<PathBuf> {
    let table = store.join("archive").join(source);
    ensure!(table.join("_delta_log").is_dir(), "no archive of {source} below {store:?}");
    Ok(table)
}
