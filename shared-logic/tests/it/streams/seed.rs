//! The examples of the specification, to the letter.

use serde_json::{Value as Json, json};
use shared_logic::time::format_rfc3339;

use super::log::{SECOND_US, TEN_US, World, drain, end, events, late, outputs};

fn at(second: i64) -> Json {
    format_rfc3339(TEN_US + second * SECOND_US).into()
}

/// Window [10:00:00, 10:00:05), lateness 10 s: the event of 10:00:02 arrives at 10:00:07 and counts; the window closes when an
/// event of 10:00:15 arrives; one of 10:00:03 that arrives after that is in the side output.
#[test]
fn late_data() {
    let world = World::new(
        r#"
[streams.counted]
from = "s"
by = ["user"]
window = "5s"
lateness = "10s"
[streams.counted.measures]
events = "count()"
"#,
    );
    let in_time = [("u", 0.0), ("u", 1.0), ("u", 3.0), ("u", 4.0), ("u", 7.0), ("u", 2.0), ("u", 14.9)];
    assert!(world.decide(&events(&in_time)).is_empty(), "W is below 10:00:05");
    let log = events(&[&in_time[..], &[("u", 15.0), ("u", 3.0)]].concat());
    let decided = world.decide(&log);
    let [closed] = &outputs(&decided)[..] else { panic!("{decided:?}") };
    assert_eq!((&closed["window_start"], &closed["window_end"], &closed["events"]), (&at(0), &at(5), &json!(5)));
    assert_eq!(closed["output_time"], "2026-04-24T10:00:04.999999Z");
    assert_eq!(closed["output_id"], "counted/v1/log/3/7/0", "the record of 10:00:15 has closed it");
    assert_eq!(late(&decided), [json!(8)]);
}

/// `avg` over 5 min by 1 min equals a recompute per window.
#[test]
fn a_sliding_average() {
    let world = World::new(
        r#"
[streams.averages]
from = "s"
by = ["user"]
window = "5m"
slide = "1m"
[streams.averages.measures]
mean = "avg(n)"
"#,
    );
    let times: Vec<i64> = (0..400).map(|n| n * 7_919 % 1_200).collect();
    let mut ordered = times.clone();
    ordered.sort_unstable();
    let log = events(&ordered.iter().map(|second| ("u", *second as f64)).collect::<Vec<_>>());
    let averages = outputs(&world.decide(&log));
    // The last event is of 19:59, and lateness 10 s: the windows that end at 19:00 or before are closed.
    assert_eq!(averages.len(), 19);
    for (minute, window) in (1_i64..).zip(&averages) {
        assert_eq!((&window["window_start"], &window["window_end"]), (&at(60 * minute - 300), &at(60 * minute)));
        let range = 60 * minute - 300..60 * minute;
        // The number `n` of an event is its place in the log.
        let inside: Vec<usize> = (0..ordered.len()).filter(|at| range.contains(&ordered[*at])).collect();
        let mean = inside.iter().sum::<usize>() as f64 / inside.len() as f64;
        assert_eq!(window["mean"], json!(mean));
        assert_eq!(window["mean_count"], json!(inside.len()));
    }
}

/// Gap 30 s; three clicks, 60 s without, five clicks: two sessions, of 3 and 5.
#[test]
fn two_sessions() {
    let world = World::new(
        r#"
[streams.visits]
from = "s"
by = ["user"]
session = "30s"
lateness = "0s"
[streams.visits.measures]
clicks = "count()"
"#,
    );
    let clicks = [0.0, 10.0, 20.0, 80.0, 85.0, 100.0, 110.0, 120.0].map(|second| ("u", second));
    let log = events(&[&clicks[..], &[("another", 150.0)]].concat());
    let visits = outputs(&world.decide(&log));
    let said = |visit: &Json| (visit["session_start"].clone(), visit["session_end"].clone(), visit["clicks"].clone());
    let expected = [(at(0), at(20), json!(3)), (at(80), at(120), json!(5))];
    assert_eq!(visits.iter().map(said).collect::<Vec<_>>(), expected);
    // Exactly the gap apart are two.
    let apart = outputs(&world.decide(&events(&[("u", 0.0), ("u", 30.0), ("u", 59.999), ("u", 90.0)])));
    assert_eq!(apart.iter().map(|visit| visit["clicks"].clone()).collect::<Vec<_>>(), [json!(1), json!(2)]);
}

/// Whatever their order of arrival, events less than the gap apart are one session; one between two joins them.
#[test]
fn a_session_is_joined_by_a_late_click() {
    let world = World::new(
        r#"
[streams.visits]
from = "s"
by = ["user"]
session = "30s"
longest = "24h"
lateness = "60s"
[streams.visits.measures]
clicks = "count()"
"#,
    );
    let log = events(&[("u", 0.0), ("u", 40.0), ("u", 20.0), ("v", 130.0)]);
    let visits = outputs(&world.decide(&log));
    assert_eq!(visits.len(), 1);
    assert_eq!((&visits[0]["session_start"], &visits[0]["session_end"]), (&at(0), &at(40)));
    assert_eq!(visits[0]["clicks"], 3);
    // Midnight is the border of `longest`.
    let night = [("u", 13.99 * 3_600.0), ("u", 14.0 * 3_600.0 - 10.0), ("u", 14.0 * 3_600.0), ("v", 14.1 * 3_600.0)];
    let visits = outputs(&world.decide(&events(&night)));
    let clicks: Vec<Json> = visits.iter().map(|visit| visit["clicks"].clone()).collect();
    assert_eq!(clicks, [json!(2), json!(1)], "a session never crosses midnight");
}

/// What was decided is the same when it is decided again, one record and one output at a time.
#[test]
fn steps_and_portions_change_nothing() {
    let world = World::new(
        r#"
[streams.counted]
from = "s"
by = ["user"]
window = "5s"
slide = "1s"
[streams.counted.measures]
events = "count()"
"#,
    );
    let log = events(&(0..200).map(|n| (["u", "v", "w"][n % 3], n as f64 * 0.7)).collect::<Vec<_>>());
    let whole = world.decide(&log);
    let (mut lane, mut out) = (world.lane(0), Vec::new());
    for offset in 0..end(&log) {
        lane.give(world.records(&log, offset, offset + 1)).expect("the next record");
        drain(&mut lane, 1, &mut out);
        assert_eq!(lane.cursor(), offset + 1);
    }
    assert_eq!(out, whole);
}
