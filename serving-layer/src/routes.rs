//! The handlers, one file a resource.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod parameters;
pub(crate) mod status;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::answer::{Answer, GapText};
use crate::problem::Problem;
use metrics::query::Query;
use parameters::Parameters;

/// The name in the path, whether or not there is such a metric.
pub(crate) struct MetricName(String);

impl<S: Send + Sync> FromRequestParts<S> for MetricName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<MetricName, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| MetricName(name)).map_err(|_| Problem::no_path(parts.uri.path()))
    }
}

/// Refuses parameters where there are none.
fn no_parameters(query: Option<&str>) -> Result<(), Problem> {
    Parameters::read(query)?.only(std::iter::empty())
}

/// Refuses an incomplete answer where a complete one is required.
fn as_required(answer: Answer, query: &Query) -> Result<Answer, Problem> {
    if !answer.gaps.is_empty() {
        ::metrics::counter!("braid_serving_incomplete_answers_total").increment(1);
    }
    if query.require_complete && !answer.gaps.is_empty() {
        return Err(Problem::incomplete(gaps_json(&answer.gaps)));
    }
    Ok(answer)
}

fn gaps_json(gaps: &[GapText]) -> serde_json::Value {
    serde_json::to_value(gaps).expect("gaps are plain data")
}
