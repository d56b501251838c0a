//! The rows of the archive, as a source decodes them (R11).
//!
//! A file of the archive names the rules that it was decoded under. Files of the source's own rules are used as they
//! are. The records of all others are decoded again, from their bytes or from what tells the same, once for each file: the result
//! is kept beside the table, and found there by the next reconcile. So everything else sees one kind of files only.
//!
//! - `places`: which rows lie in some ranges of offsets;
//! - `hashes`: the hashes of records that older builds archived (R12);
//! - `older`: events that were archived before bytes were kept (R11);
//! - `erased`: what is left of records that were erased;
//! - `picked`: which columns of rows are read;
//! - `record_rows`: records → rows, by day;
//! - `scan`: rows → events, read a part at a time;
//! - `since`: which records were written at some moment or later;
//! - `witnesses`: rows → what lay at an offset (R12);
//! - `lives`: the same of all incarnations of a partition;
//! - `records`: rows → single records, with their bytes;
//! - `digest`: rows → which records they are, to be compared with what is read again (R11).

pub(crate) mod digest;
pub(crate) mod erased;
pub(crate) mod hashes;
pub(crate) mod lives;
mod older;
pub(crate) mod picked;
mod places;
pub(crate) mod record_rows;
pub(crate) mod records;
pub(crate) mod scan;
pub(crate) mod since;
pub(crate) mod witnesses;

use std::collections::{BTreeMap, VecDeque};

use platform::store::{DataFile, StoreError};
use polars::prelude::*;
use shared_logic::catalog::{RulesHash, Source};
use shared_logic::contracts::archive::{
    ERASED, ERROR, Facts, HASH, HEADERS, KEY, LOG, OFFSET, PARTITION, PARTITION_OFFSETS, RAW, RULES, TIMESTAMP,
    field_column, record_columns,
};
use shared_logic::decode::Decoder;
use shared_logic::format::SchemaId;
use shared_logic::log::OffsetRange;
use shared_logic::time::{day_of, parse_day};
use storage::{Archive, Decoded, Schemas};
use tracing::info;

use self::older::OlderRows;
use self::record_rows::{Erased, Incoming, RecordRows};
use crate::rows::{self, RowsError};

pub(crate) use self::places::{Ranges, within};

/// The columns whose smallest and largest values are kept with a file: where its rows lie, altogether and in each partition, their
/// rules, and when they happened, in the column [`event_time_column`].
pub(crate) fn ranged(event_time: &str) -> [&str; 6] {
    [LOG, PARTITION, OFFSET, PARTITION_OFFSETS, RULES, event_time]
}

/// The column of the event time. `declared` are the columns of the table; where it is `None`, the columns of fields have the
/// fields' names.
pub(crate) fn event_time_column(source: &Source, declared: Option<&Schema>) -> PlSmallStr {
    let name = || PlSmallStr::from(source.event_time.as_str());
    source.field(&source.event_time).zip(declared).map_or_else(name, |(field, declared)| field_column(field, declared))
}

/// The columns of the table that hold the records of a source, without its partition column. `declared` are those that
/// the table has so far.
pub(crate) fn schema(source: &Source, declared: &Schema) -> Schema {
    let fields = source.fields.iter().map(|field| (field_column(field, declared), field.kind.table_type()));
    record_columns().into_iter().chain(fields).collect()
}

/// About so many rows of a large file are decoded at a time.
const DECODED_ROWS: usize = 500_000;

/// The archive's files, each record decoded under the source's rules. Files of other rules are decoded now, unless an
/// earlier run has done so.
///
/// # Errors
/// If the archive cannot be read, what was decoded cannot be written, or a schema that records name cannot be looked up.
pub(crate) async fn files(archive: &Archive, source: &Source, schemas: &Schemas) -> Result<Vec<DataFile>, RowsError> {
    let (facts, rules) = (archive.facts(), source.rules());
    let mut files = Vec::new();
    for file in archive.files().await? {
        if rules_of(archive, &facts, &rules, &file)? == rules {
            files.push(file);
        } else if let Some(decoded) = archive.decoded(&rules, &file).await? {
            files.extend(decoded);
        } else {
            files.extend(decode(archive, source, schemas, &rules, &file).await?);
        }
    }
    Ok(files)
}

