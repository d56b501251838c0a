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
use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::problem::Problem;
use crate::written::Written;
use query::Query;

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
