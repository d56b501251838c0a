//! The routes below `/v1/metrics`.
//!
//! - `definitions`: what is counted, and how fresh its answers are;
//! - `query`: the parameters of the next two;
//! - `total`: one value per measure;
//! - `series`: one value per measure and step.

pub(crate) mod definitions;
mod query;
pub(crate) mod series;
pub(crate) mod total;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::problem::Problem;
use crate::written::Written;
use query::Query;

/// The metric's name in the path. There may be no such metric.
pub(crate) struct MetricName(String);

impl<S: Send + Sync> FromRequestParts<S> for MetricName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<MetricName, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| MetricName(name)).map_err(|_| Problem::no_path(parts.uri.path()))
    }
}

/// Sends an answer; refuses an incomplete one if the request requires a complete one.
fn as_required(answer: &Written, query: &Query) -> Result<Response, Problem> {
    if !answer.gaps.is_empty() {
        ::metrics::counter!("braid_serving_incomplete_answers_total").increment(1);
        if query.require_complete {
            return Err(Problem::incomplete(answer.gaps.clone()));
        }
    }
    let mut response = Response::new(Body::from(answer.body.clone()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
