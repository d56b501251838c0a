//! Outputs that whoever reads their stream rejects, as their time is further ahead of their record's than `max_ahead` allows: the clock of
//! a producer was ahead, or an event's record had no time, while an output's has the broker's. They were published as all others were. Of
//! them the archive holds the bytes, but no columns.

use polars::prelude::*;
use serde_json::{Map, Value};
use shared_logic::catalog::{OUTPUT_ID, OUTPUT_TIME};
use shared_logic::contracts::archive::{ERROR, RAW, record_columns};
use shared_logic::time::parse_rfc3339;

/// Accepts the rows of a stream's archive that may be outputs: events, and rejects, which have their bytes. Marks have none.
pub(super) fn may_be_outputs() -> Expr {
    col(ERROR).is_null().or(col(RAW).is_not_null())
}

/// Rows of a stream's archive, in which rejects that are outputs by their bytes have become events. What these say of the rows' fields is
/// filled in: texts, flags and instants. All other rejects are left out. The rows have to have the bytes.
pub(super) fn as_events(mut rows: DataFrame) -> PolarsResult<DataFrame> {
    let height = rows.height();
    if rows.column(ERROR)?.null_count() == height {
        return Ok(rows);
    }
    let of_record = record_columns().map(|(name, _)| name);
    let mut fields = rows.get_column_names_owned();
    fields.retain(|name| !of_record.contains(name));
    let errors = rows.column(ERROR)?.str()?;
    let rejects = errors.iter().zip(rows.column(RAW)?.binary()?.iter());
    let said: Vec<Option<Vec<Value>>> = rejects.map(|(error, raw)| error.and_then(|_| output(raw?, &fields))).collect();
    let is_output = errors.iter().zip(&said).map(|(error, said)| error.is_none() || said.is_some());
    let is_output: BooleanChunked = is_output.collect();
    let mut filled = vec![Column::full_null(ERROR.into(), height, &DataType::String)];
    for (at, name) in fields.iter().enumerate() {
        let said = said.iter().map(|values| values.as_ref().map(|values| &values[at]));
        filled.push(filled_in(rows.column(name)?, said)?);
    }
    for column in filled {
        rows.with_column(column)?;
    }
    rows.filter(&is_output)
}

/// What an output says of some fields; `None` if these bytes are no output's.
fn output(raw: &[u8], fields: &[PlSmallStr]) -> Option<Vec<Value>> {
    let mut said: Map<String, Value> = serde_json::from_slice(raw).ok()?;
    let is_output =
        said.get(OUTPUT_ID)?.is_string() && parse_rfc3339(said.get(OUTPUT_TIME)?.as_str()?.as_bytes()).is_some();
    is_output.then(|| fields.iter().map(|field| said.remove(field.as_str()).unwrap_or_default()).collect())
}

/// A field's column, which is null where something is said.
fn filled_in<'a>(column: &'a Column, said: impl Iterator<Item = Option<&'a Value>>) -> PolarsResult<Column> {
    let name = column.name().clone();
    Ok(match column.dtype() {
        DataType::String => {
            let rows = column.str()?.iter().zip(said);
            let values: Vec<Option<&str>> = rows.map(|(own, said)| own.or_else(|| said?.as_str())).collect();
            Column::new(name, values)
        }
        DataType::Boolean => {
            let rows = column.bool()?.iter().zip(said);
            let values: Vec<Option<bool>> = rows.map(|(own, said)| own.or_else(|| said?.as_bool())).collect();
            Column::new(name, values)
        }
        DataType::Int64 => {
            let rows = column.i64()?.iter().zip(said);
            let instant = |said: Option<&Value>| parse_rfc3339(said?.as_str()?.as_bytes());
            let values: Vec<Option<i64>> = rows.map(|(own, said)| own.or_else(|| instant(said))).collect();
            Column::new(name, values)
        }
        _ => column.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_that_are_outputs_by_their_bytes_are_taken_for_events() {
        let output: &[u8] =
            br#"{"output_id":"s/v1/log/0/7/0","output_time":"2026-04-24T10:01:00.5Z","n":4,"incomplete":true}"#;
        let without_time: &[u8] = br#"{"output_id":"s/v1/log/0/8/0"}"#;
        let rows = df!(
            ERROR => [None, Some("too_far_ahead:output_time"), Some("mark"), Some("not_json"), Some("wrong_type:n")],
            RAW => [None, Some(output), None, Some(b"no output".as_slice()), Some(without_time)],
            "output_id" => [Some("s/v1/log/0/6/0"), None, None, None, None],
            "output_time" => [Some(5_i64), None, None, None, None],
            "incomplete" => [None::<bool>, None, None, None, None],
        );
        let read = rows.expect("columns").lazy().filter(may_be_outputs()).collect().expect("rows");
        assert_eq!(read.height(), 4, "a mark is none");
        let events = as_events(read).expect("events");
        let expected = df!(
            ERROR => [None::<&str>, None],
            RAW => [None, Some(output)],
            "output_id" => [Some("s/v1/log/0/6/0"), Some("s/v1/log/0/7/0")],
            "output_time" => [5_i64, 1_777_024_860_500_000],
            "incomplete" => [None, Some(true)],
        );
        assert!(events.equals_missing(&expected.expect("columns")), "{events:?}");
    }

    #[test]
    fn events_alone_stay_as_they_are() {
        let rows = df!(ERROR => [None::<&str>], RAW => [None::<&[u8]>], "output_id" => ["a"]).expect("columns");
        assert!(as_events(rows.clone()).expect("events").equals_missing(&rows));
    }
}
