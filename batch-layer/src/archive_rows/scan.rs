//! Events of the archive, read one row group at a time: of a large file only what may hold wanted events, and of that only the
//! fields that are asked for.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use platform::store::{DataFile, GroupReader, StoreError};
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ERROR, LOG, OFFSET, PARTITION, field_column};
use shared_logic::dedup::Place;
use shared_logic::log::OffsetRange;
use shared_logic::schema::Field as SourceField;
use storage::{Archive, Decoded};
use tokio_util::task::AbortOnDropHandle;

use super::{may_hold, place_columns, within};

/// How many row groups are read at a time. Each of them may use several processors.
const AHEAD: usize = 4;

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

/// Reads wanted events of files, a row group at a time, and makes a `T` of those of each group. A few groups are read ahead, so
/// that no processor waits for another.
pub(crate) struct Scan<'a, T> {
    archive: &'a Archive,
    event_time: &'a str,
    wanted: Wanted<'a>,
    /// What is made of the events of a group: log, partition and offset, and the fields by their names.
    then: Arc<dyn Fn(DataFrame) -> PolarsResult<T> + Send + Sync>,
    /// The columns that the table declares.
    declared: Schema,
    /// The files that are not begun yet, the next one last.
    files: Vec<DataFile>,
    /// The groups of the file that is begun.
    groups: VecDeque<(GroupReader, Events)>,
    ahead: VecDeque<AbortOnDropHandle<Result<T, StoreError>>>,
    /// How many rows were read so far, wanted or not.
    pub(crate) rows_read: u64,
}

/// Which rows of a file are wanted, and how they become events.
#[derive(Clone)]
struct Events {
    filter: Expr,
    columns: Vec<Expr>,
}

impl<'a, T: Send + 'static> Scan<'a, T> {
    /// Nothing is read yet. The files are those of [`files`](super::files).
    ///
    /// # Errors
    /// If the archive's log cannot be read.
    pub(crate) fn new(
        archive: &'a Archive,
        source: &'a Source,
        files: &[DataFile],
        wanted: Wanted<'a>,
        then: impl Fn(DataFrame) -> PolarsResult<T> + Send + Sync + 'static,
    ) -> Result<Scan<'a, T>, StoreError> {
        let mut files: Vec<DataFile> = files.iter().filter(|file| may_hold(file, wanted.ranges)).cloned().collect();
        files.reverse();
        Ok(Scan {
            archive,
            event_time: &source.event_time,
            wanted,
            then: Arc::new(then),
            declared: archive.columns()?,
            files,
            groups: VecDeque::new(),
            ahead: VecDeque::new(),
            rows_read: 0,
        })
    }

    /// What was made of the events of the next row group, of which there may be none; `None` after the last group.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, StoreError> {
        while self.ahead.len() < AHEAD {
            let Some((group, Events { filter, columns })) = self.next_group().await? else { break };
            self.rows_read += group.rows() as u64;
            let then = Arc::clone(&self.then);
            let read = group.read(move |rows| then(rows.lazy().filter(filter).select(columns).collect()?));
            self.ahead.push_back(AbortOnDropHandle::new(tokio::spawn(read)));
        }
        match self.ahead.pop_front() {
            Some(read) => platform::task::joined(read.await).map(Some),
            None => Ok(None),
        }
    }

    async fn next_group(&mut self) -> Result<Option<(GroupReader, Events)>, StoreError> {
        while self.groups.is_empty() {
            let Some(file) = self.files.pop() else { return Ok(None) };
            let (groups, events) = self.begin(&file).await?;
            self.groups.extend(groups.into_iter().map(|group| (group, events.clone())));
        }
        Ok(self.groups.pop_front())
    }

    async fn begin(&self, file: &DataFile) -> Result<(Vec<GroupReader>, Events), StoreError> {
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
        let is_wanted = |part: &DataFile| {
            may_hold(part, &ranges) && times.is_none_or(|(times, column)| times.may_lie_in(part, column))
        };
        let groups = if is_wanted(file) { self.archive.row_groups(file, &read, is_wanted).await? } else { Vec::new() };
        let filter = col(ERROR).is_null().and(within(&ranges));
        let filter = times.into_iter().fold(filter, |filter, (times, column)| filter.and(times.hold(column)));
        Ok((groups, Events { filter, columns }))
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
