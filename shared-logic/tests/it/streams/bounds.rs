//! Steps are bounded, and memory follows what the past holds that matters (T10, T11).

use std::collections::BTreeSet;

use polars::prelude::{DataFrame, df};
use shared_logic::catalog::Catalog;
use shared_logic::stream::{Lane, LaneError, Limits, Progress, Records, SnapshotError};
use test_kit::repetitions;

use super::log::{
    Entry, LIMITS, MAX_AHEAD_US, Row, SECOND_US, SOURCE, TEN_US, What, World, drain, end, events, json_of,
};

/// A source whose events have no identity, so that no window of copies is filled.
const PLAIN: &str = r#"
[sources.s]
event_time = "at"
key = "user"
format = "json"
[sources.s.fields]
at = "timestamp"
user = "string"
amount = "float"
lat = "float"
lon = "float"
"#;

fn world(streams: &str) -> World {
    let catalog = Catalog::parse(&format!("{PLAIN}{streams}")).expect("a valid catalog");
    World::of(&catalog, catalog.source("s").expect("it is declared"))
}

/// Events of users at microseconds after ten o'clock, the first of them at that offset.
fn records(from: i64, users_and_times: &[(usize, i64)]) -> Records {
    let rows = users_and_times.len();
    let users: Vec<String> = users_and_times.iter().map(|(user, _)| format!("user-{user}")).collect();
    let times: Vec<i64> = users_and_times.iter().map(|(_, us)| TEN_US + us).collect();
    let floats = |least: f64| (0..rows).map(|row| least + row as f64 / 1e4).collect::<Vec<f64>>();
    let (amount, lat, lon) = (floats(1.0), floats(40.0), floats(-74.0));
    let events: DataFrame =
        df!("at" => times, "user" => users, "amount" => amount, "lat" => lat, "lon" => lon).expect("five columns");
    let to = from + rows as i64;
    let (offsets, record_times_us) = ((from..to).collect(), vec![None; rows]);
    Records { from, to, offsets, record_times_us, events, ..Records::default() }
}

const COUNTED: &str = r#"
[streams.counted]
from = "s"
by = ["user"]
window = "10s"
lateness = "5s"
[streams.counted.measures]
events = "count()"
"#;

#[test]
fn one_event_closes_a_window_of_each_of_many_keys_in_bounded_steps() {
    let keys = 300_000;
    let world = world(COUNTED);
    let mut lane = world.lane(0);
    let mut all: Vec<(usize, i64)> = (0..keys).map(|key| (key * 7_919 % keys, 1)).collect();
    all.push((keys, 15 * SECOND_US));
    lane.give(records(0, &all)).expect("the next records");
    let (mut out, mut steps, mut most) = (Vec::new(), 0, 0);
    loop {
        let before = out.len();
        let progress = lane.step(1_000, &mut out);
        // What closes takes no memory beside that of what was open.
        let bytes = lane.bytes()[0];
        most = if before == 0 { bytes.max(most) } else { most };
        assert!(bytes <= most + (64 << 10), "{bytes} bytes while it closes, and {most} before");
        assert!(out.len() - before <= 1_000, "{} outputs in a step", out.len() - before);
        steps += usize::from(out.len() > before);
        if progress == Progress::Idle {
            break;
        }
        if !out.is_empty() && out.len() < keys {
            let inside = keys as i64;
            assert_eq!((lane.cursor(), lane.position(0).n as usize), (inside, out.len()));
            assert_eq!(lane.fronts().front_us(), Some(TEN_US + 1), "fronts are those at the cursor");
            assert_eq!(lane.snapshot(&BTreeSet::new()), Err(SnapshotError::InsideOffset { offset: inside }));
        }
    }
    assert_eq!((out.len(), lane.cursor()), (keys, keys as i64 + 1));
    assert!((300..=400).contains(&steps), "{steps} steps");
    let users: Vec<String> = out.iter().map(|decided| json_of(decided)["user"].to_string()).collect();
    assert!(users.is_sorted(), "they are closed in the order of their keys");
    assert!(out.iter().zip(0..).all(|(decided, n)| decided.position.n == n));
    assert_eq!(lane.tallies()[0].open, 1);
}

