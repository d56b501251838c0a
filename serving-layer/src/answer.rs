//! Answers: the batch view merged with the speed view, with the proof that nothing is missing or the reasons why something may
//! be.
//!
//! - `selection`: which cells of a metric are merged;
//! - `reading`: takes a snapshot, and a newer one if that is too old (R10);
//! - `gather`: asks for the shards that a snapshot needs, and takes from the look whether the answer is complete and as of when (R9);
//! - `total` and `series`: the two kinds of questions;
//! - `written`: an answer as it is written, once for equal requests; `csv`: tables as CSV;
//! - `key`: the same of one key as values, for reports;
//! - `all_keys`: asks both views for all keys of a pattern, and merges them key by key; `top`: the largest of them; `keys`: which there are; `listing`: what
//!   both say besides; `sweeps`: shares their answers;
//! - `values`: merged measures and derived values as JSON; `certainty`: the bounds of what sketches say;
//! - `described`: what OpenAPI says of answers;
//! - `freshness`: how fresh a metric's answers are, without its numbers.
//!
//! An integer is a JSON integer, and a float is a JSON float. A value that does not fit in 64 bits is null, and `overflow`
//! names it.

mod all_keys;
mod certainty;
mod csv;
mod described;
mod freshness;
mod gather;
mod key;
mod keys;
mod listing;
mod reading;
mod selection;
mod series;
mod sweeps;
mod top;
mod total;
mod values;
mod written;

use std::time::Duration;

use platform::settings::Span;
use shared_logic::catalog::Metric;
use shared_logic::time::{MAX_INSTANT_US, MIN_INSTANT_US, TimeRange, format_rfc3339};

pub(crate) use all_keys::AskedKeys;
pub(crate) use certainty::Bounds;
pub(crate) use described::{Answers, Series as SeriesBody, Total as TotalBody};
pub(crate) use freshness::{Freshness, freshness};
use gather::{About, Gathered, gather};
pub(crate) use key::{OfKey, of_key};
pub(crate) use keys::{Body as KeysBody, Listed};
pub(crate) use selection::{AskedKey, Selection};
pub(crate) use series::series;
pub(crate) use sweeps::Sweeps;
pub(crate) use top::{Body as TopBody, RankedBy, Top};
pub(crate) use total::total;
use values::{Finalized, finalized};

/// The milliseconds from `as_of` to now; never negative, although another machine's clock may be ahead.
pub(crate) fn lag_ms(as_of_us: i64, now_us: i64) -> i64 {
    (now_us - as_of_us).max(0) / 1_000
}

/// A length of time as the catalog writes it, such as `1m`.
pub(crate) fn duration_text(us: i64) -> String {
    Span::from(Duration::from_micros(us.unsigned_abs())).to_string()
}

/// The first begin of a bucket from an instant on.
fn next_bucket(instant_us: i64, metric: &Metric) -> i64 {
    TimeRange { from_us: instant_us, to_us: instant_us }.widened(metric.grain_us).to_us
}

/// A bound of a range or of a step as RFC 3339. Widened to whole steps, it may lie before the year 1 or after the year 9999,
/// which no client could send back. Then it is the first or the last instant, which is widened to the same bound.
fn bound_text(instant_us: i64) -> String {
    format_rfc3339(instant_us.clamp(MIN_INSTANT_US, MAX_INSTANT_US - 1))
}
