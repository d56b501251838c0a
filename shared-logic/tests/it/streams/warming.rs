//! A lane that begins at the horizon, and takes the fronts at `published`, has the state of one that read everything (T8).

use std::collections::BTreeSet;

use proptest::prelude::*;
use shared_logic::stream::{Decided, Horizon, Lane};
use test_kit::repetitions;

use super::log::{DEDUP_WINDOW, Entry, MAX_AHEAD_US, World, drain, end};
use super::random::logs;

const WINDOWS: &str = r#"
[streams.a_windows]
from = "s"
by = ["user"]
window = "12s"
slide = "3s"
lateness = "2s"
[streams.a_windows.measures]
total = "sum(x)"
events = "count()"
"#;

const SESSIONS: &str = r#"
[streams.b_sessions]
from = "s"
by = ["user"]
session = "3s"
longest = "20s"
lateness = "5s"
[streams.b_sessions.measures]
total = "sum(x)"
events = "count()"
"#;

const ALERTS: &str = r#"
[streams.c_alerts]
from = "s"
key = "user"
history = "9s"
history_max = 4
rejudge_max = 3
lateness = "6s"
[streams.c_alerts.detect]
burst = "history_count('5s') >= 2"
anomaly = "history_avg(x) > 0 AND x > history_avg(x)"
jump = "n <> previous(n)"
"#;

/// Reads everything up to an offset.
pub(super) fn read(world: &World, entries: &[Entry], to: i64) -> Lane {
    let mut lane = world.lane(0);
    lane.give(world.records(entries, 0, to)).expect("the next records");
    drain(&mut lane, 1_000, &mut Vec::new());
    lane
}

/// What a lane decides from its cursor on.
pub(super) fn rest(world: &World, entries: &[Entry], lane: &mut Lane) -> Vec<Decided> {
    let mut out = Vec::new();
    lane.give(world.records(entries, lane.cursor(), end(entries))).expect("the next records");
    drain(lane, 1_000, &mut out);
    out
}

/// A lane that is warmed up to `published` as T8 says, and whether it is sure of its state.
pub(super) fn warmed(world: &World, entries: &[Entry], published: i64, whole: &Lane) -> (Lane, bool) {
    let fronts = whole.fronts();
    let from = match world.plan.horizons(&fronts).into_iter().min().expect("there is a stream") {
        Horizon::All => 0,
        Horizon::Nothing => published,
        Horizon::Since(need) => {
            let reaches = |entry: &&Entry| entry.record_time_us.is_some_and(|at| at >= need - MAX_AHEAD_US);
            entries.iter().find(reaches).map_or(published, |entry| entry.offset.min(published))
        }
    };
    let mut lane = world.lane(from);
    lane.warm(&world.records(entries, from - DEDUP_WINDOW, from).sightings);
    let is_sure = lane.begin_warming(&fronts);
    lane.give(world.records(entries, from, published)).expect("the next records");
    drain(&mut lane, 1_000, &mut Vec::new());
    lane.take_fronts(&fronts);
    (lane, is_sure)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(repetitions(300, 9_000)))]

    /// Every record has a timestamp, which may be wrong. Each kind alone, and all of them, whose horizon is the earliest of theirs.
    #[test]
    fn a_warmed_lane_goes_on_as_one_that_read_everything(
        streams in prop::sample::select(vec![WINDOWS, SESSIONS, ALERTS, ""]), entries in logs(20..160), part in 0.0..1.0_f64,
    ) {
        let streams = if streams.is_empty() { [WINDOWS, SESSIONS, ALERTS].concat() } else { streams.to_owned() };
        let mut entries = entries;
        entries.iter_mut().for_each(|entry| entry.record_time_us = entry.record_time_us.or(Some(super::log::TEN_US)));
        let world = World::new(&streams);
        let published = (end(&entries) as f64 * part) as i64;
        let mut whole = read(&world, &entries, published);
        let (mut warmed, is_sure) = warmed(&world, &entries, published, &whole);
        prop_assert!(is_sure, "a partition with one front knows it");
        let state = |lane: &Lane| lane.snapshot(&BTreeSet::new()).expect("it is between two offsets");
        prop_assert_eq!(state(&warmed), state(&whole));
        prop_assert_eq!(warmed.fronts(), whole.fronts());
        prop_assert_eq!(rest(&world, &entries, &mut warmed), rest(&world, &entries, &mut whole));
    }
}

const ENDLESS: &str = "[streams.a]\nfrom = \"s\"\nby = [\"user\"]\nsession = \"3s\"\nlateness = \"1s\"\n[streams.a.measures]\nn = \"count()\"\n";
const MAP: &str = "[streams.b]\nfrom = \"s\"\nwhere = \"n >= 0\"\n";

