//! `GET /v1/reports`: every report, and how far it is written.

use axum::Json;
use axum::extract::RawQuery;
use platform::clock;
use serde_json::{Value, json};
use shared_logic::time::{format_day, format_rfc3339, local_date};

use crate::answer::duration_text;
use crate::problem::Problem;
use crate::report_read::ReportReader;
use crate::routes::parameters::Parameters;
use crate::routes::{OfVersion, RequestedVersion, of_version};

/// All reports, in the order of their names.
pub(crate) async fn all(
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Value>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let now_us = clock::now_us();
    let described = version.reports.values().map(|reader| described(reader, now_us));
    Ok(of_version(&version, json!({"reports": futures::future::join_all(described).await})))
}

async fn described(reader: &ReportReader, now_us: i64) -> Value {
    let report = &reader.report;
    let columns = reader.layout.columns().into_iter().map(|(name, kind)| json!({"name": name, "type": kind.name()}));
    let columns: Vec<Value> = columns.collect();
    let key: Vec<&str> = reader.layout.keys.iter().map(|(name, _)| name.as_str()).collect();
    let (written, why) = match reader.newest().await {
        Ok(table) => (table, None),
        Err(problem) => (None, Some(problem.detail)),
    };
    let last = written.as_ref().and_then(|table| table.note()).and_then(|note| note.last());
    let last = last.map(|(date, note)| {
        json!({
            "date": date,
            "rows": note.rows,
            "committed_at": format_rfc3339(note.committed_at_us),
            "revisions": note.revisions,
        })
    });
    let computed = report.columns.iter().map(|column| (column.name.clone(), column.of.to_string().into()));
    json!({
        "name": report.name,
        "metric": report.metric,
        "schedule": report.schedule.to_string(),
        "time_zone": report.time_zone.name(),
        "tables": report.join.iter().map(|join| join.table.as_str()).collect::<Vec<&str>>(),
        "key": key,
        "columns": columns,
        "computed": computed.collect::<serde_json::Map<String, Value>>(),
        "settle": duration_text(report.settle_us),
        "revise": duration_text(report.revise_us),
        "running_date": local_date(now_us, report.time_zone).map(format_day),
        "last": last,
        "why": why,
    })
}
