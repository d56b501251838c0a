//! What a request gets instead of an answer: a problem as of RFC 9457, `application/problem+json`.
//!
//! A problem says what to do, and names the parameter if one has to change. Server faults are logged where they occur; a problem
//! only reports them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use platform::telemetry::error_text;
use serde::Serialize;
use serde_json::Value;
use shared_logic::suggest;

use crate::batch_view::SegmentError;
use crate::speed_view::SpeedError;
use crate::stream_read::{NotRead, WATCHERS_MAX};

/// After how many seconds a client may try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// The parameter that names a version of the deployment; every path has it whose answers are of one.
pub(crate) const VERSION: &str = "version";

/// The body of the response, and its status.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    /// Names the kind of problem.
    #[serde(rename = "type", serialize_with = "as_urn")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    pub(crate) detail: String,
    /// The parameter that has to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<String>,
    /// Why the answer is not complete, if a complete one was required.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<Value>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: String) -> Problem {
        Problem { kind, title, status, detail, parameter: None, gaps: Vec::new() }
    }

    /// A parameter that is unknown, is repeated, or has a value that cannot be used.
    pub(crate) fn parameter(name: &str, detail: String) -> Problem {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "bad-parameter", "A parameter cannot be used", detail);
        Problem { parameter: Some(name.to_owned()), ..problem }
    }

    /// There is no such metric.
    pub(crate) fn no_metric(name: &str, known: impl Iterator<Item = String>) -> Problem {
        let known: Vec<String> = known.collect();
        let detail = format!("there is no metric {name:?}; the catalog declares {}", known.join(", "));
        Problem::new(StatusCode::NOT_FOUND, "unknown-metric", "No such metric", detail)
    }

    /// There is no such stream.
    pub(crate) fn no_stream(name: &str, known: impl Iterator<Item = String>) -> Problem {
        let known: Vec<String> = known.collect();
        let declared = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let detail = format!("there is no stream {name:?}; the catalog declares {declared}");
        Problem::new(StatusCode::NOT_FOUND, "unknown-stream", "No such stream", detail)
    }

    /// There is no such table.
    pub(crate) fn no_table(name: &str, known: impl Iterator<Item = String>) -> Problem {
        let known: Vec<String> = known.collect();
        let declared = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let detail = format!("there is no table {name:?}; the catalog declares {declared}");
        Problem::new(StatusCode::NOT_FOUND, "unknown-table", "No such table", detail)
    }

    /// There is no such search index.
    pub(crate) fn no_index(name: &str, known: &[&str]) -> Problem {
        let detail = format!("there is no index {name:?}: {}", suggest::fix(name, "indexes", known.iter().copied()));
        Problem::new(StatusCode::NOT_FOUND, "unknown-index", "No such index", detail)
    }

    /// Nothing can be searched now.
    pub(crate) fn not_searchable(index: &str, why: &str) -> Problem {
        let detail = format!("{index} cannot be searched now: {why}");
        Problem::unavailable("index-unavailable", "The index cannot be searched", detail)
    }

    /// The parameters are no search.
    pub(crate) fn not_a_search(detail: String) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad-parameter", "A parameter cannot be used", detail)
    }

    /// There is no such version of the deployment.
    pub(crate) fn no_version(name: &str, known: impl Iterator<Item = String>) -> Problem {
        let known: Vec<String> = known.collect();
        let detail = format!("there is no version {name:?}; there are {}", known.join(", "));
        Problem::of_version(StatusCode::NOT_FOUND, "unknown-version", "No such version", detail)
    }

    /// The version is being removed, or is removed.
    pub(crate) fn version_gone(name: &str, stage: &str) -> Problem {
        let detail = format!("version {name} is {stage}: nothing is answered of it any more");
        Problem::of_version(StatusCode::NOT_FOUND, "version-retired", "The version is retired", detail)
    }

    /// The version lives, and this process cannot serve it.
    pub(crate) fn version_not_served(name: &str, why: &str) -> Problem {
        let detail = format!("version {name} cannot be served here: {why}");
        Problem::of_version(StatusCode::SERVICE_UNAVAILABLE, "version-not-served", "The version is not served", detail)
    }

    fn of_version(status: StatusCode, kind: &'static str, title: &'static str, detail: String) -> Problem {
        Problem { parameter: Some(VERSION.to_owned()), ..Problem::new(status, kind, title, detail) }
    }

    /// The rows of a table are not all there.
    pub(crate) fn no_rows(table: &str, why: &str) -> Problem {
        let detail = format!("the rows of {table} are not all there: {why}");
        Problem::unavailable("table-not-filled", "The table cannot be read yet", detail)
    }

    /// Redis cannot be read.
    pub(crate) fn redis(reason: &str) -> Problem {
        Problem::unavailable("redis-unavailable", "Redis cannot be read", reason.to_owned())
    }

    /// There is no such report.
    pub(crate) fn no_report(name: &str, known: impl Iterator<Item = String>) -> Problem {
        let known: Vec<String> = known.collect();
        let declared = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let detail = format!("there is no report {name:?}; the catalog declares {declared}");
        Problem::new(StatusCode::NOT_FOUND, "unknown-report", "No such report", detail)
    }

    /// The day of a report was not written.
    pub(crate) fn no_date(report: &str, date: &str) -> Problem {
        let detail =
            format!("{report} has no rows of {date}; `batch-layer report run {report} --date {date}` writes them");
        Problem::new(StatusCode::NOT_FOUND, "unknown-date", "The day was not written", detail)
    }

    /// As many clients watch streams as may.
    pub(crate) fn too_many_watchers() -> Problem {
        let detail = format!("{WATCHERS_MAX} clients watch streams already; try again, or ask another process");
        Problem::unavailable("too-many-watchers", "Too many clients watch streams", detail)
    }

    /// There is no such path.
    pub(crate) fn no_path(path: &str) -> Problem {
        let detail = format!("there is nothing at {path}; /openapi.json lists all paths");
        Problem::new(StatusCode::NOT_FOUND, "unknown-path", "No such path", detail)
    }

    /// The path exists, but not with this method.
    pub(crate) fn method(method: &str) -> Problem {
        let detail = format!("{method} is not possible here; every path answers GET and HEAD only");
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    /// No snapshot was taken yet.
    pub(crate) fn starting() -> Problem {
        let detail = "the batch views are still being loaded".to_owned();
        Problem::unavailable("starting", "The serving layer is starting", detail)
    }

    /// The view of that metric was not loaded yet.
    pub(crate) fn loading(metric: &str) -> Problem {
        let detail = format!("the batch view of {metric} is still being loaded");
        Problem::unavailable("starting", "The serving layer is starting", detail)
    }

    /// The view or the archive was never read.
    pub(crate) fn store(reason: &str) -> Problem {
        let detail = format!("the store cannot be read: {reason}");
        Problem::unavailable("store-unavailable", "The store cannot be read", detail)
    }

    /// A complete answer was required, but this one has gaps.
    pub(crate) fn incomplete(gaps: Vec<Value>) -> Problem {
        let detail = "the request has require=complete, but the answer would not be complete (see gaps)".to_owned();
        Problem { gaps, ..Problem::unavailable("incomplete", "No complete answer", detail) }
    }

    /// The request took longer than `http.request_timeout`.
    pub(crate) fn too_slow(within: std::time::Duration) -> Problem {
        let detail =
            format!("there was no answer within {within:?} (http.request_timeout); ask for less, or try again");
        Problem::unavailable("timeout", "The request took too long", detail)
    }

    /// A bug in the serving layer.
    pub(crate) fn internal() -> Problem {
        let detail = "the request failed because of a bug in the serving layer; its log says more".to_owned();
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// Not possible now; trying again may help.
    fn unavailable(kind: &'static str, title: &'static str, detail: String) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail)
    }
}

