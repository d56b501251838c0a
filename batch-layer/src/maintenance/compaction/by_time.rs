//! Files of a day → files in the order of event time, with little of them in memory.
//!
//! The event times of all rows are read first, and the day is divided into slices of about one row group. Then the rows of each slice
//! are read, sorted and encoded. A file tells by its statistics which slices it may have rows of: one that was committed on time has
//! those of one or two. Records without an event time, which are invalid or erased, come first.

use std::collections::BTreeMap;
use std::ops::Range;

use platform::store::{DataFile, RowGroups, StoreError};
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{LOG, OFFSET, PARTITION, RULES};
use shared_logic::time::{SECOND_US, bucket_start};
use storage::Archive;

use crate::archive_rows::{event_time_column, hashes, ranged};
use crate::rows::{self, RowsError};

/// About so many rows are sorted at a time and become one row group.
const GROUP_ROWS: u64 = 131_072;
/// As exactly are event times counted.
const COUNTED_US: i64 = 10 * SECOND_US;

/// How large a file may become: it ends with the row group that reaches one of both.
#[derive(Debug, Clone, Copy)]
pub(in crate::maintenance) struct Target {
    pub(in crate::maintenance) rows: u64,
    /// They are in memory until the file is written.
    pub(in crate::maintenance) bytes: u64,
}

/// When the rows of some files happened.
#[derive(Debug, Default)]
struct EventTimes {
    /// How many rows each piece of time has, by its start.
    rows: BTreeMap<i64, u64>,
    /// The files with rows that have no event time.
    without: Vec<DataFile>,
}

/// Writes the rows of these files, which are of one day and of the source's rules, into new files. They belong to the archive once
/// they are committed.
///
/// # Errors
/// If a file cannot be read or written, or the new files have more or fewer rows.
pub(super) async fn merged(
    archive: &Archive,
    source: &Source,
    day: &str,
    files: &[DataFile],
    target: Target,
) -> Result<Vec<DataFile>, RowsError> {
    // Every column that the table has: some files hold values of fields that the catalog no longer declares.
    let columns = archive.columns()?;
    let event_time = event_time_column(source, Some(&columns));
    let times = event_times(archive, &event_time, files).await?;
    let rules = source.rules().to_string();
    let mut sorted = Sorted { archive, day, columns, event_time, rules, target, files: Vec::new(), group: None };
    sorted.add(None, &times.without).await?;
    for slice in slices(&times.rows) {
        let may_hold = |file: &&DataFile| file.may_hold(&sorted.event_time, slice.start, slice.end - 1);
        let of_slice: Vec<DataFile> = files.iter().filter(may_hold).cloned().collect();
        sorted.add(Some(slice), &of_slice).await?;
    }
    let merged = sorted.written().await?;
    let rows = |files: &[DataFile]| files.iter().map(|file| file.rows).sum::<u64>();
    if rows(&merged) != rows(files) {
        let what =
            format!("files of {day} whose statistics do not fit their rows: {} of {}", rows(&merged), rows(files));
        return Err(StoreError::Foreign { table: archive.path().to_owned(), what }.into());
    }
    Ok(merged)
}

/// Reads when the rows happened.
async fn event_times(archive: &Archive, event_time: &str, files: &[DataFile]) -> Result<EventTimes, RowsError> {
    let columns: Schema = [Field::new(event_time.into(), DataType::Int64)].into_iter().collect();
    let mut times = EventTimes::default();
    for file in files {
        let mut without = 0;
        for group in archive.row_groups(file, &columns, |_| true).await? {
            let name = event_time.to_owned();
            let count = move |rows: DataFrame| {
                let (mut counts, mut without) = (BTreeMap::<i64, u64>::new(), 0_u64);
                for time in rows.column(&name)?.i64()?.iter() {
                    match time {
                        Some(time) => *counts.entry(bucket_start(time, COUNTED_US)).or_default() += 1,
                        None => without += 1,
                    }
                }
                Ok((counts, without))
            };
            let (counts, of_group) = group.read(count).await?;
            without += of_group;
            for (start, rows) in counts {
                *times.rows.entry(start).or_default() += rows;
            }
        }
        if without > 0 {
            times.without.push(file.clone());
        }
    }
    Ok(times)
}

