//! Rows of an archive → outputs.

use std::borrow::Cow;

use polars::prelude::*;
use serde_json::{Map, Value};
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ERASED, ERROR, LOG, OFFSET, PARTITION, RAW, TIMESTAMP};
use shared_logic::decode::Event;
use shared_logic::log::OffsetRange;
use shared_logic::schema::FieldType;
use shared_logic::time::format_rfc3339;

use super::super::output::{Output, OutputReader, text_of};
use super::super::question::Filter;
use super::Wanted;

/// A row that is wanted.
pub(in crate::stream_read) struct Row<'a> {
    pub(in crate::stream_read) partition: i32,
    pub(in crate::stream_read) offset: i64,
    pub(super) time_us: i64,
    id: Cow<'a, str>,
    /// A JSON object.
    pub(in crate::stream_read) json: Cow<'a, str>,
}

impl Row<'_> {
    pub(super) fn into_output(self) -> Output {
        Output { time_us: self.time_us, id: self.id.into_owned(), json: self.json.into_owned() }
    }
}

/// The columns by which rows are read that are judged by them.
#[derive(Clone)]
pub(super) struct Columns {
    /// Those by which rows are judged.
    pub(super) deciding: Schema,
    /// Those, and all that is shown.
    pub(super) all: Schema,
    time: String,
    id: String,
    /// Name, type and column of each field, if there are rows whose bytes were not kept.
    fields: Vec<(String, FieldType, String)>,
}

impl Columns {
    /// The columns of rows of a stream that a filter judges. `column` names that of a field, by its place.
    pub(super) fn new(
        source: &Source,
        filter: &Filter,
        lacks_bytes: bool,
        column: impl Fn(usize) -> String,
    ) -> Columns {
        let typed = |field: usize| (column(field), source.fields[field].kind.column_type());
        let time = place(source, &source.event_time);
        let id = source.event_id.first().map_or(time, |id| place(source, id));
        let shown: Vec<usize> = if lacks_bytes { (0..source.fields.len()).collect() } else { Vec::new() };
        let deciding = with(places(), [time].into_iter().chain(filter.fields()).map(typed));
        let all = with(deciding.clone(), shown.iter().copied().chain([id]).map(typed));
        let field = |at: &usize| (source.fields[*at].name.clone(), source.fields[*at].kind, column(*at));
        Columns {
            deciding,
            all: with(all, [(RAW.to_owned(), DataType::Binary)]),
            time: column(time),
            id: column(id),
            fields: shown.iter().map(field).collect(),
        }
    }

    /// Shows each row of a frame of all columns, the last one first.
    pub(super) fn each(&self, rows: &DataFrame, mut visit: impl FnMut(Row<'_>)) -> PolarsResult<()> {
        let (partition, offset) = (rows.column(PARTITION)?.i32()?, rows.column(OFFSET)?.i64()?);
        let (time, id) = (rows.column(&self.time)?.i64()?, rows.column(&self.id)?.str()?);
        let raw = rows.column(RAW)?.binary()?;
        for row in (0..rows.height()).rev() {
            let json = match raw.get(row) {
                Some(payload) => Cow::Borrowed(text_of(payload)),
                None => Cow::Owned(self.shown(rows, row)?),
            };
            visit(Row {
                partition: partition.get(row).unwrap_or_default(),
                offset: offset.get(row).unwrap_or_default(),
                time_us: time.get(row).unwrap_or_default(),
                id: Cow::Borrowed(id.get(row).unwrap_or_default()),
                json,
            });
        }
        Ok(())
    }

    /// A row as it was written, as far as it was kept: what is null is left out.
    fn shown(&self, rows: &DataFrame, row: usize) -> PolarsResult<String> {
        let mut object = Map::new();
        for (name, kind, column) in &self.fields {
            let column = rows.column(column)?;
            let value = match kind {
                FieldType::String => column.str()?.get(row).map(Value::from),
                FieldType::Int => column.i64()?.get(row).map(Value::from),
                FieldType::Timestamp => column.i64()?.get(row).map(|us| format_rfc3339(us).into()),
                FieldType::Float => column.f64()?.get(row).map(Value::from),
                FieldType::Bool => column.bool()?.get(row).map(Value::from),
            };
            object.extend(value.map(|value| (name.clone(), value)));
        }
        Ok(Value::Object(object).to_string())
    }
}

/// The columns by which records are read that are judged by their bytes.
pub(super) fn bytes() -> Schema {
    with(places(), [(TIMESTAMP.to_owned(), DataType::Int64), (RAW.to_owned(), DataType::Binary)])
}

/// Shows each wanted record of a frame of [`bytes`], the last one first.
pub(super) fn of_bytes(
    rows: &DataFrame,
    mut reader: OutputReader,
    wanted: &Wanted,
    mut visit: impl FnMut(Row<'_>),
) -> PolarsResult<()> {
    let (log, error) = (rows.column(LOG)?.str()?, rows.column(ERROR)?.str()?);
    let (partition, offset) = (rows.column(PARTITION)?.i32()?, rows.column(OFFSET)?.i64()?);
    let (timestamp, raw) = (rows.column(TIMESTAMP)?.i64()?, rows.column(RAW)?.binary()?);
    for row in (0..rows.height()).rev() {
        let (partition, offset) = (partition.get(row).unwrap_or_default(), offset.get(row).unwrap_or_default());
        let lies_in = |range: &OffsetRange| {
            log.get(row) == Some(range.id.log.as_str())
                && partition == range.id.partition
                && (range.from..range.to).contains(&offset)
        };
        let is_wanted = wanted.ranges.as_ref().is_none_or(|ranges| ranges.iter().any(lies_in));
        if !is_wanted || error.get(row) == Some(ERASED) {
            continue;
        }
        let accepts = |event: &Event<'_>| wanted.times.contains(event.time_us) && wanted.filter.accepts(event);
        if let Some(output) = reader.output(raw.get(row), timestamp.get(row), accepts) {
            let Output { time_us, id, json } = output;
            visit(Row { partition, offset, time_us, id: Cow::Owned(id), json: Cow::Owned(json) });
        }
    }
    Ok(())
}

/// The place of a declared field.
pub(super) fn place(source: &Source, name: &str) -> usize {
    source.fields.iter().position(|field| field.name == name).unwrap_or_default()
}

/// Where a record lies, and whether it is an event.
fn places() -> Schema {
    let columns =
        [(LOG, DataType::String), (PARTITION, DataType::Int32), (OFFSET, DataType::Int64), (ERROR, DataType::String)];
    columns.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype)).collect()
}

fn with(mut columns: Schema, others: impl IntoIterator<Item = (String, DataType)>) -> Schema {
    for (name, dtype) in others {
        columns.with_column(name.into(), dtype);
    }
    columns
}
