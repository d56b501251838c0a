//! Answers: the batch view merged with the speed view, with the proof that nothing is missing or the reasons why something may
//! be.
//!
//! - `selection`: which cells of a metric are merged;
//! - `gather`: asks for the shards that a snapshot needs, takes from the look whether the answer is complete and as of when (R9), and
//!   takes a newer snapshot if this one is too old (R10);
//! - `total` and `series`: the two kinds of questions; both write an [`Answer`], which equal requests share;
//! - `key`: the same of one key as values, for reports;
//! - `values`: merged measures and derived values as JSON; `certainty`: the bounds of what sketches say;
//! - `freshness`: how fresh a metric's answers are, without its numbers.
//!
//! An integer is a JSON integer, and a float is a JSON float. A value that does not fit in 64 bits is null, and `overflow`
//! names it.

mod certainty;
mod freshness;
mod gather;
mod key;
mod selection;
mod series;
mod total;
mod values;

use std::time::Duration;

use platform::settings::Span;
use serde::Serialize;
use shared_logic::catalog::Metric;
use shared_logic::merge::{Layer, Merged};
use shared_logic::time::{MAX_INSTANT_US, MIN_INSTANT_US, format_rfc3339};

use crate::gap_text::GapText;
use crate::versions::Version;
use crate::written::Written;
pub(crate) use certainty::Bounds;
pub(crate) use freshness::{Freshness, freshness};
use gather::{About, Gathered, gather};
pub(crate) use key::{OfKey, of_key};
use selection::Given;
pub(crate) use selection::Selection;
pub(crate) use series::series;
pub(crate) use total::total;
use values::{Finalized, Named, Overflow, finalized, measures};

/// About how many bytes an answer without points takes.
const ANSWER_BYTES: usize = 1_024;

/// The body of an answer to `total` or `series`, with all that it need not own. Instants are RFC 3339.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    /// The version that answers.
    version: &'a str,
    metric: &'a str,
    key: Given<'a>,
    /// Widened to the grain, as far as there is time; null if the range is unbounded.
    from: Option<String>,
    to: Option<String>,
    grain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Only in a total.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Named<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overflow: Vec<Overflow<'a>>,
    #[serde(skip_serializing_if = "Bounds::is_empty")]
    bounds: Bounds<'a>,
    complete: bool,
    gaps: Vec<GapText>,
    /// Whether all of it comes from the batch view: the answer is complete, and the speed view adds nothing.
    authoritative: bool,
    as_of: Option<String>,
    provenance: Provenance<'a>,
    /// Only in a series.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<Point<'a>>>,
}

/// One step of a series.
#[derive(Debug, Serialize)]
struct Point<'a> {
    start: String,
    values: Named<'a>,
    layer: Layer,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overflow: Vec<Overflow<'a>>,
    #[serde(skip_serializing_if = "Bounds::is_empty")]
    bounds: Bounds<'a>,
}

/// What each view contributed.
#[derive(Debug, Serialize)]
struct Provenance<'a> {
    batch: BatchPart<'a>,
    speed: SpeedPart<'a>,
}

#[derive(Debug, Serialize)]
struct BatchPart<'a> {
    values: Named<'a>,
    version: Option<u64>,
    committed_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct SpeedPart<'a> {
    values: Named<'a>,
    lag_ms: Option<i64>,
}

impl<'a> Answer<'a> {
    /// The members that total and series share. The answer is about the range from `from_us` to `to_us`; `all` is everything in it,
    /// merged.
    fn new(
        version: &'a Version,
        metric: &'a Metric,
        key: Given<'a>,
        (from_us, to_us): (Option<i64>, Option<i64>),
        gathered: &Gathered,
        all: &Merged,
    ) -> Answer<'a> {
        let (from, to) = (from_us.map(bound_text), to_us.map(bound_text));
        let gaps: Vec<GapText> = gathered.gaps().map(|gap| GapText::new(gap, &metric.source, &from, &to)).collect();
        let is_complete = gaps.is_empty();
        Answer {
            version: version.version_name(),
            metric: &metric.name,
            key,
            grain: duration_text(metric.grain_us),
            step: None,
            values: None,
            overflow: Vec::new(),
            bounds: Bounds::default(),
            complete: is_complete,
            gaps,
            authoritative: is_complete && all.layer == Layer::Batch,
            as_of: gathered.as_of_us().map(format_rfc3339),
            provenance: Provenance {
                batch: BatchPart {
                    values: measures(metric, &all.batch),
                    version: gathered.ground.view.as_ref().map(|view| view.version),
                    committed_at: gathered.ground.view.as_ref().map(|view| format_rfc3339(view.note.committed_at_us)),
                },
                speed: SpeedPart {
                    values: measures(metric, &all.speed),
                    lag_ms: gathered.as_of_us().map(|as_of| lag_ms(as_of, gathered.at_us())),
                },
            },
            points: None,
            from,
            to,
        }
    }

    fn written(&self) -> Written {
        let mut body = Vec::with_capacity(ANSWER_BYTES);
        serde_json::to_writer(&mut body, self).expect("an answer is plain data");
        let gaps = self.gaps.iter().map(|gap| serde_json::to_value(gap).expect("a gap is plain data"));
        Written { body: body.into(), gaps: gaps.collect() }
    }
}

/// The milliseconds from `as_of` to now; never negative, although another machine's clock may be ahead.
pub(crate) fn lag_ms(as_of_us: i64, now_us: i64) -> i64 {
    (now_us - as_of_us).max(0) / 1_000
}

/// A length of time as the catalog writes it, such as `1m`.
pub(crate) fn duration_text(us: i64) -> String {
    Span::from(Duration::from_micros(us.unsigned_abs())).to_string()
}

/// A bound of a range or of a step as RFC 3339. Widened to whole steps, it may lie before the year 1 or after the year 9999,
/// which no client could send back. Then it is the first or the last instant, which is widened to the same bound.
fn bound_text(instant_us: i64) -> String {
    format_rfc3339(instant_us.clamp(MIN_INSTANT_US, MAX_INSTANT_US - 1))
}
