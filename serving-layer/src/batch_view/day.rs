//! One day of a batch view: its rows, and their index by group key.

use std::collections::HashMap;

use polars::prelude::*;
use shared_logic::contracts::batch_view;
use shared_logic::group_key::GroupKey;
use shared_logic::measure::Value;
use shared_logic::partial::{self, Partials, grouping_sets};
use shared_logic::schema::FieldType;
use shared_logic::time::{DAY_US, TimeRange};

use super::columns::Column;
use super::{Cells, Counted};

/// What an entry of the index takes beside its text, about.
const INDEX_ENTRY_BYTES: usize = 40;

/// The rows of every group key of every grouping set that have buckets in this day.
#[derive(Debug)]
pub(super) struct Day {
    start_us: i64,
    index: HashMap<GroupKey, Rows>,
    buckets: Vec<i64>,
    columns: Vec<Column>,
    bytes: usize,
}

/// The rows of one group key, ordered by bucket. Behind several follows one with the whole day.
#[derive(Debug, Clone, Copy)]
struct Rows {
    from: u32,
    to: u32,
}

impl Rows {
    fn whole_day(self) -> usize {
        if self.to - self.from == 1 { self.from as usize } else { self.to as usize }
    }
}

impl Day {
    /// Indexes the rows of a day's files, read with [`columns`]. Only the finest group keys are in files; the coarser ones are merged from them.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub(super) fn build(counted: &Counted, day: i64, mut frame: DataFrame) -> PolarsResult<Day> {
        let (source, metric) = (&counted.source, &counted.metric);
        let columns = metric.measures.iter().map(|measure| Column::new(measure.kind)).collect();
        let mut built = Day { start_us: day * DAY_US, index: HashMap::new(), buckets: Vec::new(), columns, bytes: 0 };
        // The plan, whose partials these are, has another name for it.
        frame.rename(batch_view::BUCKET, partial::BUCKET.into())?;
        for set in grouping_sets(metric.by.len()) {
            let partials = Partials::of_frame(source, metric, &frame, |column| set & (1 << column) != 0)?;
            built.add(counted, &partials)?;
        }
        built.buckets.shrink_to_fit();
        built.columns.iter_mut().for_each(Column::shrink);
        built.bytes = built.measured();
        Ok(built)
    }

    /// Takes out the cells of a group key whose buckets lie in the range.
    pub(super) fn take(&self, key: &GroupKey, range: TimeRange, cells: &mut Cells) {
        let Some(rows) = self.index.get(key).copied() else { return };
        let whole = range.from_us <= self.start_us && self.start_us + DAY_US <= range.to_us;
        if whole && cells.takes_whole_days() {
            let row = rows.whole_day();
            cells.push(self.start_us, |measure| self.columns[measure].get(row));
            return;
        }
        for row in rows.from as usize..rows.to as usize {
            if range.contains(self.buckets[row]) {
                cells.push(self.buckets[row], |measure| self.columns[measure].get(row));
            }
        }
    }

    /// Bytes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn measured(&self) -> usize {
        let index = self.index.keys().map(|key| key.as_str().len() + INDEX_ENTRY_BYTES).sum::<usize>();
        index + self.buckets.capacity() * 8 + self.columns.iter().map(Column::bytes).sum::<usize>()
    }

    /// Adds the rows of one grouping set; rows of the same group key and bucket are merged.
    fn add(&mut self, counted: &Counted, partials: &Partials) -> PolarsResult<()> {
        let measures = &counted.metric.measures;
        let mut by_key: HashMap<&GroupKey, Vec<(i64, &[Value])>> = HashMap::new();
        for (key, bucket, values) in partials.rows() {
            by_key.entry(key).or_default().push((bucket, values));
        }
        let merge_into = |sums: &mut [Value], values: &[Value]| {
            for ((measure, sum), value) in measures.iter().zip(sums).zip(values) {
                *sum = measure.kind.merge(sum.clone(), value.clone());
            }
        };
        for (key, mut rows) in by_key {
            rows.sort_by_key(|(bucket, _)| *bucket);
            let from = self.row()?;
            let mut whole_day: Vec<Value> = measures.iter().map(|measure| measure.kind.identity()).collect();
            for same in rows.chunk_by(|a, b| a.0 == b.0) {
                let mut merged = same[0].1.to_vec();
                same[1..].iter().for_each(|(_, values)| merge_into(&mut merged, values));
                merge_into(&mut whole_day, &merged);
                self.push(same[0].0, &merged);
            }
            let to = self.row()?;
            if to - from > 1 {
                self.push(self.start_us, &whole_day);
            }
            self.index.insert(key.clone(), Rows { from, to });
        }
        Ok(())
    }

    fn push(&mut self, bucket: i64, values: &[Value]) {
        self.buckets.push(bucket);
        self.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value.clone()));
    }

    fn row(&self) -> PolarsResult<u32> {
        u32::try_from(self.buckets.len()).map_err(|_| polars_err!(ComputeError: "more than 2^32 rows in one day"))
    }
}

/// The columns that a day is built from, in the types that [`Partials`] has: instants as integers of microseconds.
pub(super) fn columns(counted: &Counted) -> Schema {
    let (source, metric) = (&counted.source, &counted.metric);
    let by = metric.by.iter().map(|name| {
        let kind = source.field(name).map_or(FieldType::String, |field| field.kind);
        (name.as_str().into(), key_type(kind))
    });
    let measures = metric.measures.iter().map(|measure| {
        let dtype = measure.kind.value_type().table_type();
        (measure.name.as_str().into(), dtype)
    });
    [(batch_view::BUCKET.into(), DataType::Int64)].into_iter().chain(by).chain(measures).collect()
}

fn key_type(kind: FieldType) -> DataType {
    match kind {
        FieldType::String => DataType::String,
        FieldType::Bool => DataType::Boolean,
        FieldType::Int | FieldType::Timestamp | FieldType::Float => DataType::Int64,
    }
}
