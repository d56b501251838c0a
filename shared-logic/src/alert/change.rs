//! A change of what is known of an alert, as it is written to the topic of alerts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Notice, StateWord};

/// One change of an alert's state: the value of a record whose key is the alert's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertChange {
    /// The same however often the change is told, and of no other change.
    pub id: String,
    /// The alert's name.
    pub alert: String,
    /// The version by which it was judged.
    pub version: String,
    /// The metric.
    pub metric: String,
    /// The group key, by column.
    pub keys: Map<String, Json>,
    /// The state before.
    pub from: StateWord,
    /// The state now.
    pub to: StateWord,
    /// What receivers are told of it.
    pub notice: Option<Notice>,
    /// The end of the window that was judged, RFC 3339; `None` if none was: the state is not known, or the alert is not declared any more.
    pub window_end: Option<String>,
    /// Since when the condition has held, RFC 3339: the end of the first window of which it did. Of an alert that is pending, fires, or
    /// has just ceased to.
    pub since: Option<String>,
    /// What the condition looked at.
    pub values: Map<String, Json>,
    /// Why, where the values do not say it.
    pub reason: Option<String>,
    /// When it was judged, RFC 3339.
    pub judged_at: String,
    /// The labels that receivers tell alerts apart by.
    pub labels: BTreeMap<String, String>,
    /// What it says to people.
    pub summary: Option<String>,
    /// The condition.
    pub when: String,
}

/// Names the change with that number of an alert. `born_us` is when the first state of the alert was known, so that an alert whose states
/// were lost begins with other names.
pub fn change_id(deployment: &str, alert: &str, born_us: i64, number: u64) -> String {
    format!("{deployment}/{alert}/{born_us}/{number}")
}
