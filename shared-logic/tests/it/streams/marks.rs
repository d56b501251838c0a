//! The partition of a re-keyed stream mixes lanes that are not in step, and nothing is late because another lane is ahead.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use shared_logic::catalog::Catalog;
use shared_logic::stream::{Decided, Fronts, Mark};
use test_kit::repetitions;

use super::log::{Entry, Row, SECOND_US, SOURCE, TEN_US, What, World, drain, end, late, outputs};
use super::oracle::{self, Grouped, Step};
use super::warming::{read, rest, warmed};

const STREAMS: &str = r#"
[streams.counted]
from = "s"
by = ["user"]
window = "10s"
lateness = "1s"
[streams.counted.measures]
events = "count()"
total = "sum(x)"
biggest = "max(n)"
least = "min(x)"
[streams.counted.derived]
mean = "total / events"
"#;

const COUNTED: Grouped =
    Grouped { name: "counted", by: &["user"], key: "user", lateness_us: SECOND_US, takes: |_| true };

/// Streams over the source, as one that a re-keying map writes.
fn rekeyed(streams: &str) -> World {
    let mut catalog = Catalog::parse(&format!("{SOURCE}{streams}")).expect("a valid catalog");
    catalog.sources.get_mut("s").expect("it is declared").rekeyed = true;
    World::of(&catalog, &catalog.sources["s"])
}

fn mark(log: &str, partition: i32, front_us: Option<i64>, idle: bool) -> What {
    What::Mark(Mark { log: log.to_owned(), partition, partitions: 2, front_us, idle })
}

fn event(partition: i32, second: i64, id: i64) -> What {
    What::Event(Row { upstream: Some(("up", partition)), ..Row::new(id, TEN_US + second * SECOND_US, "u") })
}

/// Records one behind the other, without timestamps.
fn log(whats: Vec<What>) -> Vec<Entry> {
    let entry = |(offset, what)| Entry { offset, record_time_us: None, what };
    (0..).zip(whats).map(entry).collect()
}

/// One lane is 60 s behind the other.
#[test]
fn a_lane_that_is_behind_is_not_late() {
    let mut whats = Vec::new();
    for second in 0..300 {
        whats.push(event(0, second + 60, second * 2));
        whats.push(event(1, second, second * 2 + 1));
        if second % 5 == 0 {
            whats.push(mark("up", 0, Some(TEN_US + (second + 60) * SECOND_US), false));
            whats.push(mark("up", 1, Some(TEN_US + second * SECOND_US), false));
        }
    }
    let entries = log(whats);
    let decided = rekeyed(STREAMS).decide(&entries);
    assert_eq!(late(&decided).len(), 0);
    // W is that of the lane that is behind: 298 s, so the windows up to 290 s are closed. Each holds events of both lanes.
    let events: Vec<i64> = outputs(&decided).iter().filter_map(|output| output["events"].as_i64()).collect();
    assert_eq!(events, [[10; 6].as_slice(), &[20; 23]].concat());
    let alone: Vec<Entry> = entries.into_iter().filter(|entry| matches!(entry.what, What::Event(_))).collect();
    assert!(
        late(&World::new(STREAMS).decide(&alone)).len() > 200,
        "with one front, the lane that is behind loses its records"
    );
}

#[test]
fn until_each_lane_was_seen_nothing_closes() {
    let first = vec![mark("up", 0, Some(TEN_US), false), event(0, 0, 0), event(0, 1_000, 1)];
    let closed = |more: Vec<What>| outputs(&rekeyed(STREAMS).decide(&log([first.clone(), more].concat()))).len();
    assert_eq!(closed(vec![]), 0);
    assert_eq!(closed(vec![mark("up", 1, None, false)]), 0, "it has read no event yet");
    assert_eq!(closed(vec![mark("up", 1, Some(TEN_US + 5 * SECOND_US), false)]), 0);
    assert_eq!(closed(vec![mark("up", 1, Some(TEN_US + 11 * SECOND_US), false)]), 1);
    assert_eq!(closed(vec![mark("up", 1, None, true)]), 1, "an idle lane holds up none");
    let back = vec![mark("up", 1, None, true), event(1, 995, 2), event(0, 2_000, 3)];
    assert_eq!(closed(back), 1, "its next record takes it in again, and the window of both is open");
}

