//! Any log, in any portions and steps, with a new process anywhere: what is decided is what the oracle writes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use shared_logic::stream::{Lane, SnapshotError};
use shared_logic::time::format_rfc3339;
use test_kit::repetitions;

use super::log::{Entry, Row, SECOND_US, TEN_US, What, World, drain, end};
use super::oracle::{self, Detected, Grouped, Rule, Step, Written};

const STREAMS: &str = r#"
[streams.a_map]
from = "s"
where = "n <> 4"
key = "user"
[streams.a_map.fields]
user = "user"
seen = "at"
twice = "x * 2"

[streams.b_tumbling]
from = "s"
by = ["user"]
window = "10s"
lateness = "3s"
[streams.b_tumbling.measures]
events = "count()"
total = "sum(x)"
biggest = "max(n)"
least = "min(x)"
[streams.b_tumbling.derived]
mean = "total / events"

[streams.c_sliding]
from = "s"
where = "n > 1"
by = ["k", "user"]
window = "12s"
slide = "3s"
offset = "1s"
lateness = "0s"
[streams.c_sliding.measures]
events = "count()"
total = "sum(x)"
biggest = "max(n)"
least = "min(x)"
[streams.c_sliding.derived]
mean = "total / events"

[streams.d_sessions]
from = "s"
by = ["user"]
session = "4s"
lateness = "2s"
[streams.d_sessions.measures]
events = "count()"
total = "sum(x)"
biggest = "max(n)"
least = "min(x)"
[streams.d_sessions.derived]
mean = "total / events"

[streams.e_sessions]
from = "s"
by = ["k"]
session = "3s"
longest = "20s"
lateness = "6s"
[streams.e_sessions.measures]
events = "count()"
total = "sum(x)"
biggest = "max(n)"
least = "min(x)"
[streams.e_sessions.derived]
mean = "total / events"

[streams.f_alerts]
from = "s"
where = "n <> 3"
key = "user"
history = "12s"
history_max = 5
rejudge_max = 2
lateness = "4s"
[streams.f_alerts.detect]
burst = "history_count('5s') >= 2"
jump = "n - previous(n) > 3 AND seconds_between(previous(at), at) < 8"
moved = "previous(k) <> k"
anomaly = "history_avg(x) > 0 AND x > 1.5 * history_avg(x)"

[streams.g_alerts]
from = "s"
key = "user"
history = "30s"
lateness = "0s"
[streams.g_alerts.detect]
most = "x >= history_max(x) AND history_sum(n, '20s') > 6 AND n > history_min(n)"
"#;

const ALL: fn(&Row) -> bool = |_| true;

const GROUPED: [Grouped; 4] = [
    Grouped { name: "b_tumbling", by: &["user"], key: "user", lateness_us: 3 * SECOND_US, takes: ALL },
    Grouped { name: "c_sliding", by: &["k", "user"], key: "user", lateness_us: 0, takes: |row| row.n > 1 },
    Grouped { name: "d_sessions", by: &["user"], key: "user", lateness_us: 2 * SECOND_US, takes: ALL },
    Grouped { name: "e_sessions", by: &["k"], key: "k", lateness_us: 6 * SECOND_US, takes: ALL },
];

const DETECTED: [Detected; 2] = [
    Detected {
        name: "f_alerts",
        lateness_us: 4 * SECOND_US,
        history_us: 12 * SECOND_US,
        history_max: 5,
        rejudge_max: 2,
        takes: |row| row.n != 3,
        rules: &[
            Rule {
                name: "burst",
                span_us: 5 * SECOND_US,
                is_previous: false,
                judge: |_, before| (before.len() >= 2, json!({ "history_count('5s')": before.len() })),
            },
            Rule { name: "jump", span_us: 12 * SECOND_US, is_previous: true, judge: jump },
            Rule { name: "moved", span_us: 12 * SECOND_US, is_previous: true, judge: moved },
            Rule { name: "anomaly", span_us: 12 * SECOND_US, is_previous: false, judge: anomaly },
        ],
    },
    Detected {
        name: "g_alerts",
        lateness_us: 0,
        history_us: 30 * SECOND_US,
        history_max: 10_000,
        rejudge_max: 100,
        takes: ALL,
        rules: &[Rule { name: "most", span_us: 30 * SECOND_US, is_previous: false, judge: most }],
    },
];

fn jump(row: &Row, before: &[Row]) -> (bool, Json) {
    let last = before.last();
    let looked_at = json!({
        "previous(n)": last.map(|last| last.n),
        "previous(at)": last.map(|last| format_rfc3339(last.time_us)),
    });
    (last.is_some_and(|last| row.n - last.n > 3 && row.time_us - last.time_us < 8 * SECOND_US), looked_at)
}

fn moved(row: &Row, before: &[Row]) -> (bool, Json) {
    let last = before.last().and_then(|last| last.k.clone());
    let moves = last.as_ref().zip(row.k.as_ref()).is_some_and(|(last, k)| last != k);
    (moves, json!({ "previous(k)": last }))
}

