//! Something that may be missing in an answer, in words.

use serde::Serialize;
use serde_json::Value;
use shared_logic::complete::Gap;
use utoipa::ToSchema;

/// Records that arrived may be missing, or erased ones may be counted. Of a metric, it concerns the whole range of the answer, because a late
/// event can belong to any bucket.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Gap)]
pub(crate) struct GapText {
    /// The reason as a word, such as `not_archived`, `lost` or `retired`.
    reason: &'static str,
    /// The reason in words, and what to do.
    text: String,
    source: String,
    /// The topic's id; null if the gap concerns the whole source.
    #[schema(required = true)]
    log: Option<String>,
    #[schema(required = true)]
    partition: Option<i32>,
    #[schema(required = true, format = DateTime)]
    from: Option<String>,
    #[schema(required = true, format = DateTime)]
    to: Option<String>,
}

/// Gaps as they stand in JSON.
pub(crate) fn as_json(gaps: &[GapText]) -> Vec<Value> {
    gaps.iter().map(|gap| serde_json::to_value(gap).expect("a gap is plain data")).collect()
}

impl GapText {
    /// A gap of that source or stream, in an answer about the range from `from` to `to`.
    pub(crate) fn new(gap: &Gap, source: &str, from: &Option<String>, to: &Option<String>) -> GapText {
        GapText {
            reason: gap.why.name(),
            text: gap.why.to_string(),
            source: source.to_owned(),
            log: gap.partition.as_ref().map(|id| id.log.clone()),
            partition: gap.partition.as_ref().map(|id| id.partition),
            from: from.clone(),
            to: to.clone(),
        }
    }

    /// Why something may be missing.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A stream's topic was created again since a client was told of its outputs.
    pub(crate) fn log_replaced(stream: &str) -> GapText {
        GapText {
            reason: "log_replaced",
            text: "the topic was created again: what the log before held behind the last event is not told; it can be asked for \
                   with `from`"
                .to_owned(),
            source: stream.to_owned(),
            log: None,
            partition: None,
            from: None,
            to: None,
        }
    }
}
