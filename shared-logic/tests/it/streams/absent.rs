//! Events without a value of what a stream groups by.

use serde_json::{Value as Json, json};

use super::log::{Entry, Row, SECOND_US, TEN_US, What, World, json_of};

const STREAMS: &str = r#"
[streams.a_windows]
from = "s"
by = ["k"]
window = "10s"
lateness = "0s"
[streams.a_windows.measures]
n = "count()"
[streams.b_sessions]
from = "s"
by = ["k"]
session = "5s"
lateness = "0s"
[streams.b_sessions.measures]
n = "count()"
[streams.c_alerts]
from = "s"
key = "k"
history = "1m"
[streams.c_alerts.detect]
again = "history_count() = 1"
"#;

/// They are one key, which is not that of the empty text, comes first, and has no record key.
#[test]
fn events_without_a_value_are_a_key_of_their_own() {
    let world = World::new(STREAMS);
    let event = |offset: i64, second: i64, k: Option<&str>| {
        let row = Row { k: k.map(str::to_owned), ..Row::new(offset, TEN_US + second * SECOND_US, "u") };
        Entry { offset, record_time_us: None, what: What::Event(row) }
    };
    let log =
        [event(0, 1, None), event(1, 1, Some("")), event(2, 2, None), event(3, 3, Some("a")), event(4, 60, Some("z"))];
    let decided = world.decide(&log);
    let of = |stream: usize| -> Vec<(Option<Vec<u8>>, Json, Json)> {
        let of_stream = decided.iter().filter(|decided| decided.stream == stream);
        of_stream
            .map(|decided| {
                let output = json_of(decided);
                (decided.key.clone(), output["k"].clone(), output["n"].clone())
            })
            .collect()
    };
    let group =
        |k: Option<&str>, n: i64| (k.map(|k| k.as_bytes().to_vec()), k.map_or(Json::Null, Json::from), json!(n));
    assert_eq!(of(0), [group(None, 2), group(Some(""), 1), group(Some("a"), 1)]);
    assert_eq!(of(1), [group(Some(""), 1), group(None, 2), group(Some("a"), 1)], "in the order of their ends");
    let alerts: Vec<Json> = decided.iter().filter(|decided| decided.stream == 2).map(json_of).collect();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((&alerts[0]["judged_offset"], &alerts[0]["k"]), (&json!(2), &Json::Null));
}
