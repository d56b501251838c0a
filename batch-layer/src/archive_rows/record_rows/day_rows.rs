//! The rows of one day, a column beside the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use polars::prelude::*;
use shared_logic::catalog::{KeptBytes, Source};
use shared_logic::contracts::archive::{
    ERASED, ERROR, HASH, HEADERS, KEY, LOG, OFFSET, PARTITION, RAW, RULES, TIMESTAMP, field_column,
};
use shared_logic::decode::{Columns, Event};
use shared_logic::schema::{FieldType, INSTANT};

use super::{Erased, Incoming};

/// What all rows have in common.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) source: Source,
    pub(super) kept_bytes: KeptBytes,
    pub(super) log: String,
    /// The logs of partitions that are another incarnation (R12).
    pub(super) incarnations: BTreeMap<i32, String>,
}

impl Origin {
    /// The log to which rows of that partition belong.
    pub(super) fn log_of(&self, partition: i32) -> &str {
        self.incarnations.get(&partition).unwrap_or(&self.log)
    }
}

/// Rows of one day, in the order of their arrival.
pub(crate) struct DayRows {
    origin: Arc<Origin>,
    day: i64,
    columns: Columns,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: PrimitiveChunkedBuilder<Int64Type>,
    keys: BinaryChunkedBuilder,
    headers: Texts,
    raw: BinaryChunkedBuilder,
    hashes: PrimitiveChunkedBuilder<Int32Type>,
    errors: Texts,
    /// Bytes of keys and payloads, whether they are kept or not.
    bytes: usize,
}

/// The texts of the rows that have one.
type Texts = Vec<(usize, String)>;

impl DayRows {
    /// No rows yet, and room for `capacity`.
    pub(super) fn new(origin: &Arc<Origin>, day: i64, capacity: usize) -> DayRows {
        DayRows {
            columns: Columns::new(&origin.source, |_| true, capacity),
            partitions: Vec::with_capacity(capacity),
            offsets: Vec::with_capacity(capacity),
            timestamps: PrimitiveChunkedBuilder::new(TIMESTAMP.into(), capacity),
            keys: BinaryChunkedBuilder::new(KEY.into(), capacity),
            headers: Vec::new(),
            raw: BinaryChunkedBuilder::new(RAW.into(), capacity),
            hashes: PrimitiveChunkedBuilder::new(HASH.into(), capacity),
            errors: Vec::new(),
            bytes: 0,
            origin: Arc::clone(origin),
            day,
        }
    }

    /// The day, in days since 1970.
    pub(crate) fn day(&self) -> i64 {
        self.day
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Bytes of keys and payloads.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a record, and the event that it was decoded to. `hash` is its short hash, if it is known, and `kept` are the bytes that are
    /// kept of it.
    pub(super) fn push_event(
        &mut self,
        record: Incoming<'_>,
        hash: Option<i32>,
        kept: Option<&[u8]>,
        event: &Event<'_>,
    ) {
        self.columns.push(event);
        self.raw.append_option(kept);
        self.push(record, hash);
    }

    /// Adds a record that is no event, with the reason. Its payload is kept.
    pub(super) fn push_invalid(&mut self, record: Incoming<'_>, hash: Option<i32>, error: String) {
        self.columns.push_nulls();
        self.raw.append_option(record.payload);
        self.errors.push((self.len(), error));
        self.push(record, hash);
    }

    /// Adds all but the payload and what became of it.
    fn push(&mut self, record: Incoming<'_>, hash: Option<i32>) {
        self.hashes.append_option(hash);
        self.bytes += record.bytes();
        self.headers.extend(record.headers.map(|text| (self.offsets.len(), text)));
        self.partitions.push(record.partition);
        self.offsets.push(record.offset);
        self.timestamps.append_option(record.timestamp_us);
        self.keys.append_option(record.key);
    }

    /// Adds what is left of a record that is erased.
    pub(super) fn push_erased(&mut self, record: Erased) {
        let Erased { partition, offset, timestamp_us, hash, day: _ } = record;
        self.errors.push((self.len(), ERASED.to_owned()));
        self.columns.push_nulls();
        self.raw.append_null();
        self.keys.append_null();
        self.partitions.push(partition);
        self.offsets.push(offset);
        self.timestamps.append_option(timestamp_us);
        self.hashes.append_option(hash);
    }

    /// The rows as a frame. `declared` are the columns of the table that they are written to; where it is `None`, the columns of fields
    /// have the fields' names.
    pub(crate) fn into_frame(self, declared: Option<&Schema>) -> PolarsResult<DataFrame> {
        let (rows, origin) = (self.len(), self.origin);
        let same = |name: &str, text: &str| {
            let scalar = Scalar::new(DataType::String, AnyValue::StringOwned(text.into()));
            Column::new_scalar(name.into(), scalar, rows)
        };
        let log = if origin.incarnations.is_empty() {
            same(LOG, &origin.log)
        } else {
            let logs: Vec<&str> = self.partitions.iter().map(|partition| origin.log_of(*partition)).collect();
            Column::new(LOG.into(), logs)
        };
        let mut columns: Vec<Column> = vec![
            log,
            Column::new(PARTITION.into(), self.partitions),
            Column::new(OFFSET.into(), self.offsets),
            same(RULES, origin.source.rules().as_str()),
            self.timestamps.finish().into_series().cast(&INSTANT)?.into(),
            self.keys.finish().into_series().into(),
            texts(HEADERS, self.headers, rows),
            self.raw.finish().into_series().into(),
            self.hashes.finish().into_series().into(),
            texts(ERROR, self.errors, rows),
        ];
        for (field, mut column) in origin.source.fields.iter().zip(self.columns.finish()?.into_columns()) {
            if let Some(declared) = declared {
                column.rename(field_column(field, declared));
            }
            columns.push(if field.kind == FieldType::Timestamp { column.cast(&INSTANT)? } else { column });
        }
        DataFrame::new(rows, columns)
    }
}

/// A column of texts, null in all other rows.
fn texts(name: &str, texts: Texts, rows: usize) -> Column {
    if texts.is_empty() {
        return Column::full_null(name.into(), rows, &DataType::String);
    }
    let mut column = StringChunkedBuilder::new(name.into(), rows);
    let mut next = 0;
    for (row, text) in texts {
        (next..row).for_each(|_| column.append_null());
        column.append_value(text);
        next = row + 1;
    }
    (next..rows).for_each(|_| column.append_null());
    column.finish().into_series().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_in_its_row_and_all_others_are_null() {
        let column = |given: &[usize]| texts("t", given.iter().map(|row| (*row, format!("t{row}"))).collect(), 5);
        let all: [&[usize]; 5] = [&[], &[0], &[4], &[1, 3], &[0, 1, 2, 3, 4]];
        for given in all {
            let column = column(given);
            let found: Vec<Option<String>> =
                column.str().expect("texts").iter().map(|text| text.map(str::to_owned)).collect();
            let expected: Vec<_> = (0..5).map(|row| given.contains(&row).then(|| format!("t{row}"))).collect();
            assert_eq!(found, expected, "{given:?}");
        }
    }
}
