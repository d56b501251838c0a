//! How fresh a metric's answers are: what a total says about completeness, without its numbers.

use std::time::Duration;

use platform::telemetry::error_text;
use serde::Serialize;
use shared_logic::catalog::Metric;
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use super::lag_ms;
use crate::gap_text::GapText;
use crate::snapshot::Snapshot;
use crate::versions::Version;

/// How long Redis may take to answer. Beyond, the freshness is reported as unknown.
const REDIS_WITHIN: Duration = Duration::from_millis(500);

/// The freshness of a metric's answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Freshness {
    #[schema(required = true, format = DateTime)]
    as_of: Option<String>,
    #[schema(required = true)]
    pub(crate) lag_ms: Option<i64>,
    pub(crate) complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) gaps: Option<Vec<GapText>>,
    /// Why the speed view could not be read; it is set instead of the gaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) error: Option<String>,
}

/// The freshness of a metric's answers as of a snapshot.
pub(crate) async fn freshness(version: &Version, snapshot: &Snapshot, metric: &Metric, now_us: i64) -> Freshness {
    let ground = snapshot.ground(version.asked(metric));
    let standing = &ground.standing;
    let needed = standing.needed().cloned();
    let read = match tokio::time::timeout(REDIS_WITHIN, version.speed.positions(&metric.source, needed)).await {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => return Freshness::unknown(error_text(&error)),
        Err(_) => return Freshness::unknown(format!("redis did not answer within {} ms", REDIS_WITHIN.as_millis())),
    };
    let verdict = standing.judge(&read.shards, |id| read.begin(id));
    let as_of_us = standing.as_of_us(&read.shards, |id| read.as_of_us(id));
    Freshness {
        as_of: as_of_us.map(format_rfc3339),
        lag_ms: as_of_us.map(|as_of_us| lag_ms(as_of_us, now_us)),
        complete: verdict.gaps.is_empty(),
        gaps: Some(verdict.gaps.iter().map(|gap| GapText::new(gap, &metric.source, &None, &None)).collect()),
        error: None,
    }
}

impl Freshness {
    fn unknown(error: String) -> Freshness {
        Freshness { as_of: None, lag_ms: None, complete: false, gaps: None, error: Some(error) }
    }
}