#[test]
fn a_newer_log_takes_the_place_of_the_older_one() {
    let front = |second: i64| Some(TEN_US + second * SECOND_US);
    let first = vec![mark("up", 0, front(50), false), mark("up", 1, front(50), false), event(0, 0, 0)];
    let closed = |more: Vec<What>| outputs(&rekeyed(STREAMS).decide(&log([first.clone(), more].concat()))).len();
    assert_eq!(closed(vec![event(0, 100, 1), event(1, 60, 2)]), 0, "the first event is late, and those are open");
    // The incarnation behind has lost its tail and begins earlier; until it has come as far as the other, nothing moves.
    let behind = mark("up.1", 1, front(20), false);
    let again = [event(0, 60, 1), event(0, 200, 2), behind.clone(), mark("up", 1, front(500), false)];
    assert_eq!(closed(again.to_vec()), 0, "a mark of the incarnation before says nothing more");
    let on = [&again[..], &[mark("up.1", 1, front(80), false)]].concat();
    assert_eq!(closed(on), 1);
    let other = [event(0, 60, 1), event(0, 200, 2), mark("other", 1, front(80), false)];
    assert_eq!(closed(other.to_vec()), 1, "and so does a topic that was created again");
}

#[test]
fn fronts_are_small_json_and_come_back() {
    let world = rekeyed(STREAMS);
    let mut lane = world.lane(0);
    let entries = log(vec![mark("up", 0, Some(TEN_US), false), event(1, 5, 0), mark("up", 1, None, true)]);
    lane.give(world.records(&entries, 0, 3)).expect("the next records");
    drain(&mut lane, 10, &mut Vec::new());
    let text = serde_json::to_string(&lane.fronts()).expect("it is JSON");
    let seen = format!(
        r#"{{"0":{{"log":"up","front_us":{TEN_US}}},"1":{{"log":"up","front_us":{},"idle":true}}}}"#,
        TEN_US + 5 * SECOND_US
    );
    let turns = [
        r#"{"at":0,"before":{"unseen":0}}"#,
        r#"{"at":0,"before":{"read":{"topic":"","partitions":0}}}"#,
        r#"{"at":1,"before":{"unseen":1}}"#,
        r#"{"at":2,"before":{"awake":1}}"#,
    ];
    let expected = format!(
        r#"{{"front_us":{TEN_US},"upstream":{{"topic":"up","partitions":2,"seen":{seen},"known_from":0,"turns":[{}]}}}}"#,
        turns.join(",")
    );
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<Fronts>(&text).expect("its own JSON"), lane.fronts());
    let own = serde_json::to_string(&Fronts::new(false)).expect("it is JSON");
    assert_eq!((own.as_str(), serde_json::from_str::<Fronts>(&own).expect("its own JSON")), ("{}", Fronts::new(false)));
}