/// Ranges of event time with about [`GROUP_ROWS`] rows each, in order.
fn slices(rows: &BTreeMap<i64, u64>) -> Vec<Range<i64>> {
    let (mut slices, mut in_last): (Vec<Range<i64>>, u64) = (Vec::new(), 0);
    for (start, rows) in rows {
        match slices.last_mut().filter(|_| in_last + rows <= GROUP_ROWS) {
            Some(last) => {
                last.end = start + COUNTED_US;
                in_last += rows;
            }
            None => {
                slices.push(*start..start + COUNTED_US);
                in_last = *rows;
            }
        }
    }
    slices
}

/// Files that are being written.
struct Sorted<'a> {
    archive: &'a Archive,
    day: &'a str,
    columns: Schema,
    event_time: PlSmallStr,
    rules: String,
    target: Target,
    /// Those that are written.
    files: Vec<DataFile>,
    /// The row groups of the one that is not.
    group: Option<RowGroups>,
}

impl Sorted<'_> {
    /// Adds the rows of files that happened in that slice; `None`: those without an event time. More than a row group of them are
    /// added in several, each sorted.
    async fn add(&mut self, slice: Option<Range<i64>>, files: &[DataFile]) -> Result<(), RowsError> {
        let (mut frames, mut rows) = (Vec::new(), 0);
        for file in files {
            let may_hold = |part: &DataFile| {
                slice.as_ref().is_none_or(|slice| part.may_hold(&self.event_time, slice.start, slice.end - 1))
            };
            for group in self.archive.row_groups(file, &self.columns, may_hold).await? {
                let filter = within(&self.event_time, slice.as_ref());
                let frame = group.read(move |rows| rows.lazy().filter(filter).collect()).await?;
                rows += frame.height() as u64;
                frames.push(frame);
                if rows >= GROUP_ROWS {
                    self.push(std::mem::take(&mut frames)).await?;
                    rows = 0;
                }
            }
        }
        self.push(frames).await
    }

    /// Sorts these rows and encodes them as a row group.
    async fn push(&mut self, frames: Vec<DataFrame>) -> Result<(), RowsError> {
        if frames.iter().all(|frame| frame.height() == 0) {
            return Ok(());
        }
        let mut group = match self.group.take() {
            Some(group) => group,
            None => RowGroups::new(&self.columns, &ranged(&self.event_time)).map_err(|source| self.failed(source))?,
        };
        let (event_time, rules) = (self.event_time.clone(), self.rules.clone());
        let add = move || {
            let frames: Vec<LazyFrame> = frames.into_iter().map(DataFrame::lazy).collect();
            let rows = concat(frames, UnionArgs::default())?;
            let rows = rows.with_column(col(RULES).fill_null(lit(rules)));
            let order = [event_time, LOG.into(), PARTITION.into(), OFFSET.into()];
            let rows = rows.sort(order, SortMultipleOptions::default().with_maintain_order(true));
            group.push(hashes::filled(rows.collect()?)?)?;
            Ok(group)
        };
        let group = rows::compute("merge files", self.archive.path(), add).await?;
        let is_full = group.rows() >= self.target.rows || group.bytes() as u64 >= self.target.bytes;
        self.group = Some(group);
        if is_full { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), RowsError> {
        if let Some(group) = self.group.take() {
            self.files.push(self.archive.write_groups(self.day, group).await?);
        }
        Ok(())
    }

    async fn written(mut self) -> Result<Vec<DataFile>, RowsError> {
        self.write().await?;
        Ok(self.files)
    }

    fn failed(&self, source: PolarsError) -> StoreError {
        StoreError::Frame { operation: "merge files", table: self.archive.path().to_owned(), source }
    }
}

/// Whether a row happened in that slice; `None`: whether it has no event time.
fn within(event_time: &str, slice: Option<&Range<i64>>) -> Expr {
    let Some(slice) = slice else { return col(event_time).is_null() };
    let time = col(event_time).cast(DataType::Int64);
    time.clone().gt_eq(lit(slice.start)).and(time.lt(lit(slice.end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_each_other_and_have_about_a_row_group_each() {
        let rows: BTreeMap<i64, u64> =
            [(0, 100_000), (1, 31_072), (2, 1), (5, 200_000), (6, 7)].map(|(at, rows)| (at * COUNTED_US, rows)).into();
        let expected = [0..2, 2..3, 5..6, 6..7].map(|slice| slice.start * COUNTED_US..slice.end * COUNTED_US);
        assert_eq!(slices(&rows), expected);
    }
}
