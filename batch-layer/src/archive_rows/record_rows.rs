//! Records → rows of the archive, decoded under the rules of a source.

use std::collections::BTreeMap;
use std::ops::Range;

use polars::prelude::*;
use shared_logic::catalog::{KeptBytes, Source};
use shared_logic::contracts::archive::{
    DAY, ERASED, ERROR, HASH, HEADERS, KEY, LOG, OFFSET, PARTITION, RAW, RULES, TIMESTAMP, field_column,
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

/// What is left of a record that is erased.
#[derive(Debug)]
pub(crate) struct Erased {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_us: Option<i64>,
    /// The record's short hash, if it is known (R12).
    pub(crate) hash: Option<i32>,
    /// The day whose file the row lies in.
    pub(crate) day: i64,
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
    timestamps: PrimitiveChunkedBuilder<Int64Type>,
    keys: BinaryChunkedBuilder,
    headers: Texts,
    raw: BinaryChunkedBuilder,
    hashes: Vec<Option<i32>>,
    errors: Texts,
    /// The days of the rows, each with the number of rows in a row.
    days: Vec<(i64, usize)>,
}

/// The texts of the rows that have one.
type Texts = Vec<(usize, String)>;

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
            timestamps: PrimitiveChunkedBuilder::new(TIMESTAMP.into(), 0),
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

    /// No rows yet, of a file that is imported: all bytes are kept, whatever the source says, since no log could give them again.
    pub(crate) fn of_import(source: &Source, log: &str) -> RecordRows {
        RecordRows { kept_bytes: KeptBytes::All, ..RecordRows::new(source, log) }
    }

    /// Adds a record, decoded by a decoder of the source. Returns why it is a reject, if it is, and the text of that. A mark is none,
    /// although its row says why it is no event.
    pub(crate) fn push(&mut self, record: Incoming<'_>, decoder: &mut Decoder) -> Option<(Rejected, String)> {
        let row = self.len();
        self.hashes.push(Some(record.content().short_hash()));
        let rejected = match decoder.decode(record.payload, record.timestamp_us) {
            Ok(event) => {
                note_day(&mut self.days, day_of(event.time_us));
                self.columns.push(&event);
                self.raw.append_option(record.payload.filter(|_| self.kept_bytes == KeptBytes::All));
                None
            }
            Err(rejected) => {
                note_day(&mut self.days, day_of(record.timestamp_us.unwrap_or_default()));
                self.columns.push_nulls();
                self.raw.append_option(record.payload);
                Some((rejected, rejected.text(&self.source.fields)))
            }
        };
        self.errors.extend(rejected.as_ref().map(|(_, text)| (row, text.clone())));
        self.partitions.push(record.partition);
        self.offsets.push(record.offset);
        self.timestamps.append_option(record.timestamp_us);
        self.keys.append_option(record.key);
        self.headers.extend(record.headers.map(|text| (row, text)));
        rejected.filter(|(rejected, _)| rejected.reason.is_reject())
    }

    /// Adds a record that is erased: what is left of it, whatever else of it is at hand.
    pub(crate) fn push_erased(&mut self, record: Erased) {
        let Erased { partition, offset, timestamp_us, hash, day } = record;
        self.errors.push((self.len(), ERASED.to_owned()));
        note_day(&mut self.days, day);
        self.columns.push_nulls();
        self.raw.append_null();
        self.keys.append_null();
        self.partitions.push(partition);
        self.offsets.push(offset);
        self.timestamps.append_option(timestamp_us);
        self.hashes.push(hash);
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
            self.timestamps.finish().into_series().cast(&INSTANT)?.into(),
            self.keys.finish().into_series().into(),
            texts(HEADERS, self.headers, rows),
            self.raw.finish().into_series().into(),
            Column::new(HASH.into(), self.hashes),
            texts(ERROR, self.errors, rows),
        ];
        for (field, mut column) in self.source.fields.iter().zip(self.columns.finish()?.into_columns()) {
            if let Some(declared) = declared {
                column.rename(field_column(field, declared));
            }
            columns.push(if field.kind == FieldType::Timestamp { column.cast(&INSTANT)? } else { column });
        }
        by_day(&DataFrame::new(rows, columns)?, &self.days)
    }
}

/// Notes the day of one more row.
fn note_day(days: &mut Vec<(i64, usize)>, day: i64) {
    match days.last_mut() {
        Some((last, rows)) if *last == day => *rows += 1,
        _ => days.push((day, 1)),
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

/// The rows of each day, in their order. Those of a day that are consecutive are not copied.
fn by_day(frame: &DataFrame, days: &[(i64, usize)]) -> PolarsResult<Vec<(String, DataFrame)>> {
    let mut stretches: BTreeMap<i64, Vec<Range<usize>>> = BTreeMap::new();
    let mut begin = 0;
    for (day, rows) in days {
        stretches.entry(*day).or_default().push(begin..begin + rows);
        begin += rows;
    }
    let rows_of = |(day, stretches): (i64, Vec<Range<usize>>)| {
        let rows = match stretches.as_slice() {
            [one] => frame.slice(one.start as i64, one.len()),
            _ => {
                let rows = stretches.into_iter().flatten().map(|row| row as IdxSize).collect();
                frame.take(&IdxCa::from_vec(DAY.into(), rows))?
            }
        };
        Ok((format_day(day), rows))
    };
    stretches.into_iter().map(rows_of).collect()
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;

    use super::*;

    /// Whoever counts rejects counts what is returned.
    #[test]
    fn a_mark_has_a_row_and_is_no_reject() {
        let catalog = "[sources.s]\nevent_time = \"at\"\nfields = { at = \"timestamp\", k = \"string\" }\n\
                       [streams.re_keyed]\nfrom = \"s\"\nkey = \"k\"\n";
        let catalog = Catalog::parse(catalog).expect("a valid catalog");
        for (source, text) in [("re_keyed", None), ("s", Some("empty"))] {
            let source = &catalog.sources[source];
            let mut rows = RecordRows::new(source, "L");
            let record =
                Incoming { partition: 0, offset: 0, timestamp_us: Some(0), key: None, payload: None, headers: None };
            let rejected = rows.push(record, &mut Decoder::new(source));
            assert_eq!(rejected.map(|(_, text)| text).as_deref(), text);
            let days = rows.into_days(None).expect("rows");
            let errors = days[0].1.column(ERROR).expect("a column").str().expect("texts").get(0);
            assert_eq!(errors, Some(text.unwrap_or("mark")));
        }
    }

    #[test]
    fn each_row_stands_in_its_day_in_the_order_of_its_arrival() {
        let frame = df!("n" => (0..9_i64).collect::<Vec<_>>()).expect("a column");
        let mut days = Vec::new();
        [5, 5, 7, 7, 7, 5, 6, 5, 5].into_iter().for_each(|day| note_day(&mut days, day));
        let rows = by_day(&frame, &days).expect("by day").into_iter().map(|(day, rows)| {
            let numbers = rows.column("n").expect("there").i64().expect("integers").iter().flatten().collect();
            (day, numbers)
        });
        let expected: [(i64, &[i64]); 3] = [(5, &[0, 1, 5, 7, 8]), (6, &[6]), (7, &[2, 3, 4])];
        assert_eq!(
            rows.collect::<Vec<(String, Vec<i64>)>>(),
            expected.map(|(day, numbers)| (format_day(day), numbers.to_vec()))
        );
    }

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
