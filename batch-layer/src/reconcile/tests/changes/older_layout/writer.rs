//! Archives as builds wrote them that kept no bytes of events.

use std::collections::BTreeMap;

use platform::store::{Committed, DataFile};
use polars::prelude::*;
use serde_json::{Map, Value};
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::Facts;
use shared_logic::decode::{Columns, Decoder};
use shared_logic::schema::INSTANT;
use shared_logic::time::{day_of, format_day};
use storage::Archive;

use super::super::tables::{LOG, Sent, Tables};

/// A record: its offset, its payload, and its time in milliseconds.
type Record<'a> = (i64, Option<&'a [u8]>, i64);

/// The archive of that source with all of these records, some of a partition in a file.
pub(super) async fn archived(tables: &mut Tables, source: &Source, sent: &Sent, per_file: usize, facts: Facts) {
    let mut archive = tables.storage().create_archive("s", &columns(source)).await.expect("created");
    let mut files = Vec::new();
    for (partition, records) in sent {
        let records = (0..).zip(records).map(|(offset, (payload, time_ms))| (offset, payload.as_deref(), *time_ms));
        let records: Vec<Record<'_>> = records.collect();
        for records in records.chunks(per_file) {
            files.extend(written(&archive, source, *partition, records).await);
        }
        tables.next.insert(*partition, records.len() as i64);
    }
    let commit = archive.begin("ARCHIVE").adding(files);
    assert_eq!(archive.commit(commit, Some(facts)).await.expect("tried"), Committed::At(1));
}

fn columns(source: &Source) -> Schema {
    let record = [
        ("_log", DataType::String),
        ("_partition", DataType::Int32),
        ("_offset", DataType::Int64),
        ("_timestamp", INSTANT),
        ("_key", DataType::Binary),
        ("_headers", DataType::String),
        ("_extra", DataType::String),
        ("_raw", DataType::Binary),
        ("_error", DataType::String),
    ];
    let record = record.into_iter().map(|(name, dtype)| (PlSmallStr::from(name), dtype));
    let field = |field: &shared_logic::schema::Field| (PlSmallStr::from(field.name.as_str()), field.kind.table_type());
    record.chain(source.fields.iter().map(field)).collect()
}

/// Writes a file for each day.
async fn written(archive: &Archive, source: &Source, partition: i32, records: &[Record<'_>]) -> Vec<DataFile> {
    let mut by_day: BTreeMap<i64, Vec<Record<'_>>> = BTreeMap::new();
    let mut decoder = Decoder::new(source);
    for (offset, payload, time_ms) in records {
        let time_us = time_ms * 1_000;
        let of_event = decoder.decode(*payload, Some(time_us)).map(|event| event.time_us);
        by_day.entry(day_of(of_event.unwrap_or(time_us))).or_default().push((*offset, *payload, *time_ms));
    }
    let mut files = Vec::new();
    for (day, records) in by_day {
        let rows = rows(source, partition, &records);
        let day = format_day(day);
        let file = archive.write(&day, rows, &["_log", "_partition", "_offset"]);
        files.push(file.await.expect("written"));
    }
    files
}

/// Of an event, its fields and its undeclared members; of any other record, its bytes.
fn rows(source: &Source, partition: i32, records: &[Record<'_>]) -> DataFrame {
    let (mut decoder, mut fields) = (Decoder::new(source), Columns::new(source, |_| true, 0));
    let (mut keys, mut raw) =
        (BinaryChunkedBuilder::new("_key".into(), 0), BinaryChunkedBuilder::new("_raw".into(), 0));
    let (mut extra, mut errors) = (Vec::<Option<String>>::new(), Vec::<Option<String>>::new());
    for (_, payload, time_ms) in records {
        keys.append_null();
        match decoder.decode(*payload, Some(time_ms * 1_000)) {
            Ok(event) => {
                fields.push(&event);
                extra.push(undeclared(source, payload.unwrap_or_default()));
                raw.append_null();
                errors.push(None);
            }
            Err(rejected) => {
                fields.push_nulls();
                extra.push(None);
                raw.append_option(*payload);
                errors.push(Some(rejected.text(&source.fields)));
            }
        }
    }
    let count = records.len();
    let times: Vec<i64> = records.iter().map(|(_, _, time_ms)| time_ms * 1_000).collect();
    let mut columns: Vec<Column> = vec![
        Column::new("_log".into(), vec![LOG; count]),
        Column::new("_partition".into(), vec![partition; count]),
        Column::new("_offset".into(), records.iter().map(|(offset, _, _)| *offset).collect::<Vec<i64>>()),
        Column::new("_timestamp".into(), times).cast(&INSTANT).expect("microseconds are instants"),
        keys.finish().into_series().into(),
        Column::new("_headers".into(), vec![None::<String>; count]),
        Column::new("_extra".into(), extra),
        raw.finish().into_series().into(),
        Column::new("_error".into(), errors),
    ];
    for (field, column) in source.fields.iter().zip(fields.finish().expect("columns").into_columns()) {
        columns.push(column.cast(&field.kind.table_type()).expect("microseconds are instants"));
    }
    DataFrame::new(count, columns).expect("columns of one length")
}

/// The members that the source does not declare, as the text of an object.
fn undeclared(source: &Source, payload: &[u8]) -> Option<String> {
    let members: Map<String, Value> = serde_json::from_slice(payload).expect("an event is an object");
    let others: Map<String, Value> = members.into_iter().filter(|(name, _)| source.field(name).is_none()).collect();
    (!others.is_empty()).then(|| Value::Object(others).to_string())
}
