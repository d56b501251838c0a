//! `GET /v1/rejected`: the newest rejected records of a source, with their bytes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use shared_logic::catalog::Source;
use shared_logic::rejection::Reason;
use shared_logic::suggest;
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use super::parameters::Parameters;
use super::{OfVersion, RequestedVersion, of_version};
use crate::app::App;
use crate::openapi::{Refusals, WhichVersion};
use crate::problem::Problem;
use crate::reject_read::{Question, RejectedRecord, Shown};
use crate::versions::Version;

/// How many records are given if the request does not say.
const LIMIT: usize = 20;
/// How many records a request can ask for.
const LIMIT_MAX: usize = 100;
/// For how long records are searched, if a request may take twice as long.
const SEARCH: Duration = Duration::from_secs(5);

/// The body of the response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RejectedRecords)]
pub(crate) struct Body {
    source: String,
    /// Whether anything of the source is archived.
    archived: bool,
    /// The newest first, by day and by their own timestamps.
    records: Vec<Record>,
    /// Whether there may be older ones.
    more: bool,
    /// Whether the search has come to its end. Otherwise it was ended after a few seconds, and older records may be missing.
    complete: bool,
}

/// A rejected record
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RejectedRecord)]
pub(crate) struct Record {
    log: String,
    partition: i32,
    offset: i64,
    /// The record's own timestamp; null if it has none.
    #[schema(required = true, format = DateTime)]
    timestamp: Option<String>,
    /// Why it was rejected, such as `missing_field`.
    reason: String,
    /// The field that the reason is about; null if it is about none.
    #[schema(required = true)]
    field: Option<String>,
    /// Whether the catalog's rules have rejected it. Otherwise older rules have, and those of now may accept it: `braid rejected show` says so.
    current: bool,
    /// At most 1,024 bytes; null if it has none.
    #[schema(required = true)]
    key: Option<Shown>,
    /// At most 4,096 bytes; null if it has none.
    #[schema(required = true)]
    payload: Option<Shown>,
}

impl Record {
    fn new(record: RejectedRecord) -> Record {
        let RejectedRecord { log, partition, offset, timestamp_us, error, is_of_these_rules, key, payload } = record;
        let (reason, field) = match error.split_once(':') {
            Some((reason, field)) => (reason.to_owned(), Some(field.to_owned())),
            None => (error, None),
        };
        let timestamp = timestamp_us.map(format_rfc3339);
        Record { log, partition, offset, timestamp, reason, field, current: is_of_these_rules, key, payload }
    }
}

/// The newest rejected records of a source, with their bytes
///
/// They are read from the archive, as they were judged when they were archived. Bytes may be anything that a client has sent; where there are
/// API keys, this needs one with the scope `admin`. Marks, deletes and erased records are left out.
#[utoipa::path(
    get, path = "/v1/rejected", operation_id = "listRejected", tag = "status",
    params(
        WhichVersion,
        ("source" = String, Query, description = "A source, stream or table of the catalog."),
        ("reason" = Option<String>, Query, description = "Only those rejected for this reason. Default: for any.", example = "missing_field"),
        ("limit" = Option<usize>, Query, description = "How many records at most. Default: 20.", minimum = 1, maximum = 100, example = 5),
    ),
    responses((status = 200, description = "The records; none if nothing is archived or rejected.", body = OfVersion<Body>), Refusals),
)]
pub(crate) async fn newest(
    RequestedVersion(version): RequestedVersion,
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Body>>, Problem> {
    let parameters = Parameters::read(query.as_deref())?;
    parameters.only(["source", "reason", "limit"].into_iter())?;
    let source = source(&version, parameters.get("source"))?;
    let reason = parameters.get("reason").map(reason).transpose()?;
    let limit = parameters.limit(LIMIT, LIMIT_MAX)?;
    let within = SEARCH.min(app.http.request_timeout.get() / 2);
    let rejects = version.rejects.newest(&Question { source, reason, limit, within }).await?;
    let body = Body {
        source: source.name.clone(),
        archived: rejects.is_archived,
        records: rejects.records.into_iter().map(Record::new).collect(),
        more: rejects.has_more,
        complete: rejects.is_complete,
    };
    Ok(of_version(&version, body))
}

fn source<'a>(version: &'a Version, name: Option<&str>) -> Result<&'a Source, Problem> {
    let sources = &version.catalog.sources;
    let known = || sources.keys().map(String::as_str);
    let Some(name) = name else {
        let detail = format!("source is missing: name one of {}", known().collect::<Vec<_>>().join(", "));
        return Err(Problem::parameter("source", detail));
    };
    sources.get(name).ok_or_else(|| {
        let detail = format!("there is no source {name:?}: {}", suggest::fix(name, "sources", known()));
        Problem::parameter("source", detail)
    })
}

fn reason(name: &str) -> Result<Reason, Problem> {
    Reason::ALL.into_iter().find(|reason| reason.name() == name).ok_or_else(|| {
        let known = Reason::ALL.map(Reason::name).join(", ");
        Problem::parameter("reason", format!("there is no reason {name:?}; the reasons are {known}"))
    })
}
