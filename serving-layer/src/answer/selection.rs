//! Which cells of a metric an answer merges.

use serde::{Serialize, Serializer};
use shared_logic::catalog::Metric;
use shared_logic::group_key::{GroupKey, KeyPart};
use shared_logic::time::TimeRange;

/// A group key and a range of buckets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selection {
    /// The group key. A column that the request leaves out is summed over.
    pub(crate) key: GroupKey,
    /// What the key says of each column.
    pub(crate) parts: Vec<KeyPart>,
    /// The start of the range, widened to the grain; `None`: from the first event on.
    pub(crate) from_us: Option<i64>,
    /// The end of the range, widened to the grain; `None`: to the last event.
    pub(crate) to_us: Option<i64>,
}

/// The columns that a request gives, as its answer repeats them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    names: &'a [String],
    parts: &'a [KeyPart],
}

impl Selection {
    /// The columns that the request gives. `metric` is the one that it asks.
    pub(crate) fn given<'a>(&'a self, metric: &'a Metric) -> Given<'a> {
        Given { names: &metric.by, parts: &self.parts }
    }
}

impl Serialize for Given<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.names.iter().zip(self.parts);
        serializer.collect_map(columns.filter_map(|(name, part)| Some((name, part.to_json()?))))
    }
}

/// The range between bounds, whose buckets are merged; up to the limits of time where an end is open.
pub(super) fn range((from_us, to_us): (Option<i64>, Option<i64>)) -> TimeRange {
    let all = TimeRange::ALL;
    TimeRange { from_us: from_us.unwrap_or(all.from_us), to_us: to_us.unwrap_or(all.to_us) }
}
