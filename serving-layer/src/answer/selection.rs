//! Which cells of a metric an answer merges.

use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use shared_logic::catalog::Metric;
use shared_logic::group_key::{GroupKey, KeyPart};
use shared_logic::time::TimeRange;

/// Group keys and a range of buckets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selection {
    /// At least one, each once.
    pub(crate) keys: Vec<AskedKey>,
    /// The start of the range, widened to the grain; `None`: from the first event on.
    pub(crate) from_us: Option<i64>,
    /// The end of the range, widened to the grain; `None`: to the last event.
    pub(crate) to_us: Option<i64>,
}

/// A group key. A column that the request leaves out is summed over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AskedKey {
    pub(crate) key: GroupKey,
    /// What the key says of each column.
    pub(crate) parts: Vec<KeyPart>,
}

/// The columns that a request gives, as its answer repeats them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    names: &'a [String],
    parts: &'a [KeyPart],
}

impl AskedKey {
    pub(crate) fn new(parts: Vec<KeyPart>) -> AskedKey {
        AskedKey { key: GroupKey::new(&parts), parts }
    }

    /// The columns that the request gives. `metric` is the one that it asks.
    pub(crate) fn given<'a>(&'a self, metric: &'a Metric) -> Given<'a> {
        Given { names: &metric.by, parts: &self.parts }
    }
}

impl<'a> Given<'a> {
    /// The names of the columns, and their values; null for an absent one.
    pub(super) fn columns(self) -> impl Iterator<Item = (&'a str, Json)> {
        let columns = self.names.iter().zip(self.parts);
        columns.filter_map(|(name, part)| Some((name.as_str(), part.to_json()?)))
    }
}

impl Serialize for Given<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns())
    }
}

/// The range between bounds, whose buckets are merged; up to the limits of time where an end is open.
pub(super) fn range((from_us, to_us): (Option<i64>, Option<i64>)) -> TimeRange {
    let all = TimeRange::ALL;
    TimeRange { from_us: from_us.unwrap_or(all.from_us), to_us: to_us.unwrap_or(all.to_us) }
}
