use std::collections::BTreeMap;

use chrono_tz::Tz;
use polars::prelude::*;
use proptest::prelude::*;

use super::*;
use crate::catalog::{Catalog, Report};
use crate::expression::Scalar as Cell;
use crate::log::{Offsets, PartitionId};
use crate::measure::Value;
use crate::partial::BUCKET;
use crate::plan::Plan;
use crate::time::{DAY_US, HOUR_US, local_date, local_day, parse_day, parse_rfc3339, zone_offsets_us};

const CATALOG: &str = r#"
[sources.clicks]
event_time = "at"
[sources.clicks.fields]
at = "timestamp"
user_id = "string?"
ms = "int"
[tables.users]
key = "user_id"
[tables.users.fields]
user_id = "string"
name = "string?"
score = "float?"
[metrics.engagement]
source = "clicks"
by = ["user_id"]
grain = "1h"
[metrics.engagement.measures]
clicks = "count()"
ms = "sum(ms)"
[metrics.engagement.derived]
avg_ms = "ms / clicks"
[reports.engagement]
metric = "engagement"
schedule = "0 0 2 * * *"
time_zone = "Europe/Berlin"
join.users = { on = "user_id", take = ["name", "score"] }
[reports.engagement.columns]
engagement_score = "clicks * 0.3 + avg_ms / 1000 * 0.2"
label = "coalesce(name, user_id)"
"#;

