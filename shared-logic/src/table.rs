//! Tables: keyed changes, and the row that they leave of each key (B1).
//!
//! Within a partition, the last change of a key stands, whatever its timestamp says. A key moves to another partition only when the
//! topic gains some, or continues as another log. Then each partition has a last change of that key, and the newest of these decides
//! ([`decides`]). So a row is a function of the set of changes alone: it depends neither on the order in which partitions arrived, nor
//! on where they were split into increments. What is kept of a partition is its last change of each key, even a delete and one that
//! does not decide: the change that decides may be followed in its partition by one with an older timestamp.
//!
//! - [`row_of`]: an event → a row; a record is a change by [`Decoder::change`](crate::decode::Decoder::change);
//! - [`Placed`], [`decides`]: which of several changes is the newest;
//! - [`settle`]: the same of many keys.

use std::collections::HashMap;
use std::sync::Arc;

use polars::prelude::{Column, IdxSize, PolarsResult};

use crate::decode::Event;
use crate::format::FieldValue;
use crate::schema::FieldType;

/// Where a change lies, and when its record was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeAt {
    /// The log.
    pub log: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The record's timestamp, microseconds since 1970.
    pub timestamp_us: i64,
}

/// The values of a row, those of the declared fields in their order. `None` is absent. Its `changed_at` is that of the change.
pub type Row = Vec<Option<RowValue>>;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowValue {
    /// Text.
    Text(Box<str>),
    /// An integer.
    Int(i64),
    /// A finite float.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// An instant, in microseconds since 1970.
    Instant(i64),
}

/// Where a change lies, with its log as a number. Of two changes, the greater one is newer: by timestamp, then by log, partition and
/// offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placed {
    /// The record's timestamp, microseconds since 1970.
    pub timestamp_us: i64,
    /// The log's number in the [`LogOrder`].
    pub log: u32,
    /// The partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
}

/// The logs of a table's topic, in the order in which the archive first saw them.
#[derive(Debug, Clone, Default)]
pub struct LogOrder(HashMap<Arc<str>, u32>);

/// What changes leave of their keys, as positions among the changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Of each key the change that decides, by ascending keys.
    pub decide: Vec<IdxSize>,
    /// The last changes of keys in their partitions that do not decide, by ascending keys.
    pub others: Vec<IdxSize>,
}

/// The row that an event of a table is.
pub fn row_of(event: &Event<'_>) -> Row {
    event.values().map(|value| value.map(RowValue::from)).collect()
}

impl From<FieldValue<'_>> for RowValue {
    fn from(value: FieldValue<'_>) -> RowValue {
        match value {
            FieldValue::Text(text) => RowValue::Text(text.into()),
            FieldValue::Int(number) => RowValue::Int(number),
            FieldValue::Float(number) => RowValue::Float(number),
            FieldValue::Bool(value) => RowValue::Bool(value),
            FieldValue::Instant(us) => RowValue::Instant(us),
        }
    }
}

impl RowValue {
    /// The values of a column of that type, in memory.
    ///
    /// # Errors
    /// If the column has another type.
    pub fn of_column(column: &Column, kind: FieldType) -> PolarsResult<Vec<Option<RowValue>>> {
        Ok(match kind {
            FieldType::Int => column.i64()?.iter().map(|x| x.map(RowValue::Int)).collect(),
            FieldType::Timestamp => column.i64()?.iter().map(|us| us.map(RowValue::Instant)).collect(),
            FieldType::Float => column.f64()?.iter().map(|x| x.map(RowValue::Float)).collect(),
            FieldType::Bool => column.bool()?.iter().map(|x| x.map(RowValue::Bool)).collect(),
            FieldType::String => {
                column.str()?.iter().map(|text| text.map(|text| RowValue::Text(text.into()))).collect()
            }
        })
    }
}

impl LogOrder {
    /// The order of these logs, which are different ones.
    pub fn new<'a>(logs: impl IntoIterator<Item = &'a str>) -> LogOrder {
        LogOrder(logs.into_iter().zip(0..).map(|(log, number)| (log.into(), number)).collect())
    }

    /// The log's number. One that the archive has not seen yet is behind all others.
    pub fn number(&self, log: &str) -> u32 {
        self.0.get(log).copied().unwrap_or(u32::MAX)
    }
}

impl ChangeAt {
    /// The same with the log's number.
    pub fn placed(&self, logs: &LogOrder) -> Placed {
        let ChangeAt { log, partition, offset, timestamp_us } = self;
        Placed { timestamp_us: *timestamp_us, log: logs.number(log), partition: *partition, offset: *offset }
    }
}

/// B1: of the last changes of a key, one per partition (there the last by offset), the position of the one that decides: the newest.
/// `None` if there are none.
pub fn decides<'a>(lasts: impl IntoIterator<Item = &'a ChangeAt>, logs: &LogOrder) -> Option<usize> {
    // The names tell logs apart that the archive has not seen yet.
    let newest = lasts.into_iter().enumerate().max_by_key(|(_, at)| (at.placed(logs), Arc::clone(&at.log)));
    newest.map(|(position, _)| position)
}

/// B1 of many keys: what changes leave of them. `keys` and `at` are those of the changes, in any order; a change may be there twice.
///
/// Of what changes of some offsets leave and those of other offsets, `settle` makes what it makes of all of them together.
///
/// # Panics
/// If there are not as many keys as places, or more than a frame can have rows.
pub fn settle<K: Ord>(keys: &[K], at: &[Placed]) -> Settled {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_unstable_by(|a, b| {
        let of = |change: &usize| (&keys[*change], at[*change].log, at[*change].partition, at[*change].offset);
        of(a).cmp(&of(b))
    });
    let partition = |change: &usize| (at[*change].log, at[*change].partition);
    let position = |change: usize| IdxSize::try_from(change).expect("no more changes than a frame has rows");
    let mut settled = Settled::default();
    for of_key in order.chunk_by(|a, b| keys[*a] == keys[*b]) {
        let in_partitions = of_key.chunk_by(|a, b| partition(a) == partition(b));
        let lasts: Vec<usize> = in_partitions.filter_map(|changes| changes.last().copied()).collect();
        let newest = lasts.iter().copied().max_by_key(|change| at[*change]);
        for change in lasts {
            let to = if Some(change) == newest { &mut settled.decide } else { &mut settled.others };
            to.push(position(change));
        }
    }
    settled
}

#[cfg(test)]
mod tests;
