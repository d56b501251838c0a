//! `GET /v1/reports/{report}`: the row of a key in a day. Of a day that was written, it is that of the warehouse; of one that still runs,
//! or has just ended, the merged answer of this moment with the same columns.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use platform::clock;
use serde::Serialize;
use serde_json::{Map, Value};
use shared_logic::catalog::{Catalog, Metric};
use shared_logic::expression::Scalar;
use shared_logic::group_key::{GroupKey, KeyPart, KeyValue};
use shared_logic::report::{CATCH_UP_DAYS, Joined, json, revisable_until};
use shared_logic::schema::Field;
use shared_logic::table::RowValue;
use shared_logic::time::{TimeRange, format_day, format_rfc3339, local_date, local_day};
use utoipa::ToSchema;

use super::query::Asked;
use crate::answer::{Bounds, OfKey, of_key};
use crate::app::App;
use crate::gap_text::GapText;
use crate::openapi::{EveryColumn, Refusals, ReportColumns, Require, WhichVersion};
use crate::problem::Problem;
use crate::report_read::{ReportReader, written};
use crate::routes::{NameInPath, OfVersion, RequestedVersion, of_version};
use crate::versions::Version;

/// The body of an answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportRow)]
pub(crate) struct Body<'a> {
    report: &'a str,
    #[schema(format = Date)]
    date: String,
    /// The first instant of the day.
    #[schema(format = DateTime)]
    from: String,
    /// The first instant of the next one.
    #[schema(format = DateTime)]
    to: String,
    /// By column; null if the key has no events in that day. A sum that does not fit in 64 bits is null, and so is what is calculated of it.
    #[schema(required = true, value_type = Option<ReportColumns>)]
    row: Option<Map<String, Value>>,
    /// How certain what comes from sketches is.
    #[serde(skip_serializing_if = "Bounds::is_empty")]
    bounds: Bounds<'a>,
    /// Whether it is the row of the warehouse.
    r#final: bool,
    /// Until when runs calculate the day again; null if they do not any more.
    #[schema(required = true, format = DateTime)]
    revisable_until: Option<String>,
    /// The version that wrote it to the warehouse: the one that was active then.
    #[schema(required = true)]
    written_by: Option<String>,
    /// When the day was committed to the warehouse.
    #[schema(required = true, format = DateTime)]
    committed_at: Option<String>,
    /// How often it was committed before.
    #[schema(required = true)]
    revisions: Option<u64>,
    /// Whether nothing is missing; true of a row of the warehouse.
    complete: bool,
    gaps: Vec<GapText>,
    /// Nothing that arrived before is missing, if it is a merged answer without gaps.
    #[schema(required = true, format = DateTime)]
    as_of: Option<String>,
}