fn catalog() -> Catalog {
    Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn report(schedule: &str, zone: &str) -> Report {
    let report = catalog().reports["engagement"].clone();
    Report { schedule: schedule.parse().expect("cron"), time_zone: zone.parse().expect("a zone"), ..report }
}

fn at(text: &str) -> i64 {
    parse_rfc3339(text.as_bytes()).expect("an instant")
}

fn day(text: &str) -> i64 {
    parse_day(text).expect("a day")
}

const NONE: [i64; 0] = [];
const NIGHTLY: &str = "0 0 2 * * *";

#[test]
fn a_run_writes_the_day_before() {
    let report = report(NIGHTLY, "Europe/Berlin");
    let of = |last: &str, now: &str| due(&report, &[day(last)], at(now));
    assert_eq!(of("2026-04-23", "2026-04-24T23:59:59Z"), NONE, "it is 01:59 in Berlin");
    assert_eq!(of("2026-04-23", "2026-04-25T00:00:00Z"), [day("2026-04-24")]);
    assert_eq!(of("2026-04-24", "2026-04-25T23:00:00Z"), NONE, "it is written");
    assert_eq!(due(&report, &NONE, at("2026-04-25T00:00:00Z")), [day("2026-04-24")], "history is asked for");
    assert_eq!(due(&report, &NONE, at("2026-04-24T23:00:00Z")), [day("2026-04-23")]);
}

#[test]
fn missed_runs_are_made_up_for_the_oldest_first_and_not_for_ever() {
    let report = report(NIGHTLY, "Europe/Berlin");
    let now = at("2026-04-25T12:00:00Z");
    let three = ["2026-04-22", "2026-04-23", "2026-04-24"].map(day);
    assert_eq!(due(&report, &[day("2026-04-21")], now), three);
    let many = due(&report, &[day("2025-01-01")], now);
    assert_eq!((many.len() as i64, many.first(), many.last()), (CATCH_UP_DAYS, Some(&day("2026-03-26")), three.last()));
    assert!(many.is_sorted());
    // Someone has asked for the newest by hand, and for one of long ago.
    assert_eq!(due(&report, &[day("2026-04-21"), three[2]], now), three[..2]);
    assert_eq!(due(&report, &[day("2025-01-01"), day("2026-03-27"), three[1]], now).len(), many.len() - 2);
}

#[test]
fn a_run_that_clocks_skip_or_show_twice_is_one_run() {
    let report = report("0 30 2 * * *", "Europe/Berlin");
    // 02:30 of the 29th of March is skipped; clocks go on at 03:00.
    let (last, skipped) = ([day("2026-03-27")], [day("2026-03-28")]);
    assert_eq!(due(&report, &last, at("2026-03-29T00:59:59Z")), NONE);
    assert_eq!(due(&report, &last, at("2026-03-29T01:00:00Z")), skipped);
    // 02:30 of the 25th of October comes at 00:30 and at 01:30.
    let (last, twice) = ([day("2026-10-23")], [day("2026-10-24")]);
    assert_eq!(due(&report, &last, at("2026-10-25T00:29:59Z")), NONE);
    assert_eq!(due(&report, &last, at("2026-10-25T00:30:00Z")), twice);
    assert_eq!(due(&report, &twice, at("2026-10-25T12:00:00Z")), NONE);
}

#[test]
fn a_weekly_schedule_writes_the_day_before_each_of_its_runs() {
    let report = report("0 0 2 * * Mon", "UTC");
    // The 26th of January 2026 is a Monday.
    let sundays = ["2026-01-11", "2026-01-18", "2026-01-25"].map(day);
    assert_eq!(due(&report, &[day("2026-01-04")], at("2026-01-26T02:00:00Z")), sundays);
    let hourly = super::tests::report("0 0 * * * *", "UTC");
    assert_eq!(due(&hourly, &[day("2026-01-24")], at("2026-01-26T09:30:00Z")), [day("2026-01-25")], "once");
}

#[test]
fn a_day_is_settled_and_revised_by_its_own_end() {
    let report = report(NIGHTLY, "Europe/Berlin");
    // A day of 25 hours, which ends at 23:00 UTC.
    let long = day("2026-10-25");
    assert_eq!(settled_at(&report, long), Some(at("2026-10-26T00:00:00Z")));
    assert_eq!(revisable_until(&report, long), Some(at("2026-11-01T23:00:00Z")));
    let written = || (long - 9..=long).rev();
    let open: Vec<i64> = revised(&report, written(), at("2026-10-26T01:00:00Z"));
    assert_eq!((open.first(), open.last()), (Some(&(long - 6)), Some(&long)));
    assert!(open.is_sorted());
    // A clock that was ahead has written days that are not over.
    let open = revised(&report, long..long + 9, at("2026-10-26T01:00:00Z"));
    assert_eq!(open, [long]);
}

proptest! {
    /// Days of a zone follow each other without a gap, and hold the instants at which its clocks show them.
    #[test]
    fn days_of_a_zone_are_next_to_each_other(
        zone in prop::sample::select(vec![
            "Europe/Berlin", "UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut",
            "Africa/Cairo", "Pacific/Apia", "America/Sao_Paulo",
        ]),
        of in 10_957_i64..29_220,
        within in 0.0..1.0,
    ) {
        let zone: Tz = zone.parse().expect("a zone");
        let (today, tomorrow) = (local_day(of, zone).expect("a day"), local_day(of + 1, zone).expect("a day"));
        prop_assert_eq!(today.to_us, tomorrow.from_us);
        let long = today.to_us - today.from_us;
        prop_assert!((DAY_US - HOUR_US..=DAY_US + HOUR_US).contains(&long) || long == 0, "{}", long);
        if long > 0 {
            let instant = today.from_us + (long as f64 * within) as i64;
            // Where clocks go back over midnight, they show the end of the day before once more.
            let shown = local_date(instant, zone).expect("a date");
            prop_assert!(shown == of || shown == of - 1, "{}", shown);
        }
        prop_assert!(zone_offsets_us(zone).iter().all(|offset| offset.abs() <= DAY_US));
    }

    /// However ticks, days and restarts lie, each day with a run is written once, in order.
    #[test]
    fn every_day_is_written_once_whenever_the_process_runs(
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        schedule in prop::sample::select(vec!["0 30 2 * * *", "0 0 0 * * *", "0 0 */6 * * *", "0 0 23 * * *"]),
        hours in prop::collection::vec(1_i64..60, 1..40),
    ) {
        let report = report(schedule, zone);
        let (mut now, mut written) = (at("2026-03-20T12:00:00Z"), Vec::<i64>::new());
        for more in hours {
            now += more * HOUR_US;
            let more = due(&report, &written, now);
            written.extend(more);
        }
        let follows = |pair: &[i64]| pair[1] == pair[0] + 1;
        prop_assert!(written.windows(2).all(follows), "{:?}", written);
        let newest = due(&report, &NONE, now);
        prop_assert_eq!(written.last(), newest.last());
    }
}

#[test]
fn a_cut_lacks_what_had_arrived_and_it_does_not_reach() {
    let id = |partition| PartitionId::new("log", partition);
    let arrived = Offsets::from_iter([(id(0), 10), (id(1), 20)]);
    let cut = |of: &[(i32, i64)]| of.iter().map(|(partition, offset)| (id(*partition), *offset)).collect::<Offsets>();
    assert_eq!(lacking(&arrived, &cut(&[(0, 10), (1, 21), (2, 0)])), None);
    let lacks = |wanted, reached| Some(Lacking { id: id(1), wanted, reached });
    assert_eq!(lacking(&arrived, &cut(&[(0, 10), (1, 19)])), lacks(20, Some(19)));
    assert_eq!(lacking(&arrived, &cut(&[(0, 10)])), lacks(20, None));
    assert_eq!(lacking(&Offsets::default(), &cut(&[])), None);
}

/// Of a user's clicks: the user, and how long they took.
type Click = (Option<&'static str>, i64);

fn partials(clicks: &[Click]) -> DataFrame {
    let catalog = catalog();
    let plan = Plan::new(&catalog.sources["clicks"], &catalog.metrics["engagement"]);
    let events = df!(
        "at" => vec![0_i64; clicks.len()],
        "user_id" => clicks.iter().map(|click| click.0).collect::<Vec<_>>(),
        "ms" => clicks.iter().map(|click| click.1).collect::<Vec<_>>(),
    );
    let rows = plan.view_rows(events.expect("three columns").lazy(), None).expect("planned");
    assert!(rows.column(BUCKET).is_ok());
    rows
}

fn users() -> BTreeMap<String, DataFrame> {
    let users = df!("user_id" => ["a", "b"], "name" => [Some("Ann"), None], "score" => [Some(0.5), Some(1.5)]);
    BTreeMap::from([("users".to_owned(), users.expect("three columns"))])
}

fn cells(rows: &DataFrame) -> Vec<Vec<Cell<'_>>> {
    let catalog = catalog();
    let layout = Layout::of(&catalog, &catalog.reports["engagement"]);
    let kinds: Vec<_> = layout.columns().iter().map(|(_, kind)| *kind).collect();
    let columns = rows.columns().iter().zip(kinds);
    let mut columns: Vec<_> =
        columns.map(|(column, kind)| crate::expression::of_column(column, kind).expect("its type")).collect();
    (0..rows.height()).map(|_| columns.iter_mut().filter_map(Iterator::next).collect()).collect()
}

#[test]
fn a_row_has_key_joined_columns_measures_and_what_is_calculated_of_them() {
    let catalog = catalog();
    let layout = Layout::of(&catalog, &catalog.reports["engagement"]);
    let names: Vec<&str> = layout.columns().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["user_id", "name", "score", "clicks", "ms", "avg_ms", "engagement_score", "label"]);
    let clicks = [(Some("a"), 1_000), (Some("c"), 7), (None, 500), (Some("a"), 2_000)];
    let rows = layout.rows(&partials(&clicks), &users()).expect("rows");
    let text = |text: &str| Cell::String(text.to_owned().into());
    let (of_a, none) = (2.0 * 0.3 + 1_500.0 / 1_000.0 * 0.2, Cell::Null);
    let expected = vec![
        vec![
            none.clone(),
            none.clone(),
            none.clone(),
            Cell::Int(1),
            Cell::Int(500),
            Cell::Float(500.0),
            Cell::Float(0.3 + 0.1),
            none.clone(),
        ],
        vec![
            text("a"),
            text("Ann"),
            Cell::Float(0.5),
            Cell::Int(2),
            Cell::Int(3_000),
            Cell::Float(1_500.0),
            Cell::Float(of_a),
            text("Ann"),
        ],
        vec![
            text("c"),
            none.clone(),
            none,
            Cell::Int(1),
            Cell::Int(7),
            Cell::Float(7.0),
            Cell::Float(0.3 + 7.0 / 1_000.0 * 0.2),
            text("c"),
        ],
    ];
    assert_eq!(cells(&rows), expected);
    // Without any row of the table.
    let none = BTreeMap::from([("users".to_owned(), users()["users"].head(Some(0)))]);
    let rows = layout.rows(&partials(&clicks), &none).expect("rows");
    assert_eq!(rows.column("name").expect("there").null_count(), 3);
    assert!(layout.rows(&partials(&clicks), &BTreeMap::new()).is_err(), "no rows are not none");
}

