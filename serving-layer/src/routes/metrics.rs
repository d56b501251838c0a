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

use crate::answer::Answer;
use crate::problem::Problem;
use query::Query;

/// Refuses an incomplete answer if the request requires a complete one.
fn as_required(answer: Answer, query: &Query) -> Result<Answer, Problem> {
    if answer.gaps.is_empty() {
        return Ok(answer);
    }
    ::metrics::counter!("braid_serving_incomplete_answers_total").increment(1);
    if !query.require_complete {
        return Ok(answer);
    }
    let gaps = answer.gaps.iter().map(|gap| serde_json::to_value(gap).expect("a gap is plain data"));
    Err(Problem::incomplete(gaps.collect()))
}
