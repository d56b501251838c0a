//! `[alerts.…]`: conditions on a metric's newest window, judged again and again.

use std::collections::BTreeMap;

use crate::expression::Expression;
use crate::group_key::{GroupKey, KeyPart};
use crate::time::TimeRange;

/// What stands before the name of a measure or derived value that is meant of the earlier window.
pub const BEFORE: &str = "before.";

/// A condition on the newest whole window of a metric, and maybe on the same window earlier.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The alert's name, the key of its table in the catalog.
    pub name: String,
    /// The metric that it looks at.
    pub metric: String,
    /// What it says of each column of the metric's `by`, in their order; columns that it does not name are summed over.
    pub keys: Vec<KeyPart>,
    /// The length of the window in microseconds: a multiple of the metric's grain.
    pub window_us: i64,
    /// How much earlier the window lies with which it compares: a multiple of the grain, and no shorter than the window. `None`: it
    /// compares with none.
    pub shift_us: Option<i64>,
    /// The condition: an expression over the metric's measures and derived values, which are called `before.…` in the earlier window.
    pub when: Expression,
    /// The condition as the catalog writes it.
    pub when_text: String,
    /// For how long the condition has to hold before the alert fires; microseconds, judged by the ends of windows.
    pub for_us: i64,
    /// How long it waits for events that come late: microseconds between what answers know and the end of the window.
    pub lateness_us: i64,
    /// What receivers get as labels, beside those that every alert has.
    pub labels: BTreeMap<String, String>,
    /// A sentence for people.
    pub summary: Option<String>,
}

impl Alert {
    /// The group key that it asks for.
    pub fn key(&self) -> GroupKey {
        GroupKey::new(&self.keys)
    }

    /// The window that ends there.
    pub fn window(&self, end_us: i64) -> TimeRange {
        TimeRange { from_us: end_us - self.window_us, to_us: end_us }
    }

    /// The window with which that one is compared.
    pub fn before(&self, end_us: i64) -> Option<TimeRange> {
        self.shift_us.map(|shift_us| self.window(end_us - shift_us))
    }
}