/// How far each upstream partition has come, by its number: its log, its front, and whether it is idle.
type Lanes = BTreeMap<i32, (&'static str, Option<i64>, bool)>;

/// The fronts of the partition, said once more.
fn steps(entries: &[Entry], marks: &[Marked]) -> Vec<Step> {
    let (mut lanes, mut are_marked, mut front_us): (Lanes, bool, Option<i64>) = (Lanes::new(), false, None);
    let mut steps = Vec::new();
    for (entry, mark) in entries.iter().zip(marks) {
        let before_us = front_us;
        let event = match (&entry.what, mark) {
            (What::Event(row), _) => {
                let (log, partition) = row.upstream.expect("it names one");
                let at_us = row.time_us.min(entry.record_time_us.unwrap_or(i64::MAX));
                let lane = lanes.entry(partition).or_insert((log, None, false));
                if lane.0 == log {
                    *lane = (log, lane.1.max(Some(at_us)), false);
                }
                Some(row.clone())
            }
            (_, Some((log, partition, mark_us, idle))) => {
                let mark_us = mark_us.map(|us| us.min(entry.record_time_us.unwrap_or(i64::MAX)));
                let known = lanes.get(partition).copied();
                match known {
                    Some((known, known_us, _)) if known == *log => {
                        lanes.insert(*partition, (*log, known_us.max(mark_us), *idle));
                        are_marked = true;
                    }
                    Some(("up.1", ..)) => {}
                    _ => {
                        lanes.insert(*partition, (*log, mark_us, *idle));
                        are_marked = true;
                    }
                }
                None
            }
            _ => continue,
        };
        let all = lanes.values().copied();
        let waited_for: Vec<Option<i64>> = all.clone().filter(|lane| !lane.2).map(|lane| lane.1).collect();
        let reached = if lanes.len() < 2 || !are_marked {
            None
        } else if waited_for.is_empty() {
            all.map(|lane| lane.1).max().flatten()
        } else {
            waited_for.into_iter().min().flatten()
        };
        front_us = front_us.max(reached);
        steps.push(Step { offset: entry.offset, event, before_us, after_us: front_us });
    }
    steps
}

/// A mark, as [`steps`] reads it: log, partition, front, and whether the lane is idle.
type Marked = Option<(&'static str, i32, Option<i64>, bool)>;

/// The next record of one of two lanes.
#[derive(Debug, Clone)]
struct Next {
    kind: u8,
    partition: i32,
    passed: i64,
    delay_ms: i64,
    idle: bool,
    /// Whether the lane's log has lost its tail before.
    renewed: bool,
}

fn nexts() -> impl Strategy<Value = Vec<Next>> {
    let rare = prop::bool::weighted;
    let next = (0..10_u8, 0..2_i32, 0..5_i64, -3_000..1_000_i64, rare(0.2), rare(0.03));
    let next = next.prop_map(|(kind, partition, passed, delay_ms, idle, renewed)| Next {
        kind,
        partition,
        passed,
        delay_ms,
        idle,
        renewed,
    });
    prop::collection::vec(next, 0..120)
}

/// What both lanes have written, one of them 20 s behind.
fn mixed(nexts: Vec<Next>) -> (Vec<Entry>, Vec<Marked>) {
    let (mut entries, mut marks, mut now, mut logs) = (Vec::new(), Vec::new(), [0_i64, -20], ["up", "up"]);
    for (offset, Next { kind, partition, passed, delay_ms, idle, renewed }) in (0_i64..).zip(nexts) {
        let at = usize::from(partition == 1);
        now[at] += passed;
        let time_us = TEN_US + now[at] * SECOND_US + delay_ms * 1_000;
        let record_time_us = (kind % 2 == 0).then_some(TEN_US + now[at] * SECOND_US);
        if renewed {
            logs[at] = "up.1";
        }
        let what = if kind < 7 {
            marks.push(None);
            What::Event(Row { upstream: Some((logs[at], partition)), x: Some(0.5), ..Row::new(offset, time_us, "u") })
        } else {
            let front_us = (kind != 9).then_some(time_us);
            // A mark of a lane that was replaced may come late.
            let log = if renewed && idle { "up" } else { logs[at] };
            marks.push(Some((log, partition, front_us, idle)));
            mark(log, partition, front_us, idle)
        };
        entries.push(Entry { offset, record_time_us, what });
    }
    (entries, marks)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(repetitions(300, 5_000)))]

    #[test]
    fn fronts_are_the_least_of_what_each_lane_has_reached(nexts in nexts(), portion in 1..40_i64) {
        let (entries, marks) = mixed(nexts);
        let world = rekeyed(STREAMS);
        let windows = (10 * SECOND_US, 10 * SECOND_US, 0);
        let steps = steps(&entries, &marks);
        let expected = oracle::windows(&steps, &world.id, &COUNTED, windows);
        let (mut lane, mut out) = (world.lane(0), Vec::new());
        while lane.cursor() < end(&entries) {
            let (from, to) = (lane.cursor(), (lane.cursor() + portion).min(end(&entries)));
            lane.give(world.records(&entries, from, to)).expect("the next records");
            drain(&mut lane, 3, &mut out);
        }
        prop_assert_eq!(oracle::written(&out, 0), expected);
        prop_assert_eq!(lane.fronts().front_us(), steps.last().and_then(|step| step.after_us));
    }

    /// T8, where every record has a timestamp. Whatever lanes did before the horizon and since, a lane that reads from there on is sure.
    #[test]
    fn a_warmed_lane_goes_on_as_one_that_read_everything(
        streams in prop::sample::select(vec![STREAMS, VISITS, ALERTS]), nexts in nexts(), part in 0.0..1.0_f64,
    ) {
        let (mut entries, _) = mixed(nexts);
        entries.iter_mut().for_each(|entry| entry.record_time_us = Some(TEN_US + (entry.offset - 10) * SECOND_US));
        let world = rekeyed(streams);
        let published = (end(&entries) as f64 * part) as i64;
        let mut whole = read(&world, &entries, published);
        let (mut warmed, is_sure) = warmed(&world, &entries, published, &whole);
        prop_assert!(is_sure, "fronts say who was idle");
        prop_assert_eq!(rest(&world, &entries, &mut warmed), rest(&world, &entries, &mut whole));
        prop_assert_eq!(warmed.fronts(), whole.fronts());
    }
}

