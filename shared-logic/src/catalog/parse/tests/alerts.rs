//! Alerts: what they are read as, and every mistake with its line.

use super::*;
use crate::group_key::{KeyPart, KeyValue};
use crate::time::SECOND_US;

/// Alerts without mistakes; each broken one below changes one of their lines.
const ALERTS: &str = r#"[sources.orders]
event_time = "at"
[sources.orders.fields]
at = "timestamp"
country = "string"
shop = "int"
price = "float"
[metrics.revenue]
source = "orders"
by = ["country", "shop"]
grain = "1m"
[metrics.revenue.measures]
orders = "count()"
revenue = "sum(price)"
prices = "quantile(price)"
[metrics.revenue.derived]
mean = "revenue / orders"
p99 = "quantile(prices, 0.99)"
[alerts.revenue_drop]
metric = "revenue"
window = "5m"
against = "previous"
when = "revenue < 0.8 * before.revenue AND before.orders > 10"
for = "1m"
lateness = "30s"
keys = { country = "DE" }
labels = { severity = "page" }
summary = "revenue has dropped"
[alerts.dear]
metric = "revenue"
window = "1h"
when = "p99 > 100 OR mean > 50"
"#;

fn refused(from: &str, to: &str, line: usize, what: &str, fix: &str) {
    assert!(ALERTS.contains(from), "the test replaces nothing: {from}");
    let found = mistakes(&ALERTS.replacen(from, to, 1));
    assert_eq!(found.len(), 1, "{to}: {found:?}");
    assert_eq!(found[0].line, line, "{to}: {found:?}");
    assert!(found[0].what.contains(what), "{to}: {found:?}");
    assert!(found[0].fix.contains(fix), "{to}: {found:?}");
}

#[test]
fn an_alert_is_read_and_has_defaults() {
    let catalog = Catalog::parse(ALERTS).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let alert = &catalog.alerts["revenue_drop"];
    let minute = 60 * SECOND_US;
    assert_eq!((alert.window_us, alert.shift_us, alert.for_us), (5 * minute, Some(5 * minute), minute));
    assert_eq!(alert.lateness_us, 30 * SECOND_US);
    assert_eq!(alert.keys, [KeyPart::Value(KeyValue::Text("DE".to_owned())), KeyPart::All]);
    assert_eq!(alert.key().as_str(), r#"["DE",null]"#);
    let columns: Vec<&str> = alert.when.columns().into_iter().collect();
    assert_eq!(columns, ["before.orders", "before.revenue", "revenue"]);
    let before = alert.before(20 * minute).expect("it compares");
    assert_eq!((before.from_us, before.to_us), (10 * minute, 15 * minute));
    let dear = &catalog.alerts["dear"];
    assert_eq!((dear.shift_us, dear.for_us, dear.lateness_us), (None, 0, 10 * SECOND_US));
    assert_eq!((dear.key().as_str(), dear.before(0)), ("[]", None));
    let weekly = Catalog::parse(&ALERTS.replacen("\"previous\"", "\"7d\"", 1)).expect("no mistakes");
    assert_eq!(weekly.alerts["revenue_drop"].shift_us, Some(7 * DAY_US));
    let of_int = Catalog::parse(&ALERTS.replacen("country = \"DE\"", "shop = \"7\"", 1)).expect("no mistakes");
    assert_eq!(of_int.alerts["revenue_drop"].keys[1], KeyPart::Value(KeyValue::Int(7)));
}

#[test]
fn every_mistake_of_an_alert_has_its_line_and_a_fix() {
    refused("metric = \"revenue\"", "metric = \"revenu\"", 20, "unknown metric `revenu`", "did you mean `revenue`?");
    refused("metric = \"revenue\"\n", "", 19, "has no `metric`", "add metric = \"revenue\"");
    refused("window = \"5m\"\n", "", 19, "has no `window`", "add window = \"5m\"");
    refused("window = \"5m\"", "window = \"five\"", 21, "`window` is \"five\"", "write a duration");
    refused("window = \"5m\"", "window = \"90s\"", 21, "is counted in buckets of 1m", "a multiple of 1m");
    refused("\"previous\"", "\"before\"", 22, "`against` is \"before\"", "write \"previous\"");
    refused("\"previous\"", "\"4m\"", 22, "`against` is \"4m\"", "from \"5m\"");
    refused("\"previous\"", "\"500d\"", 22, "`against` is \"500d\"", "to 400d");
    refused("\"previous\"", "\"330s\"", 22, "is counted in buckets of 1m", "a multiple of 1m");
    refused("against = \"previous\"\n", "", 22, "an earlier window", "add against = \"previous\"");
    refused("revenue < 0.8", "revenu < 0.8", 23, "unknown measure `revenu`", "did you mean `revenue`?");
    refused("before.orders", "before.ordres", 23, "unknown measure `before.ordres`", "did you mean `before.orders`?");
    refused("before.orders", "prices", 23, "`prices` is a distribution", "ask it for a quantile");
    refused(
        "revenue < 0.8 * before.revenue AND before.orders > 10",
        "revenue - before.revenue",
        23,
        "not a condition",
        "comparison",
    );
    refused("for = \"1m\"", "for = 60", 24, "`for` is an integer", "write for");
    refused("country = \"DE\"", "land = \"DE\"", 26, "does not group", "columns of `by` are country, shop");
    refused("country = \"DE\"", "shop = \"DE\"", 26, "the column is int", "a value that is int");
    refused("severity = ", "alertname = ", 27, "label `alertname`", "call it otherwise");
    refused("severity = ", "country = ", 27, "label `country`", "call it otherwise");
    refused("\"revenue has dropped\"", "\" \"", 28, "`summary` has 1 bytes", "leave it out");
    refused("lateness =", "latenes =", 25, "unknown key `latenes`", "did you mean `lateness`?");
    refused("[alerts.dear]", "[alerts.Dear]", 29, "no name for an alert", "a-z");
}

#[test]
fn a_mistake_in_the_metric_is_not_reported_again() {
    let found = mistakes(&ALERTS.replacen("revenue = \"sum(price)\"", "revenue = \"sum(prise)\"", 1));
    assert_eq!(found.len(), 1, "{found:?}");
}
