//! Answers: what both layers say, braided, with the proof that nothing is missing or the reason why it may be.
//!
//! - `gather`: one look, the shards that it needs, and the verdict on completeness (R9, R10);
//! - `values`: merged measures and derived values as JSON;
//! - `total` and `series`: the two questions; both give an [`Answer`].
//!
//! An integer is a JSON integer and a float a JSON float. What left its 64 bits is null, and `overflow` says so.

mod gather;
mod series;
mod total;
mod values;

use serde::Serialize;
use serde_json::{Map, Value};
use shared_logic::catalog::Metric;
use shared_logic::complete::Gap;
use shared_logic::merge::{Layer, Merged};
use shared_logic::time::format_rfc3339;

use crate::query::{Query, duration_text};
pub(crate) use gather::{Gathered, as_of, gather};
pub(crate) use series::series;
pub(crate) use total::total;
use values::{Overflow, measures, presented};

/// The body of `total` and `series`. Instants are RFC 3339.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    metric: String,
    key: Map<String, Value>,
    /// Widened to the grain; null where the range is unbounded.
    from: Option<String>,
    to: Option<String>,
    grain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Of a total.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overflow: Vec<Overflow>,
    complete: bool,
    pub(crate) gaps: Vec<GapText>,
    /// Whether the batch layer has counted all of it: complete, and speed adds nothing.
    authoritative: bool,
    as_of: Option<String>,
    provenance: Provenance,
    /// Of a series.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<Point>>,
}

/// One step of a series.
#[derive(Debug, Serialize)]
struct Point {
    start: String,
    values: Map<String, Value>,
    layer: Layer,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overflow: Vec<Overflow>,
}

/// Which layer gave how much.
#[derive(Debug, Serialize)]
struct Provenance {
    batch: BatchPart,
    speed: SpeedPart,
}

#[derive(Debug, Serialize)]
struct BatchPart {
    values: Map<String, Value>,
    version: Option<u64>,
    committed_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct SpeedPart {
    values: Map<String, Value>,
    lag_ms: Option<i64>,
}

/// Something that may be missing, for the whole of the answer's range: a late event can belong to any bucket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GapText {
    reason: &'static str,
    text: String,
    source: String,
    log: Option<String>,
    partition: Option<i32>,
    from: Option<String>,
    to: Option<String>,
}

impl Answer {
    /// The head that total and series share; `all` is everything in the range together.
    fn new(metric: &Metric, query: &Query, gathered: &Gathered, all: &Merged, now_us: i64) -> Answer {
        let (from, to) = (query.from_us.map(format_rfc3339), query.to_us.map(format_rfc3339));
        let gaps = &gathered.verdict.gaps;
        Answer {
            metric: metric.name.clone(),
            key: query.columns.clone(),
            grain: duration_text(metric.grain_us),
            step: None,
            values: None,
            overflow: Vec::new(),
            complete: gaps.is_empty(),
            gaps: gaps.iter().map(|gap| GapText::new(gap, metric, &from, &to)).collect(),
            authoritative: gaps.is_empty() && all.layer == Layer::Batch,
            as_of: gathered.as_of_us.map(format_rfc3339),
            provenance: Provenance {
                batch: BatchPart {
                    values: measures(metric, &all.batch),
                    version: gathered.view.as_ref().map(|view| view.version),
                    committed_at: gathered.view.as_ref().map(|view| format_rfc3339(view.note.committed_at_us)),
                },
                speed: SpeedPart {
                    values: measures(metric, &all.speed),
                    lag_ms: gathered.as_of_us.map(|as_of| lag_ms(as_of, now_us)),
                },
            },
            points: None,
            from,
            to,
        }
    }
}

impl GapText {
    pub(crate) fn new(gap: &Gap, metric: &Metric, from: &Option<String>, to: &Option<String>) -> GapText {
        GapText {
            reason: gap.why.name(),
            text: gap.why.to_string(),
            source: metric.source.clone(),
            log: gap.partition.as_ref().map(|id| id.log.clone()),
            partition: gap.partition.as_ref().map(|id| id.partition),
            from: from.clone(),
            to: to.clone(),
        }
    }
}

/// How far an answer is behind now, in milliseconds; clocks of other machines may be ahead.
pub(crate) fn lag_ms(as_of_us: i64, now_us: i64) -> i64 {
    (now_us - as_of_us).max(0) / 1_000
}
