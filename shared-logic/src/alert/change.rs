//! A change of what is known of an alert, as it is written to the topic of alerts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{AlertState, Notice, StateWord};
use crate::catalog::{Alert, Metric};
use crate::time::format_rfc3339;

/// One change of an alert's state: the value of a record whose key is the alert's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertChange {
    /// The same however often the change is told, and of no other change.
    pub id: String,
    /// The alert's name.
    pub alert: String,
    /// The version by which it was judged.
    pub version: String,
    /// The group key, by column.
    pub keys: Map<String, Json>,
    /// The state before.
    pub from: StateWord,
    /// The state now.
    pub to: StateWord,
    /// What receivers are told of it.
    pub notice: Option<Notice>,
    /// The end of the window that was judged last, RFC 3339.
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
    /// The condition; `None` if the alert is not declared any more.
    pub when: Option<String>,
}

/// What a change is about, besides the states before and after it.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The deployment's name.
    pub deployment: &'a str,
    /// The version by which it was judged.
    pub version: &'a str,
    /// The alert's name.
    pub name: &'a str,
    /// How it is declared, and its metric; `None` if it is not any more.
    pub declared: Option<(&'a Alert, &'a Metric)>,
    /// When it was judged, microseconds since 1970.
    pub at_us: i64,
}

impl AlertChange {
    /// The record of the change from `before` to `after`, which is then counted in `after`; `None` if it is no change. `reason` says why,
    /// where neither values nor the state after do.
    pub fn between(
        before: &AlertState,
        after: &mut AlertState,
        judged: Judged<'_>,
        reason: Option<&str>,
    ) -> Option<AlertChange> {
        if !before.is_change(after) {
            return None;
        }
        after.changes = before.changes + 1;
        let keys = judged.declared.map(|(alert, metric)| {
            let columns = metric.by.iter().zip(&alert.keys);
            columns.filter_map(|(column, part)| Some((column.clone(), part.to_json()?))).collect()
        });
        Some(AlertChange {
            id: change_id(judged.deployment, judged.name, after.born_us, after.changes),
            alert: judged.name.to_owned(),
            version: judged.version.to_owned(),
            keys: keys.unwrap_or_default(),
            from: before.word(),
            to: after.word(),
            notice: before.notice(after),
            window_end: after.end_us.map(format_rfc3339),
            since: after.since_us().or(before.since_us()).map(format_rfc3339),
            values: after.values.clone(),
            reason: reason.map(str::to_owned).or_else(|| after.unknown.clone()),
            judged_at: format_rfc3339(judged.at_us),
            labels: before.labels.clone(),
            summary: judged.declared.and_then(|(alert, _)| alert.summary.clone()),
            when: judged.declared.map(|(alert, _)| alert.when_text.clone()),
        })
    }
}

/// Names the change with that number of an alert. `born_us` is when the alert was met first, so that one whose states were lost begins with
/// other names.
pub fn change_id(deployment: &str, alert: &str, born_us: i64, number: u64) -> String {
    format!("{deployment}/{alert}/{born_us}/{number}")
}

/// What the ids of all changes of an alert have in common.
pub fn changed_alert(id: &str) -> &str {
    let alert = id.rsplit_once('/').and_then(|(id, _number)| id.rsplit_once('/'));
    alert.map_or(id, |(alert, _born_us)| alert)
}