#[test]
fn a_sum_that_leaves_64_bits_is_null_and_one_that_comes_back_is_not() {
    let catalog = catalog();
    let layout = Layout::of(&catalog, &catalog.reports["engagement"]);
    let wide = [(Some("a"), i64::MAX), (Some("a"), i64::MAX), (Some("b"), i64::MAX), (Some("b"), 1), (Some("b"), -1)];
    let rows = layout.rows(&partials(&wide), &users()).expect("rows");
    let cells = cells(&rows);
    assert_eq!((&cells[0][4], &cells[0][6]), (&Cell::Null, &Cell::Null));
    assert_eq!(cells[1][4], Cell::Int(i64::MAX.into()));
}

#[test]
fn rows_say_the_same_though_floats_differ_in_their_last_digits() {
    let frame = |text: &str, float: f64| df!("a" => [Some(text), None], "b" => [Some(float), None]).expect("a frame");
    let same = |a: &DataFrame, b: &DataFrame| same_rows(a, b).expect("of one schema");
    assert!(same(&frame("x", 0.1 + 0.2), &frame("x", 0.3)));
    assert!(!same(&frame("x", 0.3), &frame("x", 0.300_001)) && !same(&frame("x", 0.3), &frame("y", 0.3)));
    let (more, null) = (frame("x", 0.3).head(Some(1)), frame("x", 0.3).reverse());
    assert!(!same(&frame("x", 0.3), &more) && !same(&frame("x", 0.3), &null));
}

proptest! {
    /// The batch layer makes all rows of a day at once, the serving layer one of a day that runs.
    #[test]
    fn a_row_by_itself_is_that_of_all_rows(
        clicks in prop::collection::vec(
            (prop::sample::select(vec![None, Some("a"), Some("b"), Some("c")]), prop_oneof![any::<i64>(), 0_i64..5_000]), 1..20),
    ) {
        let catalog = catalog();
        let layout = Layout::of(&catalog, &catalog.reports["engagement"]);
        let rows = layout.rows(&partials(&clicks), &users()).expect("rows");
        for row in cells(&rows) {
            let of_key: Vec<i64> = clicks
                .iter()
                .filter(|click| click.0.map_or(Cell::Null, |key| Cell::String(key.into())) == row[0])
                .map(|click| click.1)
                .collect();
            let sum = of_key.iter().map(|ms| i128::from(*ms)).sum();
            let measures = [Value::Int(of_key.len() as i128), Value::Int(sum)];
            let joined = row[1..3].to_vec();
            prop_assert_eq!(&layout.row(vec![row[0].clone()], joined, &measures), &row);
        }
    }
}