impl From<SpeedError> for Problem {
    fn from(error: SpeedError) -> Problem {
        let detail = format!("{}; without redis the numbers would be too small", error_text(&error));
        Problem::unavailable("redis-unavailable", "The speed view cannot be read", detail)
    }
}

impl From<NotRead> for Problem {
    fn from(error: NotRead) -> Problem {
        match error {
            NotRead::Loading(_) => Problem::unavailable("starting", "The serving layer is starting", error.to_string()),
            NotRead::Store(reason) => Problem::store(&reason),
            NotRead::Changed(_) => {
                Problem::unavailable("stream-changed", "The stream cannot be read", error.to_string())
            }
        }
    }
}

impl From<SegmentError> for Problem {
    fn from(error: SegmentError) -> Problem {
        Problem::unavailable("view-unavailable", "The batch view cannot be read", error_text(&error))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a problem is plain data");
        let mut response = (self.status, body).into_response();
        let mut set = |name, value| drop(response.headers_mut().insert(name, HeaderValue::from_static(value)));
        set(header::CONTENT_TYPE, "application/problem+json");
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => set(header::ALLOW, "GET, HEAD"),
            StatusCode::SERVICE_UNAVAILABLE => set(header::RETRY_AFTER, RETRY_AFTER_SECONDS),
            _ => {}
        }
        response
    }
}

fn as_urn<S: serde::Serializer>(kind: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:braid:problem:{kind}"))
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
