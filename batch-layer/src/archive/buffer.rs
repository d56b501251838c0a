//! Records → rows of the archive.

use std::collections::BTreeMap;

use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{
    DAY, ERROR, EXTRA, HEADERS, KEY, LOG, OFFSET, PARTITION, Place, RAW, TIMESTAMP,
};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::rejection::Reason;
use shared_logic::schema::{FieldType, INSTANT};
use shared_logic::time::{day_of, format_day};

/// The columns that describe a record. They come first, because Delta keeps statistics of the first columns only.
const RECORD_COLUMNS: usize = 9;

/// A record as it was read.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    /// A JSON array of `[name, value]`, if there are headers.
    pub(crate) headers: Option<String>,
}

/// The archive's columns, without its partition column.
pub(crate) fn schema(source: &Source) -> Schema {
    let record: [(&str, DataType); RECORD_COLUMNS] = [
        (LOG, DataType::String),
        (PARTITION, DataType::Int32),
        (OFFSET, DataType::Int64),
        (TIMESTAMP, INSTANT),
        (KEY, DataType::Binary),
        (HEADERS, DataType::String),
        (EXTRA, DataType::String),
        (RAW, DataType::Binary),
        (ERROR, DataType::String),
    ];
    let fields = source.fields.iter().map(|field| Field::new(field.name.as_str().into(), field.kind.table_type()));
    record.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype)).chain(fields).collect()
}

/// Records of one log that are read and not committed yet, as rows of the archive.
pub(crate) struct Buffer {
    source: Source,
    decoder: Decoder,
    log: String,
    /// Per partition, the archive's next offset before and after these rows.
    pub(crate) reached: BTreeMap<i32, (i64, i64)>,
    /// Per reason, how many of the records are invalid, and where the last of them is.
    pub(crate) rejects: BTreeMap<Reason, (u64, Place)>,
    /// Bytes of payloads and keys.
    pub(crate) bytes: usize,
    columns: Columns,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<Option<i64>>,
    keys: BinaryChunkedBuilder,
    headers: Vec<Option<String>>,
    extra: Vec<Option<String>>,
    raw: BinaryChunkedBuilder,
    errors: Vec<Option<String>>,
    days: Vec<i64>,
}

impl Buffer {
    /// An empty buffer for a log whose partitions are archived up to `next`.
    pub(crate) fn new(source: &Source, log: &str, next: &BTreeMap<i32, i64>) -> Buffer {
        Buffer {
            decoder: Decoder::new(source),
            log: log.to_owned(),
            reached: next.iter().map(|(partition, next)| (*partition, (*next, *next))).collect(),
            rejects: BTreeMap::new(),
            bytes: 0,
            columns: Columns::new(source, |_| true, 0),
            partitions: Vec::new(),
            offsets: Vec::new(),
            timestamps: Vec::new(),
            keys: BinaryChunkedBuilder::new(KEY.into(), 0),
            headers: Vec::new(),
            extra: Vec::new(),
            raw: BinaryChunkedBuilder::new(RAW.into(), 0),
            errors: Vec::new(),
            days: Vec::new(),
            source: source.clone(),
        }
    }

    /// Adds a record. One whose offset is in the archive or in the buffer already is ignored: it was read twice.
    pub(crate) fn push(&mut self, record: Incoming<'_>) {
        let Some((_, next)) = self.reached.get_mut(&record.partition).filter(|(_, next)| record.offset >= *next) else {
            return;
        };
        *next = record.offset + 1;
        self.bytes += record.payload.map_or(0, <[u8]>::len) + record.key.map_or(0, <[u8]>::len);
        let timestamp_us = record.timestamp_ms.map(|ms| ms.saturating_mul(1_000));
        match self.decoder.decode(record.payload, timestamp_us) {
            Ok(event) => {
                self.days.push(day_of(event.time_us));
                self.extra.push(event.extra());
                self.columns.push(&event);
                self.raw.append_null();
                self.errors.push(None);
            }
            Err(rejected) => {
                let error = rejected.text(&self.source.fields);
                let place = Place {
                    log: self.log.clone(),
                    partition: record.partition,
                    offset: record.offset,
                    error: error.clone(),
                };
                let counted = self.rejects.entry(rejected.reason).or_insert((0, place.clone()));
                *counted = (counted.0 + 1, place);
                self.days.push(day_of(timestamp_us.unwrap_or_default()));
                self.extra.push(None);
                self.columns.push_nulls();
                self.raw.append_option(record.payload);
                self.errors.push(Some(error));
            }
        }
        self.partitions.push(record.partition);
        self.offsets.push(record.offset);
        self.timestamps.push(timestamp_us);
        self.keys.append_option(record.key);
        self.headers.push(record.headers);
    }

    /// Notes that a partition was read up to `offset`, which may lie past transaction markers and aborted records.
    pub(crate) fn reach(&mut self, partition: i32, offset: i64) {
        if let Some((_, next)) = self.reached.get_mut(&partition) {
            *next = (*next).max(offset);
        }
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.offsets.len()
    }

    /// Whether a commit would move any partition's next offset.
    pub(crate) fn has_progress(&self) -> bool {
        self.reached.values().any(|(from, to)| to > from)
    }

    /// The rows of each day.
    pub(crate) fn into_days(self) -> PolarsResult<Vec<(String, DataFrame)>> {
        let rows = self.offsets.len();
        let mut columns: Vec<Column> = vec![
            Column::new_scalar(
                LOG.into(),
                Scalar::new(DataType::String, AnyValue::StringOwned(self.log.as_str().into())),
                rows,
            ),
            Column::new(PARTITION.into(), self.partitions),
            Column::new(OFFSET.into(), self.offsets),
            Column::new(TIMESTAMP.into(), self.timestamps).cast(&INSTANT)?,
            self.keys.finish().into_series().into(),
            Column::new(HEADERS.into(), self.headers),
            Column::new(EXTRA.into(), self.extra),
            self.raw.finish().into_series().into(),
            Column::new(ERROR.into(), self.errors),
        ];
        for (field, column) in self.source.fields.iter().zip(self.columns.finish()?.into_columns()) {
            columns.push(if field.kind == FieldType::Timestamp { column.cast(&INSTANT)? } else { column });
        }
        let frame = DataFrame::new(rows, columns)?;
        let mut rows_of: BTreeMap<i64, Vec<IdxSize>> = BTreeMap::new();
        for (row, day) in self.days.iter().enumerate() {
            rows_of.entry(*day).or_default().push(row as IdxSize);
        }
        let take =
            |(day, rows): (i64, Vec<IdxSize>)| Ok((format_day(day), frame.take(&IdxCa::from_vec(DAY.into(), rows))?));
        rows_of.into_iter().map(take).collect()
    }
}
