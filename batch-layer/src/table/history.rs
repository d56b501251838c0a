//! The changes of a table in memory, so that what was looked up in it can be found again (B4).
//!
//! An output says as of which cursors it has looked. Of changes below the least of these only the last one of each key in each partition
//! matters, so that is kept, and every change from there on.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use platform::store::StoreError;
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ERROR, KEY, LOG, OFFSET, PARTITION, TIMESTAMP};
use shared_logic::contracts::table::declared;
use shared_logic::decode::RecordKey;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::schema::FieldType;
use shared_logic::stream::Seen;
use shared_logic::table::{ChangeAt, LogOrder, Row, RowValue, decides};
use storage::Storage;

use super::TableError;
use super::held::Held;
use super::shape::{OF_RECORDS, is_change};
use crate::archive_rows::picked::Picked;
use crate::archive_rows::{may_hold, within};
use crate::rows::RowsError;

/// What a change takes in memory besides its texts, about.
const CHANGE_BYTES: usize = 128;

/// Per partition, the least and the greatest of the cursors as of which rows are asked for.
pub(crate) type Cursors = BTreeMap<PartitionId, Range<i64>>;

/// Changes of a table.
#[derive(Debug)]
pub(crate) struct History {
    /// The version of the archive that was read; `None`: nothing is archived.
    archive_version: Option<u64>,
    ids: Vec<PartitionId>,
    /// Per partition, the first offset that is not archived.
    archived: Offsets,
    logs: LogOrder,
    changes: HashMap<String, OfKey>,
    bytes: usize,
}

/// The changes of a key.
#[derive(Debug, Default)]
struct OfKey {
    /// Once all are read, in the order of partition and offset.
    changes: Vec<Known>,
    /// Until then, of those below the least cursors the last one of each partition.
    before: Vec<Known>,
}

/// A change of a key.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    /// Which of the partitions.
    id: u32,
    offset: i64,
    timestamp_us: i64,
    /// The least timestamp of this change of its key and those behind it in its partition, once all are read.
    least_us: i64,
    /// Without the fields that nobody takes.
    row: Option<Row>,
}

/// The row of a key, and when it was changed last, microseconds since 1970.
pub(crate) type RowAt<'a> = (&'a Row, i64);

/// Why rows cannot be found again.
#[derive(Debug, thiserror::Error)]
pub enum NotFoundAgain {
    /// Changes of the table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// They do not fit into memory.
    #[error("the changes of table `{table}` take more than {bytes} bytes; see the setting reconcile.memory")]
    TooMany {
        /// The table's name.
        table: String,
        /// How much they may take.
        bytes: usize,
    },
    /// An output has looked further than the archive reaches.
    #[error(
        "an output has seen the changes of {id} below {cursor}, and the archive holds those below {archived}: `batch-layer archive` has to \
         catch up; if the archive was restored from a backup, `braid lost list` names what it lacks"
    )]
    NotArchived {
        /// The partition.
        id: PartitionId,
        /// As of which cursor.
        cursor: i64,
        /// The first offset that is not archived.
        archived: i64,
    },
}

impl From<RowsError> for NotFoundAgain {
    fn from(error: RowsError) -> NotFoundAgain {
        NotFoundAgain::Table(error.into())
    }
}

impl From<StoreError> for NotFoundAgain {
    fn from(error: StoreError) -> NotFoundAgain {
        RowsError::from(error).into()
    }
}

impl History {
    /// Reads the archived changes that matter for rows as of these cursors; all of them if `cursors` is `None`. Of rows, only the fields
    /// at the places in `taken` are kept. About `memory` bytes of them are in memory.
    ///
    /// # Errors
    /// [`NotFoundAgain`].
    pub(crate) async fn load(
        storage: &Storage,
        source: &Source,
        taken: &BTreeSet<usize>,
        cursors: Option<&Cursors>,
        memory: usize,
    ) -> Result<History, NotFoundAgain> {
        let Some(held) = Held::open(storage, source).await? else { return Ok(History::of_nothing()) };
        let ranges: Vec<OffsetRange> = held
            .facts
            .partitions()
            .map(|(id, known)| {
                let most = cursors.map_or(known.next, |cursors| cursors.get(&id).map_or(i64::MIN, |range| range.end));
                OffsetRange { id, from: i64::MIN, to: most.min(known.next) }
            })
            .filter(|range| range.from < range.to)
            .collect();
        let mut history = History {
            archive_version: Some(held.archive.version()),
            ids: ranges.iter().map(|range| range.id.clone()).collect(),
            archived: held.next(),
            logs: held.logs.clone(),
            ..History::of_nothing()
        };
        let least: Vec<i64> = history
            .ids
            .iter()
            .map(|id| cursors.and_then(|cursors| cursors.get(id)).map_or(i64::MIN, |range| range.start))
            .collect();
        let reader = Reader::new(source, taken, &history.ids);
        let picked = Picked::new(&held.archive, source, &OF_RECORDS, |name| reader.reads(name))?;
        for file in held.files.iter().filter(|file| may_hold(file, &ranges)) {
            for group in picked.groups(file, |part| may_hold(part, &ranges)).await? {
                let reader = reader.clone();
                let changes = group.read(is_change().and(within(&ranges)), move |rows| reader.changes(&rows)).await?;
                changes.into_iter().for_each(|(key, change)| history.add(key, change, &least));
                if history.bytes > memory {
                    return Err(NotFoundAgain::TooMany { table: source.name.clone(), bytes: memory });
                }
            }
        }
        Ok(history.in_order())
    }

