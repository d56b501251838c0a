//! Judgements: what changes, what receivers are told, and what never happens.

mod walk;

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::*;
use crate::catalog::{Catalog, DefinitionHash};
use crate::measure::Value;

const CATALOG: &str = r#"
[sources.orders]
event_time = "at"
[sources.orders.fields]
at = "timestamp"
country = "string"
price = "float"
[metrics.revenue]
source = "orders"
by = ["country"]
grain = "1m"
[metrics.revenue.measures]
orders = "count()"
revenue = "sum(price)"
[metrics.revenue.derived]
mean = "revenue / orders"
[alerts.revenue_drop]
metric = "revenue"
window = "5m"
against = "previous"
when = "revenue < 0.8 * before.revenue"
for = "1m"
keys = { country = "DE" }
labels = { severity = "page" }
[alerts.cheap]
metric = "revenue"
window = "5m"
when = "mean < 3"
"#;

const RULE: Rule = Rule { for_us: 60, grain_us: 60 };

fn catalog() -> Catalog {
    Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn state() -> AlertState {
    AlertState::new(DefinitionHash::of_none(), BTreeMap::new(), 0)
}

/// The state after the windows that end at these moments were judged.
fn after(state: AlertState, judged: &[(i64, Verdict)]) -> AlertState {
    let judge =
        |state: AlertState, (end, verdict): &(i64, Verdict)| state.judged(RULE, *end, verdict.clone(), Map::new());
    judged.iter().fold(state, judge)
}

#[test]
fn a_condition_fires_once_it_has_held_for_long_enough() {
    let unjudged = state();
    assert_eq!(unjudged.word(), StateWord::Unknown);
    let ok = after(unjudged, &[(60, Verdict::Fails)]);
    let pending = after(ok.clone(), &[(120, Verdict::Holds), (120, Verdict::Holds)]);
    assert_eq!((ok.word(), pending.word(), pending.since_us()), (StateWord::Ok, StateWord::Pending, Some(120)));
    let firing = after(pending.clone(), &[(180, Verdict::Holds)]);
    assert_eq!(firing.phase, Phase::Firing { since_us: 120, fired_us: 180 });
    assert_eq!((ok.notice(&pending), pending.notice(&firing)), (None, Some(Notice::Firing)));
    let later = after(firing.clone(), &[(240, Verdict::Holds)]);
    assert_eq!((firing.notice(&later), firing.is_change(&later)), (None, false));
    let resolved = after(later.clone(), &[(300, Verdict::Fails)]);
    assert_eq!((resolved.word(), later.notice(&resolved)), (StateWord::Ok, Some(Notice::Resolved)));
}

#[test]
fn without_for_it_fires_at_once_and_late_events_can_change_the_newest_window() {
    let rule = Rule { for_us: 0, ..RULE };
    let firing = state().judged(rule, 60, Verdict::Holds, Map::new());
    assert!(firing.phase.fires());
    let corrected = firing.judged(rule, 60, Verdict::Fails, Map::new());
    assert_eq!(firing.notice(&corrected), Some(Notice::Resolved));
}

#[test]
fn what_is_not_known_tells_receivers_nothing_and_goes_on_from_where_it_was() {
    let firing = after(state(), &[(60, Verdict::Holds), (120, Verdict::Holds)]);
    let unknown = after(firing.clone(), &[(180, Verdict::Unknown("a gap".to_owned()))]);
    assert_eq!((unknown.word(), firing.notice(&unknown)), (StateWord::Unknown, None));
    let again = after(unknown.clone(), &[(180, Verdict::Holds)]);
    assert_eq!((again.word(), unknown.notice(&again), again.since_us()), (StateWord::Firing, None, Some(60)));
    assert!(firing.is_change(&unknown) && unknown.is_change(&again), "each is a record");
    let over = after(unknown.clone(), &[(180, Verdict::Fails)]);
    assert_eq!(unknown.notice(&over), Some(Notice::Resolved));
}

#[test]
fn a_window_that_was_missed_begins_the_wait_anew() {
    let pending = after(state(), &[(60, Verdict::Holds)]);
    let missed = after(pending.clone(), &[(180, Verdict::Holds)]);
    assert_eq!(missed.phase, Phase::Pending { since_us: 180 });
    assert_eq!(after(pending, &[(120, Verdict::Holds)]).word(), StateWord::Firing);
}

#[test]
fn nothing_is_judged_backwards() {
    let firing = after(state(), &[(60, Verdict::Holds), (120, Verdict::Holds)]);
    assert_eq!(after(firing.clone(), &[(60, Verdict::Fails)]), firing);
    let unknown = firing.not_known("too old".to_owned());
    assert_eq!(after(unknown.clone(), &[(60, Verdict::Holds)]), unknown, "nor does it become known by an older window");
}

#[test]
fn what_is_not_declared_any_more_is_resolved() {
    let firing = after(state(), &[(60, Verdict::Holds), (120, Verdict::Holds)]);
    for before in [firing.clone(), firing.not_known("a gap".to_owned())] {
        assert_eq!((before.ended().word(), before.notice(&before.ended())), (StateWord::Ok, Some(Notice::Resolved)));
    }
}

#[test]
fn a_condition_compares_merged_values_of_two_windows() {
    let catalog = catalog();
    let (alert, metric) = (&catalog.alerts["revenue_drop"], &catalog.metrics["revenue"]);
    let judge = |now: f64, before: f64| {
        let values = |revenue| [Value::Int(3), Value::Float(revenue)];
        verdict(alert, metric, &values(now), Some(&values(before)))
    };
    let (holds, looked_at) = judge(79.0, 100.0);
    assert_eq!(holds, Verdict::Holds);
    assert_eq!(Json::Object(looked_at), json!({"before.revenue": 100.0, "revenue": 79.0}));
    assert_eq!(judge(80.0, 100.0).0, Verdict::Fails);
    assert_eq!(judge(0.0, 0.0).0, Verdict::Fails);
    let overflown = [Value::Int(3), Value::Overflow];
    assert!(matches!(verdict(alert, metric, &overflown, Some(&overflown)).0, Verdict::Unknown(_)));
}

#[test]
fn a_condition_on_a_derived_value_of_nothing_fails() {
    let catalog = catalog();
    let (alert, metric) = (&catalog.alerts["cheap"], &catalog.metrics["revenue"]);
    let (fails, looked_at) = verdict(alert, metric, &[Value::Int(0), Value::Float(0.0)], None);
    assert_eq!((fails, Json::Object(looked_at)), (Verdict::Fails, json!({"mean": null})));
    assert_eq!(verdict(alert, metric, &[Value::Int(4), Value::Float(8.0)], None).0, Verdict::Holds);
}

#[test]
fn a_change_is_named_once_and_says_what_it_is_about() {
    let catalog = catalog();
    let (alert, metric) = (&catalog.alerts["revenue_drop"], &catalog.metrics["revenue"]);
    let judged =
        Judged { deployment: "shop", version: "v2", name: "revenue_drop", declared: Some((alert, metric)), at_us: 0 };
    let pending = AlertState { changes: 4, ..after(state(), &[(60, Verdict::Holds)]) };
    let mut still = after(pending.clone(), &[(60, Verdict::Holds)]);
    assert_eq!(AlertChange::between(&pending, &mut still, judged, None), None);
    assert_eq!(still.changes, 4);
    let mut firing = after(pending.clone(), &[(120, Verdict::Holds)]);
    let change = AlertChange::between(&pending, &mut firing, judged, None).expect("a change");
    assert_eq!((change.id.as_str(), firing.changes), ("shop/revenue_drop/0/5", 5));
    assert_eq!((change.from, change.to, change.notice), (StateWord::Pending, StateWord::Firing, Some(Notice::Firing)));
    assert_eq!((Json::Object(change.keys), change.version.as_str()), (json!({"country": "DE"}), "v2"));
    let mut unknown = firing.not_known("a gap".to_owned());
    let change = AlertChange::between(&firing, &mut unknown, judged, None).expect("a change");
    assert_eq!((change.reason.as_deref(), change.notice), (Some("a gap"), None));
    let mut ended = unknown.ended();
    let gone = Judged { declared: None, ..judged };
    let change = AlertChange::between(&unknown, &mut ended, gone, Some("not declared any more")).expect("a change");
    assert_eq!(
        (change.notice, change.when, change.id.as_str()),
        (Some(Notice::Resolved), None, "shop/revenue_drop/0/7")
    );
    assert_eq!(change.reason.as_deref(), Some("not declared any more"));
}

#[test]
fn a_notification_is_what_alertmanager_sends() {
    let catalog = catalog();
    let (alert, metric) = (&catalog.alerts["revenue_drop"], &catalog.metrics["revenue"]);
    let mut change = AlertChange {
        id: change_id("shop", "revenue_drop", 7, 2),
        alert: "revenue_drop".to_owned(),
        version: "v1".to_owned(),
        keys: Map::new(),
        from: StateWord::Pending,
        to: StateWord::Firing,
        notice: Some(Notice::Firing),
        window_end: Some("2026-04-24T09:31:00Z".to_owned()),
        since: Some("2026-04-24T09:30:00Z".to_owned()),
        values: Map::from_iter([("revenue".to_owned(), json!(79.0))]),
        reason: None,
        judged_at: "2026-04-24T09:31:12Z".to_owned(),
        labels: labels("shop", alert, metric),
        summary: Some("revenue has dropped".to_owned()),
        when: Some("revenue < 1".to_owned()),
    };
    let receiver = Receiver { deployment: "shop".to_owned(), external_url: "http://braid:8080/".to_owned() };
    let body = notification(&change, &receiver).expect("receivers are told");
    let names: Vec<&String> = body.as_object().expect("an object").keys().collect();
    let expected = [
        "version",
        "groupKey",
        "truncatedAlerts",
        "status",
        "receiver",
        "groupLabels",
        "commonLabels",
        "commonAnnotations",
        "externalURL",
        "alerts",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        (&body["version"], &body["status"], &body["truncatedAlerts"]),
        (&json!("4"), &json!("firing"), &json!(0))
    );
    assert_eq!(body["groupKey"], "{}:{alertname=\"revenue_drop\"}");
    let told = &body["alerts"][0];
    assert_eq!(
        told["labels"],
        json!({"alertname": "revenue_drop", "country": "DE", "deployment": "shop", "metric": "revenue", "severity": "page"})
    );
    assert_eq!(told["annotations"]["change_id"], "shop/revenue_drop/7/2");
    assert_eq!(told["annotations"]["description"], "revenue < 1; revenue = 79.0");
    assert_eq!((&told["startsAt"], &told["endsAt"]), (&json!("2026-04-24T09:30:00Z"), &json!("0001-01-01T00:00:00Z")));
    assert_eq!(told["generatorURL"], "http://braid:8080/v1/alerts");
    change.notice = Some(Notice::Resolved);
    let resolved = notification(&change, &receiver).expect("receivers are told");
    assert_eq!(
        (&resolved["status"], &resolved["alerts"][0]["endsAt"]),
        (&json!("resolved"), &json!("2026-04-24T09:31:00Z"))
    );
    assert_eq!(resolved["alerts"][0]["fingerprint"], told["fingerprint"], "it is the same alert");
    change.notice = None;
    assert_eq!(notification(&change, &receiver), None);
}

#[test]
fn a_window_that_has_not_come_does_not_hold_up_the_next_one() {
    let ahead = after(state(), &[(3_600, Verdict::Holds), (3_660, Verdict::Holds)]);
    assert_eq!((ahead.word(), ahead.end_us), (StateWord::Firing, Some(3_660)));
    assert_eq!(after(ahead.clone(), &[(600, Verdict::Fails)]), ahead, "never backwards");
    assert_eq!(ahead.as_of(3_660), ahead);
    let now = ahead.as_of(630);
    assert_eq!((now.word(), now.end_us), (StateWord::Firing, None));
    let judged = after(now.clone(), &[(600, Verdict::Fails)]);
    assert_eq!((judged.word(), now.notice(&judged)), (StateWord::Ok, Some(Notice::Resolved)));
}

#[test]
fn after_an_interruption_the_wait_begins_anew() {
    let pending = after(state(), &[(60, Verdict::Holds)]).interrupted("the clock".to_owned());
    assert_eq!((pending.word(), pending.end_us), (StateWord::Unknown, None));
    assert_eq!(after(pending, &[(120, Verdict::Holds)]).phase, Phase::Pending { since_us: 120 });
    let firing = after(state(), &[(60, Verdict::Holds), (120, Verdict::Holds)]);
    let unknown = firing.interrupted("the clock".to_owned());
    assert_eq!((firing.notice(&unknown), unknown.clone().interrupted("the clock".to_owned())), (None, unknown.clone()));
    assert_eq!(unknown.notice(&after(unknown.clone(), &[(180, Verdict::Holds)])), None, "it still fires");
}

#[test]
fn a_definition_is_what_decides_when_an_alert_fires() {
    let hash = |text: &str| {
        let catalog = Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        catalog.alert_definition(&catalog.alerts["revenue_drop"])
    };
    let now = hash(CATALOG);
    let changes = [
        ("window = \"5m\"\nagainst", "window = \"6m\"\nagainst"),
        ("\"previous\"", "\"1d\""),
        ("for = \"1m\"", "for = \"2m\""),
        ("0.8", "0.7"),
        ("\"DE\"", "\"FR\""),
        ("\"page\"", "\"ticket\""),
        ("sum(price)", "max(price)"),
    ];
    for (from, to) in changes {
        assert!(CATALOG.contains(from), "{from}");
        assert_ne!(hash(&CATALOG.replacen(from, to, 1)), now, "{to}");
    }
    assert_eq!(hash(&CATALOG.replacen("for = \"1m\"", "for = \"1m\"\nsummary = \"less\"", 1)), now);
}
