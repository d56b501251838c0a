//! A change as receivers of Alertmanager's webhooks read it: payload version 4.
//!
//! Each notification is about one alert. `groupKey` is the same for all notifications of an alert, `fingerprint` follows from its labels,
//! and the annotation `change_id` is the same however often the notification is sent.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{AlertChange, Notice};
use crate::catalog::{Alert, Metric};

/// The version of the payload.
const VERSION: &str = "4";
/// An end that has not come: the zero time of the language that Alertmanager is written in.
const NOT_ENDED: &str = "0001-01-01T00:00:00Z";
/// The label with the alert's name.
const ALERT_NAME: &str = "alertname";

/// What a notification says besides the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The deployment's name.
    pub deployment: String,
    /// Where people and programs find this serving layer; empty if nobody has said it.
    pub external_url: String,
}

/// The labels of an alert: its name, the deployment's, the metric's, the group-key columns that it names, and its own.
pub fn labels(deployment: &str, alert: &Alert, metric: &Metric) -> BTreeMap<String, String> {
    let of_key = metric.by.iter().zip(&alert.keys).filter_map(|(column, part)| {
        let text = match part.to_json()? {
            Json::String(text) => text,
            other => other.to_string(),
        };
        Some((column.clone(), text))
    });
    let own = [(ALERT_NAME, &alert.name), ("metric", &metric.name)];
    let own = own.map(|(label, text)| (label.to_owned(), text.clone()));
    let of_deployment = [("deployment".to_owned(), deployment.to_owned())];
    alert.labels.clone().into_iter().chain(of_key).chain(own).chain(of_deployment).collect()
}

/// The body that is posted for a change of which receivers are told; `None` if they are not.
pub fn notification(change: &AlertChange, receiver: &Receiver) -> Option<Json> {
    let notice = change.notice?;
    let starts_at = change.since.as_deref().unwrap_or(NOT_ENDED);
    let (status, ends_at) = match notice {
        Notice::Firing => ("firing", NOT_ENDED),
        Notice::Resolved => ("resolved", change.window_end.as_deref().unwrap_or(&change.judged_at)),
    };
    let annotations = annotations(change);
    let name = &change.alert;
    let generator = format!("{}/v1/alerts", receiver.external_url.trim_end_matches('/'));
    Some(json!({
        "version": VERSION,
        "groupKey": format!("{{}}:{{{ALERT_NAME}={name:?}}}"),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver.deployment,
        "groupLabels": {ALERT_NAME: name},
        "commonLabels": change.labels,
        "commonAnnotations": annotations,
        "externalURL": receiver.external_url,
        "alerts": [{
            "status": status,
            "labels": change.labels,
            "annotations": annotations,
            "startsAt": starts_at,
            "endsAt": ends_at,
            "generatorURL": generator,
            "fingerprint": fingerprint(&change.labels),
        }],
    }))
}

/// What it says to people, and the id of the change.
fn annotations(change: &AlertChange) -> BTreeMap<&'static str, String> {
    let values: Vec<String> = change.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let values = (!values.is_empty()).then(|| values.join(", "));
    let said: Vec<&str> = [&change.when, &values, &change.reason].into_iter().filter_map(Option::as_deref).collect();
    let description = said.join("; ");
    let summary = change.summary.clone().map(|summary| ("summary", summary));
    [("change_id", change.id.clone()), ("description", description)].into_iter().chain(summary).collect()
}

/// Names labels: 16 hexadecimal digits.
fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    // As JSON, which tells `a="b,c"` from two labels.
    let text = serde_json::to_vec(labels).expect("labels are plain data");
    format!("{:016x}", xxh3_64(&text))
}
