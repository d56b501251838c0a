//! Events of the archive, read one row group at a time: of a large file only what may hold wanted events, and of that only the
//! fields that are asked for.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use futures::future::try_join_all;
use platform::store::{DataFile, GroupReader, StoreError};
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ERROR, LOG, OFFSET, PARTITION, field_column};
use shared_logic::dedup::Place;
use shared_logic::log::OffsetRange;
use shared_logic::schema::Field as SourceField;
use shared_logic::time::bucket_start;
use storage::{Archive, Decoded};
use tokio_util::task::AbortOnDropHandle;

use super::{Ranges, may_hold, place_columns};

/// How many row groups are read at a time. Each of them may use several processors.
const AHEAD: usize = 4;
/// How many files are opened at a time, if all of them have at most so many bytes together. Of a day's thousands of small ones, each would
/// wait for the store by itself.
const OPENED: (usize, i64) = (16, 4 << 20);

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
    /// Whether each of these instants lies inside.
    pub(crate) fn hold(&self, instants: &Int64Chunked) -> BooleanChunked {
        // Instants of one piece lie together, so most of them need no search.
        let mut last: Option<(i64, bool)> = None;
        let mut is_inside = |instant: i64| {
            let known = last.filter(|(start, _)| (0..self.length_us).contains(&instant.wrapping_sub(*start)));
            let (start, is_inside) = known.unwrap_or_else(|| {
                let start = bucket_start(instant, self.length_us);
                (start, self.starts.contains(&start))
            });
            last = Some((start, is_inside));
            is_inside
        };
        instants.iter().map(|instant| instant.is_some_and(&mut is_inside)).collect()
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
    groups: VecDeque<(GroupReader, Arc<Events>)>,
    ahead: VecDeque<AbortOnDropHandle<Result<T, StoreError>>>,
    /// How many rows were read so far, wanted or not.
    pub(crate) rows_read: u64,
}

/// Which rows of a file are wanted, and how they become events.
struct Events {
    ranges: Ranges,
    /// The column of the event time, and when events happened.
    times: Option<(PlSmallStr, Times)>,
    /// Columns of rows, and their names in events.
    columns: Vec<(PlSmallStr, PlSmallStr)>,
}

impl Events {
    /// The wanted events among rows.
    fn among(&self, rows: &DataFrame) -> PolarsResult<DataFrame> {
        let mut wanted = self.ranges.hold(rows.column(LOG)?, rows.column(PARTITION)?, rows.column(OFFSET)?)?;
        wanted = wanted & rows.column(ERROR)?.is_null();
        if let Some((column, times)) = &self.times {
            wanted = wanted & times.hold(rows.column(column)?.i64()?);
        }
        let column = |(name, to): &(PlSmallStr, PlSmallStr)| Ok(rows.column(name)?.clone().with_name(to.clone()));
        let columns = self.columns.iter().map(column).collect::<PolarsResult<Vec<Column>>>()?;
        let events = DataFrame::new(rows.height(), columns)?;
        // Of most groups, every row is.
        if wanted.all() { Ok(events) } else { events.filter(&wanted) }
    }
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
            let Some((group, events)) = self.next_group().await? else { break };
            self.rows_read += group.rows() as u64;
            let then = Arc::clone(&self.then);
            let read = group.read(move |rows| then(events.among(&rows)?));
            self.ahead.push_back(AbortOnDropHandle::new(tokio::spawn(read)));
        }
        match self.ahead.pop_front() {
            Some(read) => platform::task::joined(read.await).map(Some),
            None => Ok(None),
        }
    }

    async fn next_group(&mut self) -> Result<Option<(GroupReader, Arc<Events>)>, StoreError> {
        while self.groups.is_empty() {
            let next = self.files.split_off(self.files.len() - opened_next(&self.files));
            if next.is_empty() {
                return Ok(None);
            }
            let opened = try_join_all(next.iter().rev().map(|file| self.begin(file))).await?;
            for (groups, events) in opened {
                let events = Arc::new(events);
                self.groups.extend(groups.into_iter().map(|group| (group, Arc::clone(&events))));
            }
        }
        Ok(self.groups.pop_front())
    }

    async fn begin(&self, file: &DataFile) -> Result<(Vec<GroupReader>, Events), StoreError> {
        let is_decoded = Decoded::is_of(file);
        let name_of = |field: &SourceField| {
            if is_decoded { PlSmallStr::from(field.name.as_str()) } else { field_column(field, &self.declared) }
        };
        let places = [LOG, PARTITION, OFFSET].map(PlSmallStr::from);
        let (mut read, mut columns) = (place_columns(), places.map(|name| (name.clone(), name)).to_vec());
        let mut time: Option<PlSmallStr> = None;
        for field in &self.wanted.fields {
            let name = name_of(field);
            columns.push((name.clone(), field.name.as_str().into()));
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
        let times = times.map(|(times, column)| (column.into(), times.clone()));
        Ok((groups, Events { ranges: Ranges::new(&ranges), times, columns }))
    }
}

/// How many of the last of these files are opened together: one, if there is any, and further ones as far as all are small.
fn opened_next(files: &[DataFile]) -> usize {
    let (files_max, mut left) = OPENED;
    let fits = |(at, file): &(usize, &DataFile)| {
        left = left.saturating_sub(file.size);
        *at == 0 || left > 0
    };
    files.iter().rev().take(files_max).enumerate().take_while(fits).count()
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

#[cfg(test)]
mod tests {
    use test_kit::Dice;

    use super::*;

    #[test]
    fn small_files_are_opened_together_and_a_large_one_alone() {
        let files = |sizes: &[i64]| -> Vec<DataFile> {
            sizes.iter().map(|size| DataFile { size: *size, ..DataFile::default() }).collect()
        };
        let (most, bytes) = OPENED;
        assert_eq!(opened_next(&[]), 0);
        assert_eq!(opened_next(&files(&[1, 1, 1])), 3);
        assert_eq!(opened_next(&files(&vec![1; 2 * most])), most);
        assert_eq!(opened_next(&files(&[1, bytes])), 1, "the last one comes first");
        assert_eq!(opened_next(&files(&[bytes, bytes, 1])), 1);
        assert_eq!(opened_next(&files(&[bytes / 2, bytes / 4, bytes / 4])), 2);
    }

    #[test]
    fn an_instant_lies_inside_if_the_piece_that_it_begins_with_is_named() {
        for seed in 1..100 {
            let mut dice = Dice::new(seed);
            let length_us = *dice.pick(&[1, 7, 60]);
            let starts = (0..dice.below(6)).map(|_| bucket_start(dice.between(-200, 200), length_us)).collect();
            let times = Times { starts, length_us };
            let instants: Vec<Option<i64>> =
                (0..40).map(|_| Some(dice.between(-200, 200)).filter(|_| !dice.chance(5))).collect();
            let found: Vec<bool> = times.hold(&instants.iter().copied().collect()).iter().flatten().collect();
            let expected: Vec<bool> = instants
                .iter()
                .map(|instant| instant.is_some_and(|instant| times.starts.contains(&bucket_start(instant, length_us))))
                .collect();
            assert_eq!(found, expected, "seed {seed}: {times:?}");
        }
    }
}