/// One lane goes on alone, and one of its events comes a minute late. Then come `more`, of which the last two are not published.
/// Gives what follows, and what follows for a lane that was warmed, with whether it is sure.
fn after_a_late_event(more: Vec<What>) -> (Vec<Decided>, Vec<Decided>, bool) {
    let world = rekeyed(ALERTS);
    let mut whats = vec![mark("up", 0, Some(TEN_US), false), mark("up", 1, Some(TEN_US), true)];
    whats.extend((0..200).map(|second| event(0, second, second)));
    whats.push(event(0, 140, 200));
    whats.extend(more);
    let mut entries = log(whats);
    entries.iter_mut().for_each(|entry| entry.record_time_us = Some(TEN_US + entry.offset * SECOND_US));
    let published = end(&entries) - 2;
    let mut whole = read(&world, &entries, published);
    let (mut warmed, is_sure) = warmed(&world, &entries, published, &whole);
    (rest(&world, &entries, &mut whole), rest(&world, &entries, &mut warmed), is_sure)
}

/// A lane that has stood idle for long has left no record since the horizon. It is known to be idle all the same, so what is late
/// while a lane is warmed is late as it was.
#[test]
fn who_is_idle_since_before_the_horizon_is_known_to_be() {
    let (whole, warmed, is_sure) = after_a_late_event(vec![event(0, 200, 201), event(0, 201, 202)]);
    assert_eq!(outputs(&whole)[0]["looked_at"]["history_count()"], 99);
    assert_eq!((warmed, is_sure), (whole, true));
}

/// What the log holds since then does not say that it was: until its next record it left none. Nor does an event that is late by the
/// front of others make a lane unsure.
#[test]
fn who_was_idle_at_the_horizon_and_went_on_since_is_known_to_have_been() {
    let more = vec![event(1, 199, 201), event(0, 200, 202), event(0, 201, 203)];
    let (whole, warmed, is_sure) = after_a_late_event(more);
    assert_eq!(outputs(&whole)[0]["looked_at"]["history_count()"], json!(100));
    assert_eq!((warmed, is_sure), (whole, true));
}

/// Fronts remember a bounded number of turns.
#[test]
fn where_too_much_has_changed_since_the_horizon_a_warmed_lane_is_not_sure() {
    let turns = |times: i64| -> Vec<What> {
        (0..times).flat_map(|_| [mark("up", 1, None, false), mark("up", 1, None, true)]).collect()
    };
    let is_sure = |more: Vec<What>| {
        let mut entries = log([vec![mark("up", 0, Some(TEN_US), false), event(0, 0, 0)], more].concat());
        entries.iter_mut().for_each(|entry| entry.record_time_us = Some(TEN_US + entry.offset));
        let world = rekeyed(ALERTS);
        let mut from = world.lane(2);
        let whole = read(&world, &entries, end(&entries));
        let is_sure = from.begin_warming(&whole.fronts());
        from.give(world.records(&entries, 2, end(&entries))).expect("the next records");
        drain(&mut from, 1_000, &mut Vec::new());
        from.take_fronts(&whole.fronts());
        assert_eq!(from.fronts(), whole.fronts(), "whatever it has found itself");
        is_sure
    };
    assert!(is_sure(turns(250)), "500 turns, and three before");
    assert!(!is_sure(turns(300)));
}

const ALERTS: &str = r#"
[streams.alerts]
from = "s"
key = "user"
history = "100s"
lateness = "5s"
[streams.alerts.detect]
often = "history_count() >= 50"
"#;

const VISITS: &str = r#"
[streams.visits]
from = "s"
by = ["user"]
session = "3s"
longest = "40s"
lateness = "2s"
[streams.visits.measures]
events = "count()"
"#;