/// The rules that a file was decoded under, as [`Archive::rules_of`] says.
pub(crate) fn rules_of(
    archive: &Archive,
    facts: &Facts,
    own: &RulesHash,
    file: &DataFile,
) -> Result<RulesHash, StoreError> {
    archive.rules_of(facts, own, file)
}

/// Decodes the records of one file and keeps the result.
async fn decode(
    archive: &Archive,
    source: &Source,
    schemas: &Schemas,
    rules: &RulesHash,
    file: &DataFile,
) -> Result<Vec<DataFile>, RowsError> {
    let (mut decoded, event_time) = (Decoded::of(rules, file), event_time_column(source, None));
    let (mut records, mut without_bytes) = (0, 0);
    let older = OlderRows::of(&archive.facts(), source).and_then(|older| older.in_file(file));
    let columns = older::columns(older.as_ref());
    let mut groups = VecDeque::from(archive.row_groups(file, &columns, |_| true).await?);
    while !groups.is_empty() {
        let (mut frames, mut rows) = (Vec::new(), 0);
        while rows < DECODED_ROWS
            && let Some(group) = groups.pop_front()
        {
            rows += group.rows();
            frames.push(group.read(Ok).await?.lazy());
        }
        let rows = rows::compute("read records", archive.path(), move || concat(frames, UnionArgs::default())).await?;
        let undecoded = Undecoded { file, rows, older: older.clone() };
        let part = decode_records(archive, source, schemas, undecoded, None).await?;
        (records, without_bytes) = (records + part.records, without_bytes + part.without_bytes);
        for (day, frame) in part.days {
            decoded.push(archive.write_decoded(&decoded, &day, frame, &ranged(&event_time)).await?);
        }
    }
    info!(table = archive.path(), file = file.path, records, without_bytes, %rules, "decoded under the catalog's rules");
    Ok(archive.keep_decoded(decoded).await?)
}

/// The records of a file, decoded again.
pub(crate) struct Redecoded {
    /// Rows by day.
    pub(crate) days: Vec<(String, DataFrame)>,
    /// How many records were decoded.
    pub(crate) records: usize,
    /// How many were left out, because their bytes were not kept.
    pub(crate) without_bytes: usize,
}

/// Records of a file that are to be decoded.
struct Undecoded<'a> {
    file: &'a DataFile,
    /// They have the columns [`older::columns`].
    rows: LazyFrame,
    /// Those of the older layout, which are left out otherwise.
    older: Option<OlderRows>,
}

/// Decodes the records of one file. Those that are erased stay so, in the file's day. `declared` are the columns of the table that the
/// rows are for: such rows have bytes, since no others may take the place of what columns tell. Where it is `None`, the columns of
/// fields have the fields' names.
///
/// # Errors
/// If the file cannot be read, or a schema that its records name cannot be looked up.
pub(crate) async fn redecode(
    archive: &Archive,
    source: &Source,
    schemas: &Schemas,
    file: &DataFile,
    declared: Option<&Schema>,
) -> Result<Redecoded, RowsError> {
    let older = OlderRows::of(&archive.facts(), source).filter(|_| declared.is_none());
    let older = older.and_then(|older| older.in_file(file));
    let rows = archive.read(std::slice::from_ref(file), &older::columns(older.as_ref())).await?;
    decode_records(archive, source, schemas, Undecoded { file, rows, older }, declared).await
}

