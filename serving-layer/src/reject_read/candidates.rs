//! Which rows of an archive are rejects, and the newest of them.

use std::collections::{BTreeMap, BTreeSet};

use platform::store::{DataFile, GroupReader, StoreError};
use polars::prelude::*;
use shared_logic::contracts::archive::{ERROR, LOG, OFFSET, PARTITION, TIMESTAMP, is_reject};
use shared_logic::rejection::Reason;

use super::{RejectedRecord, shown};

/// Where a record lies, in the order of their age: an older one is less.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    day: String,
    timestamp_us: Option<i64>,
    log: String,
    partition: i32,
    offset: i64,
}

/// Which rows of a row group are wanted.
pub(super) struct Wanted {
    /// The day of its file.
    pub(super) day: String,
    pub(super) reason: Option<Reason>,
    pub(super) limit: usize,
}

/// The newest rejects of a row group: their rows, and why they were rejected.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    newest: BTreeMap<Place, (usize, String)>,
    /// Whether there are older ones.
    has_more: bool,
}

/// The newest rejects of all that were looked at.
pub(super) struct Newest {
    limit: usize,
    records: BTreeMap<Place, Found>,
    /// The row groups in which they lie.
    groups: BTreeMap<usize, GroupReader>,
    looked_at: usize,
    pub(super) has_more: bool,
}

struct Found {
    group: usize,
    row: usize,
    error: String,
    is_of_these_rules: bool,
}

/// The columns that decide which rows are wanted.
pub(super) fn columns() -> Schema {
    let columns = [
        (LOG, DataType::String),
        (PARTITION, DataType::Int32),
        (OFFSET, DataType::Int64),
        (TIMESTAMP, DataType::Int64),
        (ERROR, DataType::String),
    ];
    columns.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype)).collect()
}

/// The newest rejects of a frame of [`columns`].
///
/// # Errors
/// If a column has another type.
pub(super) fn of(rows: &DataFrame, wanted: &Wanted) -> PolarsResult<Candidates> {
    let (log, error) = (rows.column(LOG)?.str()?, rows.column(ERROR)?.str()?);
    let (partition, offset) = (rows.column(PARTITION)?.i32()?, rows.column(OFFSET)?.i64()?);
    let timestamp = rows.column(TIMESTAMP)?.i64()?;
    let mut found = Candidates::default();
    for row in 0..rows.height() {
        let Some(why) = error.get(row).filter(|why| is_wanted(why, wanted.reason)) else { continue };
        let place = Place {
            day: wanted.day.clone(),
            timestamp_us: timestamp.get(row),
            log: log.get(row).unwrap_or_default().to_owned(),
            partition: partition.get(row).unwrap_or_default(),
            offset: offset.get(row).unwrap_or_default(),
        };
        found.newest.insert(place, (row, why.to_owned()));
        while found.newest.len() > wanted.limit {
            found.newest.pop_first();
            found.has_more = true;
        }
    }
    Ok(found)
}

fn is_wanted(error: &str, reason: Option<Reason>) -> bool {
    let name = error.split_once(':').map_or(error, |(name, _)| name);
    is_reject(name) && reason.is_none_or(|reason| reason.name() == name)
}

impl Newest {
    /// So many at most. Nothing was looked at yet.
    pub(super) fn new(limit: usize) -> Newest {
        Newest { limit, records: BTreeMap::new(), groups: BTreeMap::new(), looked_at: 0, has_more: false }
    }