#[test]
fn a_session_without_a_longest_needs_everything_and_a_map_nothing() {
    let of = |streams: &str| {
        let world = World::new(streams);
        let whole = read(&world, &super::log::events(&[("u", 0.0)]), 1);
        (world.plan.horizons(&whole.fronts()), world.plan.horizons(&world.lane(0).fronts()))
    };
    assert_eq!(of(ENDLESS), (vec![Horizon::All], vec![Horizon::All]));
    assert_eq!(of(MAP), (vec![Horizon::Nothing], vec![Horizon::Nothing]));
    let each = || vec![Horizon::All, Horizon::Nothing];
    assert_eq!(of(&format!("{ENDLESS}{MAP}")), (each(), each()), "each stream has its own");
    let cut = ENDLESS.replace("\"3s\"", "\"3s\"\nlongest = \"24h\"").replace("\"1s\"", "\"7s\"");
    let before = 1_000_000 * (7 + 86_400 + 3);
    let since = vec![Horizon::Since(super::log::TEN_US - before)];
    assert_eq!(of(&cut), (since, vec![Horizon::All]), "without a front, anything may be open");
}

/// What is open says how far back events matter, so that an incomplete past passes once all that was open then is closed.
#[test]
fn sessions_that_may_last_for_ever_need_what_is_open() {
    let world = World::new(ENDLESS);
    let since = |seconds: &[f64]| {
        let events: Vec<(&str, f64)> = seconds.iter().map(|second| ("u", *second)).collect();
        let entries = super::log::events(&events);
        match read(&world, &entries, end(&entries)).horizons()[..] {
            [Horizon::Since(us)] => (us - super::log::TEN_US) / 1_000_000,
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(world.lane(0).horizons(), [Horizon::All], "nothing was seen");
    assert_eq!(since(&[10.0]), 10 - 1 - 2 * 3, "an event that is nearly late may join one that is a gap before it");
    assert_eq!(since(&[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]), -3, "all of them are one session");
    assert_eq!(since(&[0.0, 2.0, 4.0, 20.0]), 20 - 1 - 2 * 3, "it is closed");
}

/// A stream that was added begins there, however far back the lane reads for others.
#[test]
fn what_remembers_everything_takes_nothing_before_it_began() {
    let world = World::new(&format!("{ENDLESS}{MAP}"));
    let entries = super::log::events(&[("u", 0.0), ("u", 1.0), ("u", 2.0), ("u", 20.0)]);
    let counted = |lane: &mut Lane| {
        lane.set_begins(&[1, 0]);
        let outputs = super::log::outputs(&rest(&world, &entries, lane));
        let sessions = outputs.iter().filter(|output| output["session_start"].is_string());
        let sessions: Vec<_> = sessions.map(|output| output["n"].clone()).collect();
        (sessions, outputs.len())
    };
    assert_eq!(counted(&mut world.lane(0)), (vec![serde_json::json!(2)], 5), "the map has all four");
    assert_eq!(counted(&mut world.lane(1)), (vec![serde_json::json!(2)], 4));
    let whole = read(&world, &entries, 1);
    let pieces = whole.snapshot(&BTreeSet::new()).expect("it is between two offsets");
    let (plan, id, fronts) = (std::sync::Arc::clone(&world.plan), world.id.clone(), whole.fronts());
    let mut loaded = Lane::load(plan, id, "v1", 1, &fronts, &pieces, super::log::LIMITS).expect("it was written so");
    assert_eq!(counted(&mut loaded), (vec![serde_json::json!(2)], 4), "what it remembered of before is forgotten");
}

#[test]
fn outputs_of_an_incomplete_past_say_so_and_its_state_is_never_written() {
    let other = MAP.replace("streams.b", "streams.c");
    let world = World::new(&format!("{MAP}{other}"));
    let entries = super::log::events(&[("u", 0.0), ("u", 1.0)]);
    let mut lane = world.lane(0);
    lane.set_incomplete(1, true);
    assert!(lane.snapshot(&BTreeSet::new()).is_err());
    let decided = rest(&world, &entries, &mut lane);
    for (decided, output) in decided.iter().zip(super::log::outputs(&decided)) {
        assert_eq!(output["incomplete"] == true, decided.stream == 1, "{output}");
    }
    assert_eq!(decided.len(), 4);
    lane.set_incomplete(1, false);
    assert!(lane.snapshot(&BTreeSet::new()).is_ok());
}
