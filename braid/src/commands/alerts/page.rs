//! Alerts as a person reads them: a line for each, and below it what a person has to know.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::number::integer;
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint, printable};

/// What stands for something that there is not.
const NOTHING: &str = "-";

/// What `/v1/alerts` answers, as far as a page shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    version: String,
    judge: Judge,
    webhook: Webhook,
    alerts: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
struct Judge {
    state: String,
    reason: Option<String>,
    heard_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Webhook {
    configured: bool,
    undelivered: u64,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Alert {
    name: String,
    metric: String,
    keys: Map<String, Value>,
    when: String,
    state: String,
    reason: Option<String>,
    since: Option<String>,
    judged_to: Option<String>,
    values: Map<String, Value>,
    changes: u64,
}

impl Answer {
    /// Whether an alert fires.
    pub(super) fn fires(&self) -> bool {
        self.alerts.iter().any(|alert| alert.state == "firing")
    }
}

/// The page, as it fits on the screen.
pub(super) fn page(answer: &Answer, screen: Screen) -> String {
    if answer.alerts.is_empty() {
        return format!("version {} declares no alerts\n", printable(&answer.version));
    }
    let mut table = Table::new(vec![
        Column::left("alert"),
        Column::left("state"),
        Column::left("metric"),
        Column::left("key"),
        Column::left("since"),
        Column::left("judged to"),
        Column::right("changes"),
        Column::left("values"),
    ]);
    for alert in &answer.alerts {
        let tint = match alert.state.as_str() {
            "ok" => Some(Tint::Good),
            "pending" => None,
            _ => Some(Tint::Bad),
        };
        let state = tint.map_or_else(|| Cell::new(&alert.state), |tint| Cell::tinted(&alert.state, tint));
        table.push(vec![
            Cell::new(&alert.name),
            state,
            Cell::new(&alert.metric),
            Cell::new(&pairs(&alert.keys)),
            Cell::new(alert.since.as_deref().unwrap_or(NOTHING)),
            Cell::new(alert.judged_to.as_deref().unwrap_or(NOTHING)),
            Cell::new(&integer(alert.changes)),
            Cell::new(&pairs(&alert.values)),
        ]);
    }
    let mut text = table.text(screen);
    for line in to_know(answer) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", screen.paint(Some(Tint::Bad), &printable(&line)));
    }
    text
}

/// What a person has to know.
fn to_know(answer: &Answer) -> Vec<String> {
    let Answer { judge, webhook, alerts, .. } = answer;
    let firing = alerts.iter().filter(|alert| alert.state == "firing");
    let mut lines: Vec<String> = firing.map(|alert| format!("{}: {}", alert.name, alert.when)).collect();
    lines.extend(alerts.iter().filter_map(|alert| Some(format!("{}: {}", alert.name, alert.reason.as_ref()?))));
    if let Some(reason) = &judge.reason {
        lines.push(format!("this process does not judge: {reason}"));
    } else if judge.state == "following" && judge.heard_ms.is_none() {
        lines.push("no process judges the alerts".to_owned());
    }
    if webhook.undelivered > 0 {
        let why = webhook.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        lines.push(format!("{} notifications are not delivered yet{why}", integer(webhook.undelivered)));
    } else if !webhook.configured && answer.fires() {
        lines.push("nobody is told: alerts.webhook_url is not set".to_owned());
    }
    lines
}

fn pairs(of: &Map<String, Value>) -> String {
    if of.is_empty() {
        return NOTHING.to_owned();
    }
    let pair = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    };
    of.iter().map(pair).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(state: &str, reason: Option<&str>) -> Answer {
        let answer = json!({
            "version": "v1",
            "judge": {"state": "following", "heard_ms": 900},
            "webhook": {"configured": true, "undelivered": 0},
            "alerts": [{
                "name": "revenue_drop", "metric": "revenue", "keys": {"country": "DE"}, "window": "5m", "against": "5m",
                "when": "revenue < 0.8 * before.revenue", "for": "1m", "lateness": "10s", "labels": {}, "summary": null, "state": state,
                "reason": reason, "since": null, "judged_to": "2026-04-24T09:30:00Z", "values": {"revenue": 79.0}, "changes": 1_200,
            }],
        });
        serde_json::from_value(answer).expect("an answer")
    }

    #[test]
    fn an_alert_is_a_line() {
        let page = page(&answer("ok", None), Screen::NONE);
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(lines.len(), 2, "{page}");
        assert!(lines[1].starts_with("revenue_drop  ok     revenue  country=DE"), "{page}");
        assert!(lines[1].ends_with("revenue=79.0"), "{page}");
    }

    #[test]
    fn what_a_person_has_to_know_stands_below() {
        let mut firing = answer("firing", None);
        assert!(firing.fires() && !answer("pending", None).fires());
        firing.webhook = Webhook { configured: true, undelivered: 2, error: Some("cannot reach it".to_owned()) };
        let text = page(&firing, Screen::NONE);
        assert!(text.contains("revenue_drop: revenue < 0.8 * before.revenue\n"), "{text}");
        assert!(text.contains("2 notifications are not delivered yet: cannot reach it\n"), "{text}");
        let mut unknown = answer("unknown", Some("answers are not complete"));
        unknown.judge.heard_ms = None;
        let text = page(&unknown, Screen::NONE);
        assert!(text.ends_with("revenue_drop: answers are not complete\nno process judges the alerts\n"), "{text}");
        let none = Answer { alerts: Vec::new(), ..answer("ok", None) };
        assert_eq!(page(&none, Screen::NONE), "version v1 declares no alerts\n");
    }
}