    fn of_nothing() -> History {
        History {
            archive_version: None,
            ids: Vec::new(),
            archived: Offsets::default(),
            logs: LogOrder::default(),
            changes: HashMap::new(),
            bytes: 0,
        }
    }

    /// The version of the archive from which changes were read; `None`: nothing was archived.
    pub(crate) fn archive_version(&self) -> Option<u64> {
        self.archive_version
    }

    /// Adds a change. Below the least cursor, the last one of its partition is enough.
    fn add(&mut self, key: String, change: Known, least: &[i64]) {
        let of_least = least.get(change.id as usize).copied().unwrap_or(i64::MIN);
        let OfKey { changes, before } = match self.changes.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                self.bytes += new.key().len();
                new.insert(OfKey::default())
            }
        };
        if change.offset >= of_least {
            self.bytes += change.bytes();
            changes.push(change);
            return;
        }
        match before.iter_mut().find(|known| known.id == change.id) {
            Some(known) if known.offset >= change.offset => {}
            Some(known) => {
                self.bytes = self.bytes + change.bytes() - known.bytes();
                *known = change;
            }
            None => {
                self.bytes += change.bytes();
                before.push(change);
            }
        }
    }

    /// The same, once all changes are read.
    fn in_order(mut self) -> History {
        for OfKey { changes, before } in self.changes.values_mut() {
            changes.append(before);
            changes.sort_unstable_by_key(|change| (change.id, change.offset));
            let mut behind: Option<(u32, i64)> = None;
            for change in changes.iter_mut().rev() {
                let least = behind.filter(|(id, _)| *id == change.id).map_or(i64::MAX, |(_, least)| least);
                change.least_us = change.timestamp_us.min(least);
                behind = Some((change.id, change.least_us));
            }
        }
        self
    }

    /// The row of a key as of what an output has seen; `None` if there is none.
    ///
    /// # Errors
    /// If that lies beyond what is archived.
    pub(crate) fn row(&self, key: &str, seen: &Seen) -> Result<Option<RowAt<'_>>, NotFoundAgain> {
        let mut lasts = Vec::with_capacity(seen.0.len());
        for (id, cursor) in &seen.0 {
            let archived = self.archived.get(id).unwrap_or_default();
            if *cursor > archived {
                return Err(NotFoundAgain::NotArchived { id: id.clone(), cursor: *cursor, archived });
            }
            let Some(number) = self.ids.iter().position(|known| known == id) else { continue };
            let changes = self.of_partition(key, number);
            lasts.extend(changes[..changes.partition_point(|change| change.offset < *cursor)].last());
        }
        Ok(self.decided(&lasts))
    }

    /// The row of a key at a moment, microseconds since 1970: of each partition, the last change of the key that has no later timestamp
    /// matters. And what an output would say of that: where no change is named, it is behind none.
    pub(crate) fn row_at(&self, key: &str, time_us: i64) -> (Seen, Option<RowAt<'_>>) {
        let last = |number: usize| {
            let changes = self.of_partition(key, number);
            // Behind the last one that is meant, all timestamps are later ones.
            changes[..changes.partition_point(|change| change.least_us <= time_us)].last()
        };
        let lasts: Vec<&Known> = (0..self.ids.len()).filter_map(last).collect();
        let seen = lasts.iter().map(|change| (self.ids[change.id as usize].clone(), change.offset + 1));
        let nowhere = self.ids.first().filter(|_| lasts.is_empty()).map(|id| (id.clone(), 0));
        (Seen(seen.chain(nowhere).collect()), self.decided(&lasts))
    }

    /// The changes of a key in one partition, in the order of their offsets.
    fn of_partition(&self, key: &str, number: usize) -> &[Known] {
        let Some(OfKey { changes, .. }) = self.changes.get(key) else { return &[] };
        let from = changes.partition_point(|change| (change.id as usize) < number);
        let to = changes.partition_point(|change| change.id as usize <= number);
        &changes[from..to]
    }

    /// B1: the row that these changes leave.
    fn decided<'a>(&self, lasts: &[&'a Known]) -> Option<RowAt<'a>> {
        let places = lasts.iter().map(|change| {
            let id = &self.ids[change.id as usize];
            let Known { offset, timestamp_us, .. } = **change;
            ChangeAt { log: id.log.as_str().into(), partition: id.partition, offset, timestamp_us }
        });
        let places: Vec<ChangeAt> = places.collect();
        let change = lasts[decides(&places, &self.logs)?];
        Some((change.row.as_ref()?, change.timestamp_us))
    }
}

