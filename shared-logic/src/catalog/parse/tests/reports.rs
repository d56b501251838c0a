//! Reports: what they are read as, and every mistake with its line.

use super::*;
use crate::catalog::Join;

/// A report without mistakes; each broken one below changes one of its lines.
const REPORT: &str = r#"[sources.clicks]
event_time = "at"
[sources.clicks.fields]
at = "timestamp"
user_id = "string"
page = "string"
code = "int"
ms = "int"
[tables.users]
key = "user_id"
[tables.users.fields]
user_id = "string"
name = "string?"
plan = "string?"
[metrics.engagement]
source = "clicks"
by = ["user_id", "code"]
grain = "1h"
[metrics.engagement.measures]
clicks = "count()"
pages = "distinct(page)"
top_pages = "top(page, 3)"
[metrics.engagement.derived]
per_page = "clicks / pages"
[reports.engagement]
metric = "engagement"
period = "1d"
schedule = "0 0 2 * * *"
time_zone = "Europe/Berlin"
join.users = { on = "user_id", take = ["name", "plan"] }
[reports.engagement.columns]
score = "clicks * 0.3 + pages * 0.5 + per_page"
label = "coalesce(name, user_id)"
"#;

fn broken(from: &str, to: &str) -> Vec<Mistake> {
    assert!(REPORT.contains(from), "the test replaces nothing: {from}");
    mistakes(&REPORT.replacen(from, to, 1))
}

/// A change that is one mistake: its line, and parts of what is said of it.
fn refused(from: &str, to: &str, line: usize, what: &str, fix: &str) {
    let found = broken(from, to);
    assert_eq!(found.len(), 1, "{to}: {found:?}");
    assert_eq!(found[0].line, line, "{to}: {found:?}");
    assert!(found[0].what.contains(what), "{to}: {found:?}");
    assert!(found[0].fix.contains(fix), "{to}: {found:?}");
}

#[test]
fn a_report_is_read_and_has_defaults() {
    let catalog = Catalog::parse(REPORT).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let report = &catalog.reports["engagement"];
    assert_eq!((report.metric.as_str(), report.time_zone.name()), ("engagement", "Europe/Berlin"));
    assert_eq!((report.settle_us, report.revise_us), (HOUR_US, 7 * DAY_US));
    let join =
        Join { table: "users".to_owned(), on: "user_id".to_owned(), take: vec!["name".to_owned(), "plan".to_owned()] };
    assert_eq!(report.join, [join]);
    let kinds: Vec<FieldType> = report.columns.iter().map(|column| column.of.kind()).collect();
    assert_eq!(kinds, [FieldType::Float, FieldType::String]);
    let without = REPORT.replace("time_zone = \"Europe/Berlin\"\n", "settle = \"10m\"\nrevise = \"2d\"\n");
    let without = Catalog::parse(&format!("[schedule]\ntime_zone = \"Asia/Tokyo\"\n{without}")).expect("no mistakes");
    let report = &without.reports["engagement"];
    assert_eq!((report.time_zone.name(), report.settle_us, report.revise_us), ("Asia/Tokyo", 600_000_000, 2 * DAY_US));
}