fn anomaly(row: &Row, before: &[Row]) -> (bool, Json) {
    let numbers: Vec<f64> = before.iter().filter_map(|row| row.x).collect();
    let mean = (!numbers.is_empty()).then(|| numbers.iter().fold(0.0, |sum, x| sum + x) / numbers.len() as f64);
    let alerts = mean.zip(row.x).is_some_and(|(mean, x)| mean > 0.0 && x > 1.5 * mean);
    (alerts, json!({ "history_avg(x)": mean }))
}

fn most(row: &Row, before: &[Row]) -> (bool, Json) {
    let most = before.iter().filter_map(|row| row.x).reduce(f64::max);
    let sum: i64 = before.iter().filter(|other| other.time_us > row.time_us - 20 * SECOND_US).map(|row| row.n).sum();
    let least = before.iter().map(|row| row.n).min();
    let is_most = most.zip(row.x).is_some_and(|(most, x)| x >= most);
    let alerts = is_most && sum > 6 && least.is_some_and(|least| row.n > least);
    (alerts, json!({ "history_max(x)": most, "history_sum(n, '20s')": sum, "history_min(n)": least }))
}

fn twice(row: &Row) -> (Option<String>, Map<String, Json>) {
    let mut fields = Map::new();
    fields.insert("user".into(), row.user.clone().into());
    fields.insert("seen".into(), format_rfc3339(row.time_us).into());
    fields.extend(row.x.map(|x| ("twice".to_owned(), json!(x * 2.0))));
    (Some(row.user.clone()), fields)
}

/// What each of the streams writes, in the order of their names.
fn expected(steps: &[Step], world: &World) -> Vec<Vec<Written>> {
    let [tumbling, sliding, plain, cut] = &GROUPED;
    let id = &world.id;
    let mut expected = vec![
        oracle::mapped(steps, id, "a_map", |row| row.n != 4, twice),
        oracle::windows(steps, id, tumbling, (10 * SECOND_US, 10 * SECOND_US, 0)),
        oracle::windows(steps, id, sliding, (12 * SECOND_US, 3 * SECOND_US, SECOND_US)),
        oracle::sessions(steps, id, plain, 4 * SECOND_US, None),
        oracle::sessions(steps, id, cut, 3 * SECOND_US, Some(20 * SECOND_US)),
    ];
    expected.extend(DETECTED.iter().map(|of| oracle::alerts(steps, id, of)));
    expected
}

/// How the next record differs from the one before.
#[derive(Debug, Clone)]
pub(super) struct Next {
    hole: bool,
    passed_ms: i64,
    /// How much later than its event a record is written; the event is ahead where that is negative.
    delay_ms: i64,
    clock: Clock,
    kind: Kind,
    user: usize,
    k: Option<usize>,
    n: i64,
    tenths: Option<i64>,
}

/// What a record's timestamp says.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// When it was written.
    Right,
    /// That, and so much besides.
    Wrong(i64),
    Missing,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Event,
    Broken,
    /// A copy of the event that many events before.
    Copy(usize),
}

fn next() -> impl Strategy<Value = Next> {
    // Whole halves of seconds, so that times meet each other and borders.
    let halves = |range: std::ops::Range<i64>| range.prop_map(|half| half * 500);
    let delay = prop_oneof![6 => halves(0..3), 3 => halves(0..14), 1 => halves(-12..0), 1 => halves(10..60)];
    let passed = prop_oneof![8 => halves(0..4), 1 => halves(4..60)];
    let clock = prop_oneof![
        8 => Just(Clock::Right), 1 => (-20_000..20_000_i64).prop_map(Clock::Wrong), 1 => Just(Clock::Missing)
    ];
    let kind = prop_oneof![12 => Just(Kind::Event), 1 => Just(Kind::Broken), 2 => (0..12_usize).prop_map(Kind::Copy)];
    let fields = (0..3_usize, prop::option::of(0..2_usize), 0..9_i64, prop::option::of(-5..30_i64));
    (prop::bool::weighted(0.1), passed, delay, clock, kind, fields).prop_map(
        |(hole, passed_ms, delay_ms, clock, kind, (user, k, n, tenths))| Next {
            hole,
            passed_ms,
            delay_ms,
            clock,
            kind,
            user,
            k,
            n,
            tenths,
        },
    )
}