impl Known {
    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        let text = |value: &Option<RowValue>| if let Some(RowValue::Text(text)) = value { text.len() } else { 0 };
        let texts: usize = self.row.iter().flatten().map(text).sum();
        let width = self.row.as_ref().map_or(0, |row| row.len() * size_of::<Option<RowValue>>());
        CHANGE_BYTES + texts + width
    }
}

/// Archived records → changes.
#[derive(Debug, Clone)]
struct Reader {
    keys: RecordKey,
    key: String,
    /// The declared fields; those that are taken with their types.
    fields: Vec<(String, Option<FieldType>)>,
    /// The numbers of partitions.
    numbers: BTreeMap<PartitionId, u32>,
}

impl Reader {
    fn new(source: &Source, taken: &BTreeSet<usize>, ids: &[PartitionId]) -> Reader {
        let declared = declared(source).enumerate();
        let fields = declared.map(|(place, field)| (field.name.clone(), taken.contains(&place).then_some(field.kind)));
        Reader {
            keys: RecordKey::of(source).expect("a checked catalog declares the key of a table"),
            key: source.key.clone().unwrap_or_default(),
            fields: fields.collect(),
            numbers: ids.iter().cloned().zip(0..).collect(),
        }
    }

    /// Whether a field is read in the archive.
    fn reads(&self, name: &str) -> bool {
        name == self.key || self.fields.iter().any(|(field, kind)| field == name && kind.is_some())
    }

    /// The changes that records are, rows and deletes.
    fn changes(&self, records: &DataFrame) -> PolarsResult<Vec<(String, Known)>> {
        let (errors, written) = (records.column(ERROR)?.str()?, records.column(KEY)?.binary()?);
        let of_rows = records.column(&self.key)?.cast(&DataType::String)?;
        let of_rows = of_rows.str()?;
        let (logs, partitions) = (records.column(LOG)?.str()?, records.column(PARTITION)?.i32()?);
        let (offsets, times) = (records.column(OFFSET)?.i64()?, records.column(TIMESTAMP)?.i64()?);
        let values = self.fields.iter().map(|(name, kind)| match kind {
            Some(kind) => RowValue::of_column(records.column(name)?, *kind).map(Some),
            None => Ok(None),
        });
        let values = values.collect::<PolarsResult<Vec<Option<Vec<Option<RowValue>>>>>>()?;
        let change = |row: usize| {
            let is_row = errors.get(row).is_none();
            let key = if is_row { of_rows.get(row).map(str::to_owned) } else { self.keys.text(written.get(row)) };
            let id = *self.numbers.get(&PartitionId::new(logs.get(row)?, partitions.get(row)?))?;
            let value = |values: &Option<Vec<Option<RowValue>>>| values.as_ref().and_then(|values| values[row].clone());
            let of_row = is_row.then(|| values.iter().map(value).collect());
            let (offset, timestamp_us) = (offsets.get(row)?, times.get(row)?);
            Some((key?, Known { id, offset, timestamp_us, least_us: timestamp_us, row: of_row }))
        };
        Ok((0..records.height()).filter_map(change).collect())
    }
}

#[cfg(test)]
mod tests {
    use test_kit::{Dice, first_seed};

    use super::*;

    fn history(partitions: i32) -> History {
        let ids: Vec<PartitionId> = (0..partitions).map(|partition| PartitionId::new("log", partition)).collect();
        let archived = ids.iter().map(|id| (id.clone(), 100)).collect();
        History { ids, archived, logs: LogOrder::new(["log"]), ..History::of_nothing() }
    }

    fn change(id: u32, offset: i64, timestamp_us: i64, name: Option<&str>) -> Known {
        let row = name.map(|name| vec![Some(RowValue::Text(name.into()))]);
        Known { id, offset, timestamp_us, least_us: timestamp_us, row }
    }

    fn seen(places: &[(i32, i64)]) -> Seen {
        Seen(places.iter().map(|(partition, cursor)| (PartitionId::new("log", *partition), *cursor)).collect())
    }

    fn name(found: Option<RowAt<'_>>) -> Option<String> {
        match found?.0.first() {
            Some(Some(RowValue::Text(text))) => Some(text.to_string()),
            _ => None,
        }
    }