#[test]
fn every_mistake_of_a_report_has_its_line_and_a_fix() {
    refused(
        "metric = \"engagement\"",
        "metric = \"engagment\"",
        26,
        "unknown metric `engagment`",
        "did you mean `engagement`?",
    );
    refused("metric = \"engagement\"\n", "", 25, "has no `metric`", "add metric = \"engagement\"");
    refused("period = \"1d\"", "period = \"1h\"", 27, "a report is of days", "write period = \"1d\"");
    refused("schedule = \"0 0 2 * * *\"\n", "", 25, "has no `schedule`", "schedule = \"0 0 2 * * *\"");
    refused("\"0 0 2 * * *\"", "\"0 2 * * *\"", 28, "has five fields and no seconds", "second, minute");
    refused("Europe/Berlin", "Europe/Berlyn", 29, "no IANA time zone", "Europe/Berlin");
    refused("join.users", "join.user", 30, "`user`, which is unknown", "did you mean `users`?");
    refused("join.users", "join.clicks", 30, "`clicks`, which is a source, and no table", "tables are users");
    refused(
        "on = \"user_id\"",
        "on = \"user\"",
        30,
        "`user`, by which metric `engagement` does not group",
        "user_id, code",
    );
    refused(
        "on = \"user_id\"",
        "on = \"code\"",
        30,
        "which is int, and the key `user_id` of the table is string",
        "string",
    );
    refused(
        "take = [\"name\", \"plan\"]",
        "take = [\"nam\", \"plan\"]",
        30,
        "undeclared field `nam`",
        "did you mean `name`?",
    );
    refused(", take = [\"name\", \"plan\"]", "", 30, "has no `take`", "take = [\"name\"]");
    refused("\"plan\"]", "\"user_id\"]", 30, "another column is called `user_id`", "leave it out");
    refused("clicks * 0.3", "click * 0.3", 32, "column `score`: unknown column `click`", "did you mean `clicks`?");
    refused("clicks * 0.3", "top_pages * 0.3", 32, "unknown column `top_pages`", "columns are");
    refused("clicks * 0.3", "sum(clicks)", 32, "`sum` is an aggregate", "declare it as a measure of the metric");
    refused("score =", "Score =", 32, "no name for a column", "a-z");
    refused("score =", "clicks =", 32, "another column is called `clicks`", "call one of them otherwise");
    refused("label =", "date =", 33, "every report has a column `date`", "call one of them otherwise");
    refused("period = \"1d\"", "revise = \"60d\"", 27, "calculates these days again", "at most \"31d\"");
    refused("period = \"1d\"", "settle = \"13h\"", 27, "`settle` is 13h, and a run waits no longer", "at most \"12h\"");
    refused("period = \"1d\"", "settle = \"soon\"", 27, "`settle` is \"soon\"", "duration");
    refused("period = \"1d\"", "perriod = \"1d\"", 27, "unknown key `perriod`", "did you mean `period`?");
}

#[test]
fn days_of_the_zone_consist_of_whole_buckets() {
    let with = |grain: &str, zone: &str| REPORT.replace("\"1h\"", grain).replace("Europe/Berlin", zone);
    for (grain, zone) in [
        ("\"24h\"", "UTC"),
        ("\"15m\"", "Asia/Kathmandu"),
        ("\"30m\"", "Australia/Lord_Howe"),
        ("\"1h\"", "Asia/Tokyo"),
    ] {
        assert_eq!(mistakes(&with(grain, zone)), Vec::<Mistake>::new(), "{grain} {zone}");
    }
    for (grain, zone, largest) in [
        ("\"24h\"", "Europe/Berlin", "1h"),
        ("\"1h\"", "Asia/Kolkata", "30m"),
        ("\"1h\"", "Asia/Kathmandu", "15m"),
        ("\"24h\"", "Asia/Tokyo", "3h"),
    ] {
        let found = mistakes(&with(grain, zone));
        assert_eq!(found.len(), 1, "{grain} {zone}: {found:?}");
        assert!(found[0].line == 26 && found[0].what.contains(zone), "{found:?}");
        assert!(found[0].fix.contains(&format!("grain = \"{largest}\"")), "{found:?}");
    }
}

#[test]
fn a_metric_with_mistakes_is_not_said_to_lack_what_it_may_have() {
    let found = broken("clicks = \"count()\"", "clicks = \"count(\"");
    assert_eq!(found.len(), 1, "{found:?}");
    // A name that a report cannot have twice, and one that is its own.
    let twice = "per_page = \"clicks / pages\"\nuser_id = \"clicks / pages\"";
    refused(
        "per_page = \"clicks / pages\"",
        twice,
        27,
        "calls a column `user_id`",
        "call that column of the metric otherwise",
    );
}

#[test]
fn the_definition_follows_what_rows_say_and_not_when_they_are_written() {
    let of = |text: &str| {
        let catalog = Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        catalog.report_definition(&catalog.reports["engagement"])
    };
    let whole = of(REPORT);
    for (from, to) in [
        ("clicks * 0.3", "clicks * 0.4"),
        ("[\"name\", \"plan\"]", "[\"name\"]"),
        ("Europe/Berlin", "Europe/Athens"),
        ("clicks / pages", "clicks / pages / 2"),
        ("plan = \"string?\"", "plan = \"int?\""),
        ("source = \"clicks\"", "source = \"clicks\"\nwhere = \"ms > 0\""),
        ("score =", "points ="),
    ] {
        assert_ne!(of(&REPORT.replacen(from, to, 1)), whole, "{to}");
    }
    for (from, to) in [("0 0 2 * * *", "0 0 3 * * *"), ("period = \"1d\"", "settle = \"2h\"\nrevise = \"3d\"")] {
        assert_eq!(of(&REPORT.replacen(from, to, 1)), whole, "{to}");
    }
}
