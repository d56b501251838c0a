//! The handlers, one file a resource.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod series;
pub(crate) mod status;
pub(crate) mod total;

use std::collections::BTreeMap;

use shared_logic::contracts::PartitionId;

use crate::answer::{Answer, GapText};
use crate::problem::Problem;
use crate::query::Query;
use crate::speed_view::ShardLook;

/// Shards as far as they could be read.
type Read = BTreeMap<PartitionId, Option<ShardLook>>;

/// Refuses an incomplete answer where a complete one is required.
fn as_required(answer: Answer, query: &Query) -> Result<Answer, Problem> {
    if !answer.gaps.is_empty() {
        ::metrics::counter!("serving_incomplete_answers_total").increment(1);
    }
    if query.require_complete && !answer.gaps.is_empty() {
        return Err(Problem::incomplete(gaps_json(&answer.gaps)));
    }
    Ok(answer)
}

fn gaps_json(gaps: &[GapText]) -> serde_json::Value {
    serde_json::to_value(gaps).expect("gaps are plain data")
}
