//! What is wrong with a request, or with us, as RFC 9457 says it: `application/problem+json`.
//!
//! A problem names the parameter that it concerns and says what to do. What is wrong with us is logged where it is found;
//! here it is only told.

use std::ops::Deref;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use platform::store::StoreError;
use serde::Serialize;
use serde_json::Value;

use crate::speed_view::SpeedError;

/// Seconds after which a client may ask again.
const RETRY_AFTER_SECONDS: &str = "1";

/// A problem to be answered instead of what was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Box<Told>);

/// The body and headers of a problem.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Told {
    /// Names the kind of problem.
    r#type: String,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    pub(crate) detail: String,
    /// The parameter that has to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<String>,
    /// Why an answer is not complete, where a complete one was required.
    #[serde(skip_serializing_if = "Option::is_none")]
    gaps: Option<Value>,
    #[serde(skip)]
    header: Option<(header::HeaderName, HeaderValue)>,
}

impl Deref for Problem {
    type Target = Told;

    fn deref(&self) -> &Told {
        &self.0
    }
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: String) -> Problem {
        let r#type = format!("urn:braid:problem:{kind}");
        Problem(Box::new(Told { r#type, title, status, detail, parameter: None, gaps: None, header: None }))
    }

    /// A parameter that does not exist, is repeated, or has a value that cannot be used.
    pub(crate) fn parameter(name: &str, detail: String) -> Problem {
        let mut problem = Problem::new(StatusCode::BAD_REQUEST, "bad-parameter", "A parameter cannot be used", detail);
        problem.0.parameter = Some(name.to_owned());
        problem
    }

    /// No such metric.
    pub(crate) fn no_metric(name: &str, known: impl Iterator<Item = String>) -> Problem {
        let known: Vec<String> = known.collect();
        let detail = format!("there is no metric {name:?}; the catalog declares {}", known.join(", "));
        Problem::new(StatusCode::NOT_FOUND, "unknown-metric", "No such metric", detail)
    }

    /// No such path.
    pub(crate) fn no_path(path: &str) -> Problem {
        let detail = format!("there is nothing at {path}; /openapi.json lists what there is");
        Problem::new(StatusCode::NOT_FOUND, "unknown-path", "No such path", detail)
    }

    /// The path exists, the method does not.
    pub(crate) fn method(method: &str) -> Problem {
        let detail = format!("{method} is not possible here; everything is asked for with GET");
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail);
        problem.with_header(header::ALLOW, "GET, HEAD")
    }

    /// Not now; asking again may help.
    pub(crate) fn unavailable(kind: &str, title: &'static str, detail: String) -> Problem {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail);
        problem.with_header(header::RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// Nothing has been looked at yet.
    pub(crate) fn starting() -> Problem {
        let detail = "the batch views are still being loaded".to_owned();
        Problem::unavailable("starting", "The serving layer is starting", detail)
    }

    /// The view or the archive was never read.
    pub(crate) fn store(reason: &str) -> Problem {
        Problem::unavailable(
            "store-unavailable",
            "The store cannot be read",
            format!("the store cannot be read: {reason}"),
        )
    }

    /// A complete answer was required and there is none.
    pub(crate) fn incomplete(gaps: Value) -> Problem {
        let detail = "the answer would not be complete (see gaps), and require=complete was asked for".to_owned();
        let mut problem = Problem::unavailable("incomplete", "No complete answer", detail);
        problem.0.gaps = Some(gaps);
        problem
    }

    /// The time-out passed.
    pub(crate) fn too_slow(within: std::time::Duration) -> Problem {
        let detail = format!("there was no answer within {within:?} (http.request_timeout); ask for less, or again");
        Problem::unavailable("timeout", "The request took too long", detail)
    }

    /// A mistake of ours.
    pub(crate) fn internal() -> Problem {
        let detail = "the request failed because of a mistake in the serving layer; its log says more".to_owned();
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    fn with_header(mut self, name: header::HeaderName, value: &'static str) -> Problem {
        self.0.header = Some((name, HeaderValue::from_static(value)));
        self
    }
}

impl From<SpeedError> for Problem {
    fn from(error: SpeedError) -> Problem {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        let detail = format!("{error}{source}; without redis the numbers would be too small");
        Problem::unavailable("redis-unavailable", "The speed view cannot be read", detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        Problem::store(&format!("{error}{source}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&*self.0).expect("a problem is plain data");
        let mut response = (self.status, body).into_response();
        let content = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, content);
        response.headers_mut().extend(self.0.header);
        response
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