#[test]
fn a_step_ends_with_its_bytes_and_with_an_offset_that_it_began_inside_of() {
    let (keys, step_bytes) = (1_000, 20_000);
    let world = world(COUNTED);
    let mut lane = Lane::new(world.plan.clone(), world.id.clone(), "v1", 0, Limits { step_bytes, ..LIMITS });
    let mut all: Vec<(usize, i64)> = (0..keys).map(|key| (key, 1)).collect();
    // Two that close windows: those of all keys, and then that of one.
    all.extend([(keys, 15 * SECOND_US), (keys + 1, 30 * SECOND_US)]);
    lane.give(records(0, &all)).expect("the next records");
    let (mut out, mut borders, mut steps) = (Vec::new(), Vec::new(), 0);
    loop {
        let (before, cursor) = (out.len(), lane.cursor());
        let progress = lane.step(1_000_000, &mut out);
        let bytes: Vec<usize> = out[before..].iter().map(|decided| decided.bytes()).collect();
        assert!(bytes.iter().sum::<usize>() < step_bytes + bytes.last().copied().unwrap_or(1), "{bytes:?}");
        borders.extend((lane.cursor() > cursor && cursor >= keys as i64).then(|| lane.cursor()));
        steps += 1;
        if progress == Progress::Idle {
            break;
        }
    }
    assert_eq!((out.len(), borders.first()), (keys + 1, Some(&(keys as i64 + 1))));
    assert!((10..100).contains(&steps), "{steps} steps");
}

const ALL_KINDS: &str = r#"
[streams.alerts]
from = "s"
key = "user"
history = "1m"
lateness = "5s"
[streams.alerts.detect]
again = "history_count() > 0 AND previous(amount) < amount"

[streams.counted]
from = "s"
by = ["user"]
window = "10s"
slide = "5s"
lateness = "5s"
[streams.counted.measures]
events = "count()"

[streams.visits]
from = "s"
by = ["user"]
session = "20s"
lateness = "5s"
[streams.visits.measures]
events = "count()"
"#;

/// A million keys in `make test-long`.
#[test]
fn keys_that_come_once_leave_no_state() {
    let keys = repetitions(100_000, 1_000_000);
    let world = world(ALL_KINDS);
    let (mut lane, mut out, mut most) = (world.lane(0), Vec::new(), vec![0; 3]);
    let portion = 10_000;
    for first in (0..keys).step_by(portion) {
        // A thousand users a second.
        let users: Vec<(usize, i64)> =
            (first..first + portion).map(|user| (user, user as i64 * SECOND_US / 1_000)).collect();
        lane.give(records(first as i64, &users)).expect("the next records");
        drain(&mut lane, 1_000, &mut out);
        assert!(out.iter().all(|decided| decided.stream != 0), "there is nothing to alert of");
        out.clear();
        most.iter_mut().zip(lane.bytes()).for_each(|(most, bytes)| *most = bytes.max(*most));
    }
    // Those of the last minute, whatever the number of all is.
    assert!(most.iter().all(|most| *most < 64 << 20), "{most:?} bytes");
    // The second of these has whatever the first one took from the others given back.
    for (nth, user) in [(0, 7), (1, 8)] {
        let time = (keys as i64 / 1_000 + 1_000 * (nth + 1)) * SECOND_US;
        lane.give(records(keys as i64 + nth, &[(user, time)])).expect("the next record");
        drain(&mut lane, 1_000, &mut out);
    }
    let open: Vec<usize> = lane.tallies().iter().map(|tally| tally.open).collect();
    assert_eq!(open, [1, 1, 1], "the last user is there");
    assert!(lane.bytes().iter().all(|bytes| *bytes < 64 << 10), "{:?} bytes are left", lane.bytes());
}

const FRAUD: &str = r#"
[streams.fraud_alerts]
from = "s"
key = "user"
history = "1h"
lateness = "10s"
[streams.fraud_alerts.detect]
high_velocity = "history_count('1m') >= 50"
impossible_travel = "distance_km(previous(lat), previous(lon), lat, lon) > 5000 AND seconds_between(previous(at), at) < 3600"
amount_anomaly = "history_avg(amount) > 0 AND amount > 10 * history_avg(amount)"
"#;

/// The floor: three rules, and at most 100 bytes for each event that is remembered.
#[test]
fn a_remembered_event_takes_at_most_a_hundred_bytes() {
    let (users, rounds) = (200, 300);
    let world = world(FRAUD);
    let mut lane = world.lane(0);
    let events: Vec<(usize, i64)> =
        (0..users * rounds).map(|n| (n % users, (n / users) as i64 * 5 * SECOND_US)).collect();
    lane.give(records(0, &events)).expect("the next records");
    drain(&mut lane, 1_000, &mut Vec::new());
    let bytes = lane.bytes()[0] / events.len();
    assert!((48..=100).contains(&bytes), "{bytes} bytes for each event");
}

