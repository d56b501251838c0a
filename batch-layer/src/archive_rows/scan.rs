//! Events of the archive, read one row group at a time: of a large file only what may hold wanted events, and of that only the
//! fields that are asked for.

use std::collections::BTreeSet;

use platform::store::{DataFile, RowGroups, StoreError};
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ERROR, LOG, OFFSET, PARTITION, field_column};
use shared_logic::dedup::Place;
use shared_logic::log::OffsetRange;
use shared_logic::schema::Field as SourceField;
use storage::{Archive, Decoded};

use super::{may_hold, place_columns, within};
use crate::rows::{self, RowsError};

/// Which events are wanted, and what of them.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    /// The fields that are read, the event time among them.
    pub(crate) fields: Vec<&'a SourceField>,
    /// Where the records lie.
    pub(crate) ranges: &'a [OffsetRange],
    /// When the events happened; `None`: at any time.
    pub(crate) times: Option<&'a Times>,
}

/// Pieces of event time, all of one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Times {
    /// Where they start, microseconds since 1970.
    pub(crate) starts: BTreeSet<i64>,
    /// How long each is.
    pub(crate) length_us: i64,
}

impl Times {
    /// Whether the instant in that column lies inside.
    pub(crate) fn hold(&self, column: &str) -> Expr {
        let time = col(column).cast(DataType::Int64);
        let start = time.clone() - time % lit(self.length_us);
        let starts: Vec<i64> = self.starts.iter().copied().collect();
        start.is_in(lit(Series::new("starts".into(), starts)).implode(true), false)
    }

    /// Whether a file may hold rows whose instant in that column lies inside, by its statistics.
    pub(crate) fn may_lie_in(&self, file: &DataFile, column: &str) -> bool {
        let Some((low, high)) = file.ranges.get(column) else { return !self.starts.is_empty() };
        self.starts.range(..=high).next_back().is_some_and(|start| *low < start + self.length_us)
    }
}

/// Reads wanted events of files, one row group after the other.
pub(crate) struct Scan<'a> {
    archive: &'a Archive,
    event_time: &'a str,
    wanted: Wanted<'a>,
    /// The columns that the table declares.
    declared: Schema,
    /// The files that are not begun yet, the next one last.
    files: Vec<DataFile>,
    current: Option<Begun>,
    /// How many rows were read so far, wanted or not.
    pub(crate) rows_read: u64,
}

/// A file of which row groups are left.
struct Begun {
    groups: RowGroups,
    /// Which rows are wanted.
    filter: Expr,
    /// Places and fields, by the names of the fields.
    columns: Vec<Expr>,
}

impl<'a> Scan<'a> {
    /// Nothing is read yet. The files are those of [`files`](super::files).
    ///
    /// # Errors
    /// If the archive's log cannot be read.
    pub(crate) fn new(
        archive: &'a Archive,
        source: &'a Source,
        files: &[DataFile],
        wanted: Wanted<'a>,
    ) -> Result<Scan<'a>, StoreError> {
        let mut files: Vec<DataFile> = files.iter().filter(|file| may_hold(file, wanted.ranges)).cloned().collect();
        files.reverse();
        let (declared, event_time) = (archive.columns()?, source.event_time.as_str());
        Ok(Scan { archive, event_time, wanted, declared, files, current: None, rows_read: 0 })
    }

    /// The wanted events of the next row group, perhaps none: log, partition and offset, and the fields by their names. `None`
    /// after the last.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<DataFrame>, RowsError> {
        loop {
            if self.current.is_none() {
                let Some(file) = self.files.pop() else { return Ok(None) };
                self.current = Some(self.begin(&file).await?);
            }
            let Some(Begun { groups, filter, columns }) = &mut self.current else { return Ok(None) };
            if let Some(rows) = groups.next().await? {
                self.rows_read += rows.height() as u64;
                let events = rows.lazy().filter(filter.clone()).select(columns.clone());
                return rows::compute("read events", self.archive.path(), move || events.collect()).await.map(Some);
            }
            self.current = None;
        }
    }

    async fn begin(&self, file: &DataFile) -> Result<Begun, StoreError> {
        let is_decoded = Decoded::is_of(file);
        let name_of = |field: &SourceField| {
            if is_decoded { PlSmallStr::from(field.name.as_str()) } else { field_column(field, &self.declared) }
        };
        let (mut read, mut columns) = (place_columns(), [LOG, PARTITION, OFFSET].map(col).to_vec());
        let mut time: Option<PlSmallStr> = None;
        for field in &self.wanted.fields {
            let name = name_of(field);
            columns.push(col(name.clone()).alias(field.name.as_str()));
            read.with_column(name.clone(), field.kind.column_type());
            if field.name == self.event_time {
                time = Some(name);
            }
        }
        let of_file = |range: &&OffsetRange| may_hold(file, std::slice::from_ref(*range));
        let ranges: Vec<OffsetRange> = self.wanted.ranges.iter().filter(of_file).cloned().collect();
        let times = self.wanted.times.zip(time.as_deref());
        let is_wanted = |group: &DataFile| {
            may_hold(group, &ranges) && times.is_none_or(|(times, column)| times.may_lie_in(group, column))
        };
        let groups = self.archive.row_groups(file, &read, is_wanted).await?;
        let filter = col(ERROR).is_null().and(within(&ranges));
        let filter = times.into_iter().fold(filter, |filter, (times, column)| filter.and(times.hold(column)));
        Ok(Begun { groups, filter, columns })
    }
}

/// The places of rows that [`Scan`] has read. `logs` are in the order in which the archive first saw them.
///
/// # Errors
/// If a column has another type.
pub(crate) fn places(rows: &DataFrame, logs: &[String]) -> PolarsResult<Vec<Place>> {
    let (log, partition, offset) =
        (rows.column(LOG)?.str()?, rows.column(PARTITION)?.i32()?, rows.column(OFFSET)?.i64()?);
    let number = |log: &str| logs.iter().position(|known| known == log).map_or(u32::MAX, |number| number as u32);
    let mut last: Option<(&str, u32)> = None;
    let mut places = Vec::with_capacity(rows.height());
    for ((log, partition), offset) in log.iter().zip(partition.iter()).zip(offset.iter()) {
        let name = log.unwrap_or_default();
        // Rows of one log lie together.
        let log = last.filter(|(same, _)| *same == name).map_or_else(|| number(name), |(_, number)| number);
        last = Some((name, log));
        places.push(Place { log, partition: partition.unwrap_or_default(), offset: offset.unwrap_or_default() });
    }
    Ok(places)
}