/// The row of a key in a day
///
/// Of a day that was written, the row of the warehouse. Of one that still runs, or has ended and is not written yet, the merged answer of this
/// moment with the same columns; joined columns are those that their tables have now. Each column of the group key is a parameter, and has to
/// be given.
#[utoipa::path(
    get, path = "/v1/reports/{report}", operation_id = "readReport", tag = "reports",
    params(
        ("report" = String, Path, description = "A report of the catalog."),
        ("date" = String, Query, description = "The day, by the clocks of the report's zone, as YYYY-MM-DD."),
        EveryColumn,
        Require,
        WhichVersion,
    ),
    responses((status = 200, description = "The row, or null if the key has no events in that day.", body = OfVersion<Body<'static>>), Refusals),
)]
pub(crate) async fn row(
    State(app): State<Arc<App>>,
    RequestedVersion(version): RequestedVersion,
    NameInPath(name): NameInPath,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Value>>, Problem> {
    let reader = version.report(&name)?;
    let metric = version.metric(&reader.report.metric)?;
    let asked = Asked::read(query.as_deref(), &fields(&version.catalog, metric))?;
    let (date, now_us) = (format_day(asked.day), clock::now_us());
    let no_day = || Problem::parameter("date", format!("{date} is no day of {}", reader.report.time_zone.name()));
    let times = local_day(asked.day, reader.report.time_zone).ok_or_else(no_day)?;
    let table = reader.newest().await?;
    let until_us = revisable_until(&reader.report, asked.day).filter(|until_us| now_us < *until_us);
    let body = Body {
        report: &name,
        date: date.clone(),
        from: format_rfc3339(times.from_us),
        to: format_rfc3339(times.to_us),
        row: None,
        bounds: Bounds::default(),
        r#final: true,
        revisable_until: until_us.map(format_rfc3339),
        written_by: None,
        committed_at: None,
        revisions: None,
        complete: true,
        gaps: Vec::new(),
        as_of: None,
    };
    // A clock that was ahead may have written a day that is not over.
    let has_ended = times.to_us <= now_us;
    let body = match (written(table.as_ref(), &date), &table) {
        (Some(note), Some(table)) if has_ended => {
            let row = reader.row(table, &date, &asked.key).await?;
            let names = reader.layout.columns().into_iter().map(|(name, _)| name.to_owned());
            Body {
                row: row.map(|row| names.zip(row).collect()),
                written_by: Some(note.version.clone()),
                committed_at: Some(format_rfc3339(note.committed_at_us)),
                revisions: Some(note.revisions),
                ..body
            }
        }
        _ => {
            check_running(reader, &asked, &date, times, now_us)?;
            let merged = of_key(&version, metric, &GroupKey::new(&asked.key), times, &app.http).await?;
            let OfKey { values, gaps, as_of_us } = merged;
            let row = match values {
                Some(values) => {
                    let keys = asked.key.iter().map(scalar).collect();
                    let joined = joined(&version, &reader.layout.joined, &asked).await?;
                    let row = reader.layout.row(keys, joined, &values);
                    let names = reader.layout.columns().into_iter().map(|(name, _)| name.to_owned());
                    Some(names.zip(row.iter().map(json)).collect())
                }
                None => None,
            };
            let (complete, as_of) = (gaps.is_empty(), as_of_us.map(format_rfc3339));
            Body { row, r#final: false, complete, gaps, as_of, ..body }
        }
    };
    let bounds = body.row.as_ref().map(|row| Bounds::of_row(metric, row)).unwrap_or_default();
    let body = Body { bounds, ..body };
    if asked.require_complete && !body.complete {
        let gaps = body.gaps.iter().map(|gap| serde_json::to_value(gap).expect("a gap is plain data"));
        return Err(Problem::incomplete(gaps.collect()));
    }
    Ok(of_version(&version, serde_json::to_value(&body).expect("a body is plain data")))
}

/// Refuses days that have not begun, and days that were not written and are too long ago for their rows of tables to be those of today.
fn check_running(
    reader: &ReportReader,
    asked: &Asked,
    date: &str,
    times: TimeRange,
    now_us: i64,
) -> Result<(), Problem> {
    let zone = reader.report.time_zone;
    if now_us < times.from_us {
        return Err(Problem::parameter("date", format!("{date} has not begun in {}", zone.name())));
    }
    let today = local_date(now_us, zone).unwrap_or(asked.day);
    if asked.day < today - CATCH_UP_DAYS {
        return Err(Problem::no_date(&reader.report.name, date));
    }
    Ok(())
}

/// The columns of the group key.
fn fields<'a>(catalog: &'a Catalog, metric: &'a Metric) -> Vec<&'a Field> {
    let source = &catalog.sources[&metric.source];
    metric.by.iter().filter_map(|name| source.field(name)).collect()
}

/// The joined columns of a key, from the rows that tables have now.
async fn joined(version: &Version, tables: &[Joined], asked: &Asked) -> Result<Vec<Scalar<'static>>, Problem> {
    let mut columns = Vec::new();
    for Joined { table, on, take, .. } in tables {
        let reader = version.table(table)?;
        let change = match table_key(asked, *on) {
            Some(text) => reader.row(&version.snapshots, &text).await?.change.map(|(change, _)| change),
            None => None,
        };
        let row = change.as_ref().and_then(|change| Some((change.timestamp_us, change.row.as_ref()?)));
        columns.extend(take.iter().map(|(name, _)| match row {
            Some((changed_at_us, row)) => match reader.source.fields.iter().position(|field| field.name == *name) {
                // The last field is the record's own timestamp, which is no value of the row.
                Some(at) => row.get(at).map_or(Scalar::Timestamp(changed_at_us), |value| of_table(value.as_ref())),
                None => Scalar::Null,
            },
            None => Scalar::Null,
        }));
    }
    Ok(columns)
}

fn of_table(value: Option<&RowValue>) -> Scalar<'static> {
    match value {
        None => Scalar::Null,
        Some(RowValue::Text(text)) => Scalar::String(text.to_string().into()),
        Some(RowValue::Int(value)) => Scalar::Int((*value).into()),
        Some(RowValue::Float(value)) => Scalar::Float(*value),
        Some(RowValue::Bool(value)) => Scalar::Bool(*value),
        Some(RowValue::Instant(us)) => Scalar::Timestamp(*us),
    }
}

/// A column of the key as a table's key has it; `None` where it is absent. A text is whole there, however long it is.
fn table_key(asked: &Asked, on: usize) -> Option<String> {
    match asked.key.get(on)? {
        KeyPart::Value(KeyValue::Text(_)) => asked.texts.get(on)?.clone(),
        KeyPart::Value(KeyValue::Int(value)) => Some(value.to_string()),
        _ => None,
    }
}

fn scalar(part: &KeyPart) -> Scalar<'static> {
    match part {
        KeyPart::All | KeyPart::Missing => Scalar::Null,
        KeyPart::Value(KeyValue::Text(text)) => Scalar::String(text.clone().into()),
        KeyPart::Value(KeyValue::Int(value)) => Scalar::Int((*value).into()),
        KeyPart::Value(KeyValue::Bool(value)) => Scalar::Bool(*value),
        KeyPart::Value(KeyValue::Timestamp(us)) => Scalar::Timestamp(*us),
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::schema::FieldType;

    use super::*;

    #[test]
    fn a_long_text_is_looked_up_whole_and_a_number_by_its_digits() {
        let long = "u".repeat(9_000);
        let fields = [Field::new("user_id", FieldType::String, false), Field::new("code", FieldType::Int, true)];
        let query = format!("date=1970-01-02&user_id={long}&code=007");
        let asked = Asked::read(Some(&query), &fields.each_ref()).expect("readable");
        assert!(matches!(&asked.key[0], KeyPart::Value(KeyValue::Text(text)) if text.len() < long.len()));
        assert_eq!(table_key(&asked, 0), Some(long));
        assert_eq!(table_key(&asked, 1).as_deref(), Some("7"));
        let absent = Asked::read(Some("date=1970-01-02&user_id=u&code.missing=true"), &fields.each_ref());
        assert_eq!(table_key(&absent.expect("readable"), 1), None);
    }
}