#[test]
fn a_lane_takes_no_more_than_its_limits() {
    let world = world(ALL_KINDS);
    let limited = |limits: Limits| Lane::new(world.plan.clone(), world.id.clone(), "v1", 0, limits);
    let users: Vec<(usize, i64)> = (0..1_000).map(|user| (user, 0)).collect();

    let mut lane = limited(Limits { pending_events: 1_500, ..LIMITS });
    lane.give(records(0, &users)).expect("the next records");
    let more = lane.give(records(1_000, &users));
    assert!(matches!(more, Err(LaneError::Pending { pending: 1_000 })), "{more:?}");
    let other = lane.give(records(999, &users));
    assert!(matches!(other, Err(LaneError::NotNext { expected: 1_000, from: 999 })), "{other:?}");
    drain(&mut lane, 1_000, &mut Vec::new());
    lane.give(records(1_000, &users)).expect("all before is decided");

    let mut lane = limited(Limits { state_bytes: 100_000, ..LIMITS });
    lane.give(records(0, &users)).expect("the next records");
    drain(&mut lane, 1_000, &mut Vec::new());
    let full = lane.give(records(1_000, &users));
    let expected = lane.bytes().iter().sum::<usize>();
    assert!(matches!(&full, Err(LaneError::Full { bytes, .. }) if *bytes == expected && *bytes > 100_000), "{full:?}");
    assert_eq!(lane.cursor(), 1_000, "it goes on when it has room");

    let broken = Records { offsets: vec![1_000], to: 1_001, ..records(1_000, &[]) };
    let mut lane = limited(LIMITS);
    lane.give(records(0, &users)).expect("the next records");
    assert!(matches!(lane.give(broken), Err(LaneError::Evaluate { from: 1_000, .. })));
    lane.give(records(1_000, &users)).expect("the lane is as before");
}

/// What has a history and comes out of order is judged again, but not for ever.
#[test]
fn an_event_has_few_others_judged_again() {
    let world = World::new(
        r#"
[streams.alerts]
from = "s"
key = "user"
history = "1h"
rejudge_max = 2
lateness = "5m"
[streams.alerts.detect]
third = "history_count() >= 4"
"#,
    );
    // Each judges at most the two newest again; the third newest has four before it, too, and is not judged.
    let log = events(&[("u", 10.0), ("u", 11.0), ("u", 12.0), ("u", 13.0), ("u", 1.0), ("u", 2.0), ("u", 3.0)]);
    let judged: Vec<_> = world.decide(&log).iter().map(|decided| json_of(decided)["judged_offset"].clone()).collect();
    assert_eq!(judged, [3, 2]);
}

const OF_ONE_KEY: &str = r#"
[streams.a_windows]
from = "s"
by = ["user"]
window = "3s"
slide = "1s"
lateness = "2s"
[streams.a_windows.measures]
n = "count()"
[streams.b_sessions]
from = "s"
by = ["user"]
session = "1s"
lateness = "2s"
[streams.b_sessions.measures]
n = "count()"
"#;

/// Whatever a producer sends of a key: what is older is late, and what is farther ahead is no event.
#[test]
fn a_key_has_no_more_open_than_its_stream_says() {
    let catalog = Catalog::parse(&format!("{SOURCE}{OF_ONE_KEY}")).expect("a valid catalog");
    let world = World::of(&catalog, catalog.source("s").expect("it is declared"));
    // All of them are written at ten o'clock; the front is there from the first one on.
    let event = |(offset, second): (i64, i64)| {
        let row = Row::new(offset, TEN_US + second * SECOND_US, "u");
        Entry { offset, record_time_us: Some(TEN_US), what: What::Event(row) }
    };
    let log: Vec<Entry> = (0..).zip((-8..=12).rev()).map(event).collect();
    let (mut lane, mut out) = (world.lane(0), Vec::new());
    lane.give(world.records(&log, 0, end(&log))).expect("the next records");
    drain(&mut lane, 1_000, &mut out);
    let unwritten: Vec<Option<i64>> = lane.tallies().iter().map(|tally| Some(tally.unwritten as i64)).collect();
    let of_catalog = ["a_windows", "b_sessions"].map(|name| catalog.streams[name].open_per_key(MAX_AHEAD_US));
    assert_eq!((unwritten, of_catalog), (vec![Some(10), Some(8)], [Some(10), Some(8)]));
}
