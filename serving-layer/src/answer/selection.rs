//! Which cells of a metric an answer merges.

use serde_json::{Map, Value};
use shared_logic::group_key::GroupKey;
use shared_logic::time::TimeRange;

/// A group key and a range of buckets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selection {
    /// The group key. A column that the request leaves out is summed over.
    pub(crate) key: GroupKey,
    /// The columns that the request gives, to be repeated in the answer. They follow from the key.
    pub(crate) columns: Map<String, Value>,
    /// The start of the range, widened to the grain; `None`: from the first event on.
    pub(crate) from_us: Option<i64>,
    /// The end of the range, widened to the grain; `None`: to the last event.
    pub(crate) to_us: Option<i64>,
}

/// The range between bounds, whose buckets are merged; up to the limits of time where an end is open.
pub(super) fn range((from_us, to_us): (Option<i64>, Option<i64>)) -> TimeRange {
    let all = TimeRange::ALL;
    TimeRange { from_us: from_us.unwrap_or(all.from_us), to_us: to_us.unwrap_or(all.to_us) }
}
