//! What a request gets instead of an answer: a problem as of RFC 9457, `application/problem+json`.
//!
//! A problem says what to do, and names the parameter if one has to change. Server faults are logged where they occur; a problem
//! only reports them.
//!
//! - `access`: the problems of requests that are not admitted.

mod access;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use platform::telemetry::error_text;
use serde::Serialize;
use serde_json::Value;
use shared_logic::suggest;
use utoipa::ToSchema;

use crate::batch_view::SegmentError;
use crate::gap_text::GapText;
use crate::speed_view::SpeedError;
use crate::stream_read::NotRead;

/// After how many seconds a client may try again what is not possible now.
const RETRY_AFTER_SECONDS: u32 = 1;
/// How a client may send a key. A browser asks its user for the second.
const CHALLENGES: [&str; 2] = ["Bearer realm=\"braid\"", "Basic realm=\"braid\", charset=\"UTF-8\""];

/// The path of several queries at once, which are in the body of the request.
pub(crate) const SEVERAL: &str = "/v1/query";

/// The parameter that names a version of the deployment; every path has it whose answers are of one.
pub(crate) const VERSION: &str = "version";

/// The body of the response, and its status.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Names the kind of problem, as `urn:braid:problem:bad-parameter`.
    #[serde(rename = "type", serialize_with = "as_urn")]
    pub(crate) kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// What is wrong, and what to do.
    pub(crate) detail: String,
    /// The parameter that has to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) parameter: Option<String>,
    /// Why the answer is not complete, if a complete one was required.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<GapText>)]
    gaps: Vec<Value>,
    /// After how many seconds it may be tried again.
    #[serde(skip)]
    retry_after: Option<u32>,
    /// Whether the path answers POST alone, and not GET and HEAD.
    #[serde(skip)]
    is_of_post: bool,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: String) -> Problem {
        Problem { kind, title, status, detail, parameter: None, gaps: Vec::new(), retry_after: None, is_of_post: false }
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
        let detail = format!(
            "version {name} is {stage}, and nothing is answered of it any more: leave {VERSION} out to ask the active one"
        );
        Problem::of_version(StatusCode::NOT_FOUND, "version-retired", "The version is retired", detail)
    }

    /// The version lives, and this process cannot serve it.
    pub(crate) fn version_not_served(name: &str, why: &str) -> Problem {
        let detail = format!("version {name} cannot be served here: {why}");
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let problem = Problem::of_version(status, "version-not-served", "The version is not served", detail);
        Problem { retry_after: Some(RETRY_AFTER_SECONDS), ..problem }
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

    /// As many clients watch as may.
    pub(crate) fn too_many_watchers(most: usize) -> Problem {
        let detail = format!("{most} clients watch already (serving.live_clients); try again, or ask another process");
        Problem::unavailable("too-many-watchers", "Too many clients watch", detail)
    }

    /// As many questions are watched as may.
    pub(crate) fn too_many_questions(most: usize) -> Problem {
        let detail = format!(
            "{most} different questions are watched already (serving.live_questions); watch one of them, ask without watching, or \
             ask another process"
        );
        Problem::unavailable("too-many-questions", "Too many questions are watched", detail)
    }

    /// There is no such path.
    pub(crate) fn no_path(path: &str) -> Problem {
        let detail = format!("there is nothing at {path}; /openapi.json lists all paths");
        Problem::new(StatusCode::NOT_FOUND, "unknown-path", "No such path", detail)
    }

    /// The path exists, but not with this method.
    pub(crate) fn method(method: &str, path: &str) -> Problem {
        // All others only read what their query string says.
        let is_of_post = path == SEVERAL;
        let detail = format!("{method} is not possible here; {path} answers {} only", allowed(is_of_post));
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail);
        Problem { is_of_post, ..problem }
    }

    /// The body of a request is not what it has to be.
    pub(crate) fn body(why: &str) -> Problem {
        let detail = format!("the body cannot be read: {why}; /docs shows one that can");
        Problem::new(StatusCode::BAD_REQUEST, "bad-body", "The body cannot be used", detail)
    }

    /// The same of one of several queries.
    pub(crate) fn of_query(self, at: usize) -> Problem {
        let parameter = match &self.parameter {
            Some(name) => format!("queries[{at}].{name}"),
            None => format!("queries[{at}]"),
        };
        Problem { detail: format!("queries[{at}]: {}", self.detail), parameter: Some(parameter), ..self }
    }

    /// No snapshot was taken yet.
    pub(crate) fn starting() -> Problem {
        let detail = "the batch views are still being loaded: ask again in a moment".to_owned();
        Problem::unavailable("starting", "The serving layer is starting", detail)
    }

    /// The view of that metric was not loaded yet.
    pub(crate) fn loading(metric: &str) -> Problem {
        let detail = format!("the batch view of {metric} is still being loaded: ask again in a moment");
        Problem::unavailable("starting", "The serving layer is starting", detail)
    }

    /// The view or the archive was never read.
    pub(crate) fn store(reason: &str) -> Problem {
        let detail = format!("the store cannot be read: {reason}");
        Problem::unavailable("store-unavailable", "The store cannot be read", detail)
    }

    /// A complete answer was required, but this one has gaps.
    pub(crate) fn incomplete(gaps: Vec<Value>) -> Problem {
        let detail = "the request has require=complete, but the answer would not be complete: gaps say what is missing and what \
                      to do; leave require out to get it as it is"
            .to_owned();
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
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail);
        Problem { retry_after: Some(RETRY_AFTER_SECONDS), ..problem }
    }
}

impl From<SpeedError> for Problem {
    fn from(error: SpeedError) -> Problem {
        match error {
            SpeedError::TooMany { .. } => {
                return Problem::unavailable("too-many-keys", "There are too many keys", error.to_string());
            }
            SpeedError::Overtaken { .. } => {
                return Problem::unavailable("overtaken", "The speed view changes too fast", error.to_string());
            }
            _ => {}
        }
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
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed(self.is_of_post)));
        }
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                for challenge in CHALLENGES {
                    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
            }
            // What is left of the body would be taken for the next request.
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// The methods that a path answers.
fn allowed(is_of_post: bool) -> &'static str {
    if is_of_post { "POST" } else { "GET, HEAD" }
}

fn as_urn<S: serde::Serializer>(kind: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:braid:problem:{kind}"))
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
