//! `GET /v1/reports`: every report, and how far it is written.

use axum::Json;
use axum::extract::RawQuery;
use platform::clock;
use serde::Serialize;
use serde_json::{Map, Value};
use shared_logic::time::{format_day, format_rfc3339, local_date};
use utoipa::ToSchema;

use crate::answer::duration_text;
use crate::openapi::{Refusals, WhichVersion};
use crate::problem::Problem;
use crate::report_read::ReportReader;
use crate::routes::parameters::Parameters;
use crate::routes::{OfVersion, RequestedVersion, of_version};

/// The body of the response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reports)]
pub(crate) struct Body {
    reports: Vec<Described>,
}

/// What a report is made of, and how far it is written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Report)]
struct Described {
    name: String,
    /// The metric whose rows it has.
    metric: String,
    /// When it runs, as a cron expression on the clocks of its zone.
    schedule: String,
    time_zone: &'static str,
    /// The tables that are joined.
    tables: Vec<String>,
    /// The columns of the group key.
    key: Vec<String>,
    /// All columns of a row, in their order.
    columns: Vec<Column>,
    /// The expressions of the columns that are calculated.
    #[schema(value_type = BTreeMap<String, String>)]
    computed: Map<String, Value>,
    /// How long after the end of a day a record may arrive that its first row counts.
    settle: String,
    /// For how long after its end a day is calculated again by each run.
    revise: String,
    /// The day that runs now in its zone.
    #[schema(required = true, format = Date)]
    running_date: Option<String>,
    /// The last day that was written.
    #[schema(required = true)]
    last: Option<LastDay>,
    /// Why `last` could not be read.
    #[schema(required = true)]
    why: Option<String>,
}

/// A column of a report.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportColumn)]
struct Column {
    name: String,
    /// `string`, `int`, `float`, `bool` or `timestamp`.
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The last day of a report that was written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportDay)]
struct LastDay {
    #[schema(format = Date)]
    date: String,
    rows: u64,
    #[schema(format = DateTime)]
    committed_at: String,
    /// How often it was committed before.
    revisions: u64,
}

/// All reports, and how far they are written
///
/// What each report is made of, when it runs, and the last day that was written. If the store cannot be read, `last` is null, with the reason
/// in `why`.
#[utoipa::path(
    get, path = "/v1/reports", operation_id = "listReports", tag = "reports",
    params(WhichVersion),
    responses((status = 200, description = "All reports, in the order of their names.", body = OfVersion<Body>), Refusals),
)]
pub(crate) async fn all(
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Body>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let now_us = clock::now_us();
    let described = version.reports.values().map(|reader| described(reader, now_us));
    let reports = futures::future::join_all(described).await;
    Ok(of_version(&version, Body { reports }))
}

async fn described(reader: &ReportReader, now_us: i64) -> Described {
    let report = &reader.report;
    let (written, why) = match reader.newest().await {
        Ok(table) => (table, None),
        Err(problem) => (None, Some(problem.detail)),
    };
    let last = written.as_ref().and_then(|table| table.note()).and_then(|note| note.last());
    let last = last.map(|(date, note)| LastDay {
        date: date.to_owned(),
        rows: note.rows,
        committed_at: format_rfc3339(note.committed_at_us),
        revisions: note.revisions,
    });
    let columns = reader.layout.columns().into_iter();
    Described {
        name: report.name.clone(),
        metric: report.metric.clone(),
        schedule: report.schedule.to_string(),
        time_zone: report.time_zone.name(),
        tables: report.join.iter().map(|join| join.table.clone()).collect(),
        key: reader.layout.keys.iter().map(|(name, _)| name.clone()).collect(),
        columns: columns.map(|(name, kind)| Column { name: name.to_owned(), kind: kind.name() }).collect(),
        computed: report.columns.iter().map(|column| (column.name.clone(), column.of.to_string().into())).collect(),
        settle: duration_text(report.settle_us),
        revise: duration_text(report.revise_us),
        running_date: local_date(now_us, report.time_zone).map(format_day),
        last,
        why,
    }
}
