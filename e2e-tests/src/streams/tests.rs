//! The oracle says what the contract's examples say.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::detect::Detector;
use super::fraud::JUDGES;
use super::log::{Event, Source, Type};
use super::session::Sessions;
use super::window::Windows;
use super::{Decided, Said, decide, fields};
use crate::kafka::Found;

const SECOND_US: i64 = 1_000_000;
/// 2026-04-24T10:00:00Z
const TEN_US: i64 = 1_777_024_800_000_000;

const CLICKS: Source = Source {
    event_id: None,
    event_time: "at",
    fields: &[("at", Type::Instant), ("user", Type::Text)],
    dedup_window: 0,
    is_stream: false,
    is_rekeyed: false,
};

/// Records of events at those seconds after ten o'clock, each with the second in which it arrived.
fn records(seconds: &[(i64, i64)]) -> Vec<Found> {
    let record = |(offset, (at, arrived)): (i64, &(i64, i64))| Found {
        partition: 0,
        offset,
        timestamp_ms: (TEN_US + arrived * SECOND_US) / 1_000,
        key: None,
        payload: json!({"at": (TEN_US + at * SECOND_US) / 1_000, "user": "u"}).to_string().into_bytes(),
        headers: Vec::new(),
    };
    (0..).zip(seconds).map(record).collect()
}

fn count(events: &[Event]) -> Map<String, Value> {
    fields([("n", json!(events.len()))])
}

fn counts(decided: &[Decided]) -> Vec<(i64, Option<i64>)> {
    let count = |decided: &Decided| match &decided.said {
        Said::Output { fields, .. } => (decided.offset, fields["n"].as_i64()),
        Said::Late { .. } => (decided.offset, None),
    };
    decided.iter().map(count).collect()
}

#[test]
fn late_events_count_until_their_window_closes() {
    let arrivals = [(0, 0), (1, 1), (3, 3), (4, 4), (2, 7), (14, 14), (15, 15), (3, 16)];
    let steps = CLICKS.steps(&records(&arrivals)).expect("records of one partition");
    let windows = Windows::new("user", 5 * SECOND_US, 5 * SECOND_US, count);
    let decided = decide(&steps, 10 * SECOND_US, |_| true, windows);
    assert_eq!(counts(&decided), [(6, Some(5)), (7, None)]);
    let Said::Late { missed, .. } = decided[1].said else { panic!("{decided:?}") };
    assert_eq!(missed, Some((TEN_US, TEN_US + 5 * SECOND_US)));
}

#[test]
fn a_gap_ends_a_session() {
    let clicks = [0, 10, 20, 80, 90, 100, 110, 120, 200].map(|at| (at, at));
    let steps = CLICKS.steps(&records(&clicks)).expect("records of one partition");
    let decided = decide(&steps, 0, |_| true, Sessions::new("user", 30 * SECOND_US, None, count));
    assert_eq!(counts(&decided), [(3, Some(3)), (8, Some(5))]);
}

#[test]
fn a_swap_of_order_hides_no_burst() {
    let source = Source {
        fields: &[
            ("at", Type::Instant),
            ("user", Type::Text),
            ("amount", Type::Float),
            ("lat", Type::Float),
            ("lon", Type::Float),
        ],
        ..CLICKS
    };
    for order in [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 5, 4], [5, 0, 1, 2, 3, 4]] {
        let mut records = records(&order.map(|at| (at, 6)));
        for found in &mut records {
            let mut payload: Value = serde_json::from_slice(&found.payload).expect("JSON");
            (payload["amount"], payload["lat"], payload["lon"]) = (json!(1), json!(0), json!(0));
            found.payload = payload.to_string().into_bytes();
        }
        let steps = source.steps(&records).expect("records of one partition");
        let detector = Detector::new("user", 3_600 * SECOND_US, &JUDGES);
        let decided = decide(&steps, 300 * SECOND_US, |_| true, detector);
        let offset = order.iter().position(|at| *at == 5).expect("the last one");
        let rules: Vec<_> = decided.iter().map(|decided| (decided.offset, rule(decided))).collect();
        assert_eq!(rules, [(5, ("high_velocity".to_owned(), offset as i64))], "{order:?}");
    }
}

fn rule(decided: &Decided) -> (String, i64) {
    let Said::Output { fields, .. } = &decided.said else { panic!("{decided:?}") };
    let text = fields["rule"].as_str().unwrap_or_default().to_owned();
    (text, fields["judged_offset"].as_i64().unwrap_or(-1))
}

/// The front of a re-keyed partition is the least of its upstreams, without those that are idle.
#[test]
fn lanes_that_are_behind_hold_the_front_back() {
    let source = Source { is_rekeyed: true, is_stream: true, ..CLICKS };
    let mut records = records(&[(0, 0), (10, 10), (60, 60), (0, 61), (0, 62), (20, 63), (0, 64)]);
    let headers = |of: &[(&str, &str)]| -> Vec<(String, Vec<u8>)> {
        of.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
    };
    let upstreams = ["0", "0", "0", "", "", "1", ""];
    for (found, upstream) in records.iter_mut().zip(upstreams) {
        let upstream = format!("log/{upstream}");
        found.headers = headers(&[("braid-upstream", upstream.as_str())]);
    }
    let mark = |partition: &'static str, front: i64, idle: &'static str| {
        let front = (TEN_US + front * SECOND_US).to_string();
        headers(&[
            ("braid-mark-log", "log"),
            ("braid-mark-partition", partition),
            ("braid-mark-partitions", "2"),
            ("braid-mark-front", front.as_str()),
            ("braid-mark-idle", idle),
        ])
    };
    for (at, headers) in [(3, mark("0", 60, "false")), (4, mark("1", 5, "false")), (6, mark("1", 20, "true"))] {
        (records[at].payload, records[at].headers) = (Vec::new(), headers);
    }
    let steps = source.steps(&records).expect("records of one partition");
    let fronts: BTreeMap<i64, Option<i64>> =
        steps.iter().map(|step| (step.offset, step.after_us.map(|us| (us - TEN_US) / SECOND_US))).collect();
    let expected = [None, None, None, None, Some(5), Some(20), Some(60)];
    assert_eq!(fronts.into_values().collect::<Vec<_>>(), expected);
}