    #[test]
    fn a_row_is_that_of_the_last_change_below_the_cursor() {
        let mut history = history(1);
        for (offset, row) in [(3, Some("a")), (7, Some("b")), (9, None)] {
            history.add("k".to_owned(), change(0, offset, 1_000 - offset, row), &[0]);
        }
        let history = history.in_order();
        let at = |cursor| name(history.row("k", &seen(&[(0, cursor)])).expect("archived"));
        assert_eq!(
            [3, 4, 7, 8, 9, 10].map(at),
            [None, Some("a"), Some("a"), Some("b"), Some("b"), None].map(|n| n.map(str::to_owned))
        );
        assert!(history.row("other", &seen(&[(0, 10)])).expect("archived").is_none());
        assert!(matches!(history.row("k", &seen(&[(0, 101)])), Err(NotFoundAgain::NotArchived { cursor: 101, .. })));
    }

    #[test]
    fn below_the_least_cursor_the_last_change_is_enough_in_whatever_order_they_come() {
        let mut history = history(2);
        for offset in [7, 3, 5, 12, 14] {
            history.add("k".to_owned(), change(0, offset, offset, Some("x")), &[10, 10]);
        }
        history.add("k".to_owned(), change(1, 4, 4, Some("y")), &[10, 10]);
        let bytes = history.bytes;
        let history = history.in_order();
        let of_key = &history.changes["k"].changes;
        let offsets: Vec<(u32, i64)> = of_key.iter().map(|known| (known.id, known.offset)).collect();
        assert_eq!(offsets, [(0, 7), (0, 12), (0, 14), (1, 4)]);
        assert_eq!(bytes, 1 + of_key.iter().map(Known::bytes).sum::<usize>(), "the key, and what is kept");
    }

    #[test]
    fn a_change_that_takes_the_place_of_another_weighs_what_it_weighs() {
        let mut history = history(1);
        history.add("k".to_owned(), change(0, 3, 3, Some("a")), &[10]);
        let small = history.bytes;
        history.add("k".to_owned(), change(0, 5, 5, Some(&"a".repeat(1_001))), &[10]);
        assert_eq!(history.bytes, small + 1_000);
        history.add("k".to_owned(), change(0, 7, 7, Some("a")), &[10]);
        assert_eq!(history.bytes, small);
    }

    #[test]
    fn where_several_partitions_are_named_the_newest_change_decides() {
        let mut history = history(2);
        history.add("k".to_owned(), change(0, 5, 300, Some("old")), &[0, 0]);
        history.add("k".to_owned(), change(1, 2, 400, Some("new")), &[0, 0]);
        let history = history.in_order();
        assert_eq!(name(history.row("k", &seen(&[(0, 9), (1, 9)])).expect("archived")).as_deref(), Some("new"));
        assert_eq!(name(history.row("k", &seen(&[(0, 9), (1, 2)])).expect("archived")).as_deref(), Some("old"));
        assert_eq!(name(history.row("k", &seen(&[(1, 9)])).expect("archived")).as_deref(), Some("new"));
    }

    #[test]
    fn a_backtest_sees_what_had_changed_by_the_time_of_the_record() {
        let mut history = history(1);
        history.add("k".to_owned(), change(0, 5, 300, Some("a")), &[]);
        history.add("k".to_owned(), change(0, 8, 500, Some("b")), &[]);
        let history = history.in_order();
        let at = |time_us| {
            let (seen, row) = history.row_at("k", time_us);
            (seen.to_string(), name(row))
        };
        assert_eq!(at(299), ("log/0/0".to_owned(), None));
        assert_eq!(at(300), ("log/0/6".to_owned(), Some("a".to_owned())));
        assert_eq!(at(900), ("log/0/9".to_owned(), Some("b".to_owned())));
    }

    /// Of each partition the last change by offset that is not later, whatever the order of timestamps.
    #[test]
    fn a_row_at_a_time_is_what_a_look_at_every_change_says() {
        let mut dice = Dice::new(first_seed());
        for _ in 0..200 {
            let (mut history, mut all) = (history(2), Vec::new());
            for offset in 0..dice.between(0, 12) {
                let known = change(dice.below(2) as u32, offset, dice.between(0, 20), Some("x"));
                all.push(known.clone());
                history.add("k".to_owned(), known, &[]);
            }
            let history = history.in_order();
            for time_us in -1..21 {
                let last = |id: u32| {
                    let meant = all.iter().filter(|known| known.id == id && known.timestamp_us <= time_us);
                    meant.map(|known| known.offset + 1).max().map(|cursor| (PartitionId::new("log", id as i32), cursor))
                };
                let expected: Vec<(PartitionId, i64)> = [0, 1].into_iter().filter_map(last).collect();
                let (seen, _) = history.row_at("k", time_us);
                let seen: Vec<_> = seen.0.into_iter().filter(|(_, cursor)| *cursor > 0).collect();
                assert_eq!(seen, expected, "at {time_us}: {all:?}");
            }
        }
    }
}
