//! Records → rows of the archive, decoded under the rules of a source.

use std::collections::BTreeMap;

use polars::prelude::*;
use shared_logic::catalog::{KeptBytes, Source};
use shared_logic::contracts::archive::{
    DAY, ERROR, HASH, HEADERS, KEY, LOG, OFFSET, PARTITION, RAW, RULES, TIMESTAMP, field_column,
};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::log::Content;
use shared_logic::rejection::Rejected;
use shared_logic::schema::{FieldType, INSTANT};
use shared_logic::time::{day_of, format_day};

/// A record, as it was read from Kafka or from the archive.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_us: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    /// As in the column [`HEADERS`], if there are any.
    pub(crate) headers: Option<String>,
}

impl Incoming<'_> {
    /// What the record's witness is made from (R12).
    pub(crate) fn content(&self) -> Content<'_> {
        let Incoming { timestamp_us, key, payload, headers, .. } = self;
        Content { timestamp_us: *timestamp_us, key: *key, payload: *payload, headers: headers.as_deref() }
    }
}

/// Rows of one log, or of the incarnations of its partitions.
pub(crate) struct RecordRows {
    source: Source,
    kept_bytes: KeptBytes,
    log: String,
    /// The logs of partitions that are another incarnation (R12).
    incarnations: BTreeMap<i32, String>,
    columns: Columns,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<Option<i64>>,
    keys: BinaryChunkedBuilder,
    headers: Vec<Option<String>>,
    raw: BinaryChunkedBuilder,
    hashes: Vec<i32>,
    errors: Vec<Option<String>>,
    days: Vec<i64>,
}

impl RecordRows {
    /// No rows yet, of a log of that source.
    pub(crate) fn new(source: &Source, log: &str) -> RecordRows {
        RecordRows {
            kept_bytes: source.kept_bytes,
            log: log.to_owned(),
            incarnations: BTreeMap::new(),
            columns: Columns::new(source, |_| true, 0),
            partitions: Vec::new(),
            offsets: Vec::new(),
            timestamps: Vec::new(),
            keys: BinaryChunkedBuilder::new(KEY.into(), 0),
            headers: Vec::new(),
            raw: BinaryChunkedBuilder::new(RAW.into(), 0),
            hashes: Vec::new(),
            errors: Vec::new(),
            days: Vec::new(),
            source: source.clone(),
        }
    }

    /// R12: rows of these partitions belong to those logs.
    pub(crate) fn set_incarnations(&mut self, incarnations: BTreeMap<i32, String>) {
        self.incarnations = incarnations;
    }

    /// The log to which rows of that partition belong.
    pub(crate) fn log_of(&self, partition: i32) -> &str {
        self.incarnations.get(&partition).unwrap_or(&self.log)
    }

    /// No rows yet, of records that the archive holds: bytes that are kept stay, whatever the source says by now.
    pub(crate) fn of_archived(source: &Source, log: &str) -> RecordRows {
        RecordRows { kept_bytes: KeptBytes::All, ..RecordRows::new(source, log) }
    }

    /// Adds a record, decoded by a decoder of the source. Returns why it is invalid, if it is, and the text of that.
    pub(crate) fn push(&mut self, record: Incoming<'_>, decoder: &mut Decoder) -> Option<(Rejected, String)> {
        self.hashes.push(record.content().short_hash());
        let rejected = match decoder.decode(record.payload, record.timestamp_us) {
            Ok(event) => {
                self.days.push(day_of(event.time_us));
                self.columns.push(&event);
                self.raw.append_option(record.payload.filter(|_| self.kept_bytes == KeptBytes::All));
                None
            }
            Err(rejected) => {
                self.days.push(day_of(record.timestamp_us.unwrap_or_default()));
                self.columns.push_nulls();
                self.raw.append_option(record.payload);
                Some((rejected, rejected.text(&self.source.fields)))
            }
        };
        self.errors.push(rejected.as_ref().map(|(_, text)| text.clone()));
        self.partitions.push(record.partition);
        self.offsets.push(record.offset);
        self.timestamps.push(record.timestamp_us);
        self.keys.append_option(record.key);
        self.headers.push(record.headers);
        rejected
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// The rows of each day. `declared` are the columns of the table that they are written to; where it is `None`, the
    /// columns of fields have the fields' names.
    pub(crate) fn into_days(self, declared: Option<&Schema>) -> PolarsResult<Vec<(String, DataFrame)>> {
        let rows = self.len();
        let same = |name: &str, text: &str| {
            let scalar = Scalar::new(DataType::String, AnyValue::StringOwned(text.into()));
            Column::new_scalar(name.into(), scalar, rows)
        };
        let log = if self.incarnations.is_empty() {
            same(LOG, &self.log)
        } else {
            let logs: Vec<&str> = self.partitions.iter().map(|partition| self.log_of(*partition)).collect();
            Column::new(LOG.into(), logs)
        };
        let mut columns: Vec<Column> = vec![
            log,
            Column::new(PARTITION.into(), self.partitions),
            Column::new(OFFSET.into(), self.offsets),
            same(RULES, self.source.rules().as_str()),
            Column::new(TIMESTAMP.into(), self.timestamps).cast(&INSTANT)?,
            self.keys.finish().into_series().into(),
            Column::new(HEADERS.into(), self.headers),
            self.raw.finish().into_series().into(),
            Column::new(HASH.into(), self.hashes),
            Column::new(ERROR.into(), self.errors),
        ];
        for (field, mut column) in self.source.fields.iter().zip(self.columns.finish()?.into_columns()) {
            if let Some(declared) = declared {
                column.rename(field_column(field, declared));
            }
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