/// Decodes records of a file. They are in memory at once, before and after.
async fn decode_records(
    archive: &Archive,
    source: &Source,
    schemas: &Schemas,
    Undecoded { file, rows: records, older }: Undecoded<'_>,
    declared: Option<&Schema>,
) -> Result<Redecoded, RowsError> {
    let decoder = Decoder::new(source);
    let read = move || -> PolarsResult<_> {
        let records = records.collect()?;
        let missing = missing_schemas(&records, &decoder)?;
        Ok((records, decoder, missing))
    };
    let (records, mut decoder, missing) = rows::compute("read records", archive.path(), read).await?;
    schemas.clone().teach_all(&mut decoder, &missing).await?;
    let (source, declared, day) = (source.clone(), declared.cloned(), parse_day(&file.partition));
    rows::compute("decode records", archive.path(), move || {
        let (mut logs, mut without_bytes) = (BTreeMap::<String, RecordRows>::new(), 0);
        let (log, error) = (records.column(LOG)?.str()?, records.column(ERROR)?.str()?);
        let (partition, offset) = (records.column(PARTITION)?.i32()?, records.column(OFFSET)?.i64()?);
        let timestamp = records.column(TIMESTAMP)?.cast(&DataType::Int64)?;
        let (timestamp, headers) = (timestamp.i64()?, records.column(HEADERS)?.str()?);
        let (key, raw) = (records.column(KEY)?.binary()?, records.column(RAW)?.binary()?);
        let hash = records.column(HASH)?.i32()?;
        let documents = older.map(|older| older.documents(&records)).transpose()?;
        for row in 0..records.height() {
            let document = documents.as_ref().and_then(|documents| documents.of_row(row));
            if error.get(row).is_none() && raw.get(row).is_none() && document.is_none() {
                without_bytes += 1;
                continue;
            }
            let log = log.get(row).unwrap_or_default();
            let rows = match logs.get_mut(log) {
                Some(rows) => rows,
                None => logs.entry(log.to_owned()).or_insert_with(|| RecordRows::of_archived(&source, log)),
            };
            let (partition, offset) = (partition.get(row).unwrap_or_default(), offset.get(row).unwrap_or_default());
            let timestamp_us = timestamp.get(row);
            if error.get(row) == Some(ERASED) {
                let day = day.unwrap_or_else(|| day_of(timestamp_us.unwrap_or_default()));
                rows.push_erased(Erased { partition, offset, timestamp_us, hash: hash.get(row), day });
                continue;
            }
            let record = Incoming {
                partition,
                offset,
                timestamp_us,
                key: key.get(row),
                payload: document.as_deref().or(raw.get(row)),
                headers: headers.get(row).map(str::to_owned),
            };
            match &document {
                Some(document) => rows.push_document(record, document, hash.get(row), &mut decoder),
                None => drop(rows.push(record, &mut decoder)),
            }
        }
        let mut days = Vec::new();
        for rows in logs.into_values() {
            days.extend(rows.into_days(declared.as_ref())?);
        }
        Ok(Redecoded { days, records: records.height() - without_bytes, without_bytes })
    })
    .await
}

/// The schemas that records name and that the decoder lacks, each with the timestamp of the first record that names it.
fn missing_schemas(records: &DataFrame, decoder: &Decoder) -> PolarsResult<BTreeMap<SchemaId, Option<i64>>> {
    let timestamp = records.column(TIMESTAMP)?.cast(&DataType::Int64)?;
    let (raw, timestamp) = (records.column(RAW)?.binary()?, timestamp.i64()?);
    let mut missing = BTreeMap::new();
    for row in 0..records.height() {
        if let Some(schema) = decoder.missing_schema(raw.get(row)) {
            missing.entry(schema).or_insert(timestamp.get(row));
        }
    }
    Ok(missing)
}

/// The columns that say where a row lies and whether it is an event.
pub(crate) fn place_columns() -> Schema {
    let columns =
        [(LOG, DataType::String), (PARTITION, DataType::Int32), (OFFSET, DataType::Int64), (ERROR, DataType::String)];
    columns.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype)).collect()
}

/// Whether a file may hold rows whose offset lies in one of the ranges, by its statistics.
pub(crate) fn may_hold(file: &DataFile, ranges: &[OffsetRange]) -> bool {
    ranges.iter().any(|range| {
        let partition = range.id.partition.into();
        file.may_hold_text(LOG, &range.id.log)
            && file.may_hold(PARTITION, partition, partition)
            && file.may_hold(OFFSET, range.from, range.to - 1)
            && file.may_hold_in_group(PARTITION_OFFSETS, &range.id.to_string(), range.from, range.to - 1)
    })
}

#[cfg(test)]
mod tests;