/// The log that these records make.
pub(super) fn log(nexts: Vec<Next>) -> Vec<Entry> {
    let (mut offset, mut now_us, mut rows): (i64, i64, Vec<Row>) = (0, TEN_US, Vec::new());
    let mut entries = Vec::with_capacity(nexts.len());
    for (id, next) in (0_i64..).zip(nexts) {
        offset += 1 + i64::from(next.hole);
        now_us += next.passed_ms * 1_000;
        let record_time_us = match next.clock {
            Clock::Right => Some(now_us),
            Clock::Wrong(ms) => Some(now_us + ms * 1_000),
            Clock::Missing => None,
        };
        let copied = match next.kind {
            Kind::Copy(back) => rows.iter().rev().nth(back).cloned(),
            Kind::Event | Kind::Broken => None,
        };
        let row = copied.unwrap_or_else(|| Row {
            k: next.k.map(|k| ["a", "bü"][k].to_owned()),
            n: next.n,
            x: next.tenths.map(|tenths| tenths as f64 / 10.0),
            ..Row::new(id, now_us - next.delay_ms * 1_000, ["u", "v", "w"][next.user])
        });
        rows.push(row.clone());
        let what = if matches!(next.kind, Kind::Broken) { What::Broken } else { What::Event(row) };
        entries.push(Entry { offset, record_time_us, what });
    }
    entries
}

pub(super) fn logs(records: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(next(), records).prop_map(log)
}

/// How a lane is driven: what it is given at a time, how far it steps, and after how many steps a new process takes over.
#[derive(Debug, Clone)]
struct Portion {
    offsets: i64,
    outputs_max: usize,
    killed_after: Option<usize>,
}

fn portions() -> impl Strategy<Value = Vec<Portion>> {
    let killed_after = prop::option::weighted(0.4, 0..20_usize);
    let portion = (1..25_i64, prop_oneof![1..4_usize, Just(1_000)], killed_after);
    let portion =
        portion.prop_map(|(offsets, outputs_max, killed_after)| Portion { offsets, outputs_max, killed_after });
    prop::collection::vec(portion, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(repetitions(200, 5_000)))]

    #[test]
    fn any_portions_and_restarts_write_what_the_oracle_writes(entries in logs(0..120), portions in portions()) {
        let world = World::new(STREAMS);
        let expected = expected(&oracle::steps(&entries), &world);
        let (mut lane, mut out, mut store) = (world.lane(0), Vec::new(), BTreeMap::new());
        let (mut given, to) = (0, end(&entries));
        let mut lives = portions.iter().cycle().take(1_000);
        while let Some(portion) = lives.next().filter(|_| lane.cursor() < to) {
            let next = (given + portion.offsets).min(to);
            lane.give(world.records(&entries, given, next)).expect("the next records");
            given = next;
            let Some(steps) = portion.killed_after else {
                drain(&mut lane, portion.outputs_max, &mut out);
                prop_assert_eq!(lane.cursor(), given);
                continue;
            };
            for _ in 0..steps {
                lane.step(portion.outputs_max, &mut out);
            }
            while let Err(error) = lane.snapshot(&BTreeSet::new()) {
                let is_inside = matches!(error, SnapshotError::InsideOffset { offset } if offset >= lane.cursor());
                prop_assert!(is_inside, "{}", error);
                lane.step(1, &mut out);
            }
            lane = restarted(&world, &lane, &entries, &mut store)?;
            // What was given and not decided is given again.
            given = lane.cursor();
        }
        lane.give(world.records(&entries, given, to)).expect("the next records");
        drain(&mut lane, 1_000, &mut out);
        for (stream, expected) in expected.iter().enumerate() {
            let found = oracle::written(&out, stream);
            let name = &world.plan.streams()[stream].name;
            for (found, expected) in found.iter().zip(expected) {
                prop_assert_eq!(found, expected, "{}", name);
            }
            prop_assert_eq!(found.len(), expected.len(), "{}", name);
            let last = found.last().map(|last| (last.offset, last.n + 1));
            let position = lane.position(stream);
            prop_assert_eq!((position.offset, position.n), last.filter(|last| last.0 >= to).unwrap_or((to, 0)));
        }
    }
}

/// A new process, whose snapshot is that of the old one to the last byte.
fn restarted(
    world: &World,
    lane: &Lane,
    entries: &[Entry],
    store: &mut BTreeMap<String, Vec<u8>>,
) -> Result<Lane, TestCaseError> {
    let loaded = world.restarted(lane, entries, store);
    let whole = |lane: &Lane| lane.snapshot(&BTreeSet::new()).expect("it is between two offsets");
    prop_assert_eq!(whole(&loaded), whole(lane));
    prop_assert_eq!(loaded.fronts(), lane.fronts());
    Ok(loaded)
}

/// The streams of these tests are in the order of their names, which is that of what is expected.
#[test]
fn the_streams_are_those_of_the_oracle() {
    let world = World::new(STREAMS);
    let names: Vec<&str> = world.plan.streams().iter().map(|stream| stream.name.as_str()).collect();
    let grouped = GROUPED.iter().map(|of| of.name);
    let expected: Vec<&str> = ["a_map"].into_iter().chain(grouped).chain(DETECTED.iter().map(|of| of.name)).collect();
    assert_eq!(names, expected);
    assert_eq!(world.plan.columns(), ["at", "id", "k", "n", "user", "x"]);
}