    /// Whether a record has to be newer than one of these to be taken.
    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= self.limit
    }

    /// Whether a record of that day may be taken.
    pub(super) fn may_take_of_day(&self, day: &str) -> bool {
        self.oldest().is_none_or(|oldest| day >= oldest.day.as_str())
    }

    /// Whether a part of a file may hold a record that is taken.
    pub(super) fn may_take_of(&self, part: &DataFile) -> bool {
        let Some(oldest) = self.oldest().filter(|oldest| oldest.day == part.partition) else { return true };
        let newest_us = part.ranges.get(TIMESTAMP).map(|(_, newest_us)| *newest_us);
        newest_us.is_none_or(|newest_us| Some(newest_us) >= oldest.timestamp_us)
    }

    /// The oldest one, if there are as many as are wanted.
    fn oldest(&self) -> Option<&Place> {
        self.records.keys().next().filter(|_| self.is_full())
    }

    /// Takes those of a row group that are newer than what there is. `whole` reads the bytes of the group.
    pub(super) fn take(&mut self, found: Candidates, whole: GroupReader, is_of_these_rules: bool) {
        let group = self.looked_at;
        self.looked_at += 1;
        self.has_more |= found.has_more;
        let records = found.newest.into_iter();
        self.records
            .extend(records.map(|(place, (row, error))| (place, Found { group, row, error, is_of_these_rules })));
        while self.records.len() > self.limit {
            self.records.pop_first();
            self.has_more = true;
        }
        self.groups.insert(group, whole);
        let used: BTreeSet<usize> = self.records.values().map(|found| found.group).collect();
        self.groups.retain(|group, _| used.contains(group));
    }

    /// The records with their bytes, the newest first.
    ///
    /// # Errors
    /// If a row group cannot be read.
    pub(super) async fn into_records(self) -> Result<Vec<RejectedRecord>, StoreError> {
        let mut bytes = BTreeMap::new();
        for (group, reader) in self.groups {
            let of_group = self.records.values().filter(|found| found.group == group);
            let rows: Vec<usize> = of_group.map(|found| found.row).collect();
            let read = reader.read(move |frame| shown::of_rows(&frame, &rows)).await?;
            bytes.extend(read.into_iter().map(|(row, shown)| ((group, row), shown)));
        }
        let record = |(place, found): (Place, Found)| {
            let (key, payload) = bytes.remove(&(found.group, found.row)).unwrap_or_default();
            let Place { timestamp_us, log, partition, offset, .. } = place;
            let Found { error, is_of_these_rules, .. } = found;
            RejectedRecord { log, partition, offset, timestamp_us, error, is_of_these_rules, key, payload }
        };
        Ok(self.records.into_iter().rev().map(record).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(rows: &[(i64, Option<i64>, Option<&str>)], reason: Option<Reason>, limit: usize) -> (Vec<i64>, bool) {
        let count = rows.len();
        let frame = df!(
            LOG => vec!["log"; count],
            PARTITION => vec![0_i32; count],
            OFFSET => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
            TIMESTAMP => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
            ERROR => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
        );
        let wanted = Wanted { day: "2026-04-24".to_owned(), reason, limit };
        let found = of(&frame.expect("a frame"), &wanted).expect("columns");
        (found.newest.keys().rev().map(|place| place.offset).collect(), found.has_more)
    }

    #[test]
    fn the_newest_rejects_are_found_and_nothing_that_is_none() {
        let rows = [
            (0, Some(5), Some("not_json")),
            (1, Some(9), Some("missing_field:at")),
            (2, Some(10), None),
            (3, Some(11), Some("mark")),
            (4, Some(12), Some("erased")),
            (5, Some(13), Some("delete")),
            (6, None, Some("not_json")),
            (7, Some(5), Some("not_json")),
        ];
        assert_eq!(group(&rows, None, 9), (vec![1, 7, 0, 6], false));
        assert_eq!(group(&rows, None, 2), (vec![1, 7], true));
        assert_eq!(group(&rows, Some(Reason::MissingField), 9), (vec![1], false));
        assert_eq!(group(&rows, Some(Reason::WrongType), 9), (vec![], false));
    }

    #[test]
    fn what_is_older_than_all_that_are_wanted_is_not_looked_at() {
        let place = |day: &str, timestamp_us| Place {
            day: day.to_owned(),
            timestamp_us,
            log: "log".to_owned(),
            partition: 0,
            offset: 0,
        };
        let found = || Found { group: 0, row: 0, error: "empty".to_owned(), is_of_these_rules: true };
        let mut newest = Newest::new(2);
        newest.records.insert(place("2026-04-24", Some(7)), found());
        assert!(newest.may_take_of_day("2026-04-23"), "there is room");
        newest.records.insert(place("2026-04-25", Some(9)), found());
        assert!(newest.may_take_of_day("2026-04-24") && !newest.may_take_of_day("2026-04-23"));
    }
}
