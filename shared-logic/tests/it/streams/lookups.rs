//! Maps that look rows up: what outputs take of them, where events without a row go, and that nothing else depends on them (B4, B5).

use polars::prelude::df;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared_logic::catalog::Catalog;
use shared_logic::expression::Scalar;
use shared_logic::log::PartitionId;
use shared_logic::stream::{Decided, DecidedKind, Found, Lane, LanePlan, Limits, LookedUp, Progress, Records};

const CATALOG: &str = r#"
[sources.s]
event_time = "at"
key = "user"
[sources.s.fields]
at = "timestamp"
user = "string?"
n = "int"
[tables.users]
key = "id"
[tables.users.fields]
id = "string"
name = "string?"
age = "int?"
[streams.a_any]
from = "s"
where = "n > 0"
lookup.users = { on = "user", take = ["name"] }
[streams.b_must]
from = "s"
lookup.users = { on = "user", take = ["age", "name"], require = true }
[streams.b_must.fields]
n = "n"
"#;

/// Events with these users and numbers, from the offset on.
fn records(from: i64, events: &[(Option<&str>, i64)]) -> Records {
    let users: Vec<Option<&str>> = events.iter().map(|(user, _)| *user).collect();
    let (numbers, times): (Vec<i64>, Vec<i64>) = events.iter().map(|(_, n)| (*n, 1_000_000)).unzip();
    let mut records = Records { from, to: from + events.len() as i64, ..Records::default() };
    records.offsets = (from..records.to).collect();
    records.record_times_us = vec![None; events.len()];
    records.events = df!("at" => times, "user" => users, "n" => numbers).expect("three columns");
    for (user, n) in events {
        records.originals.push(user.map(str::as_bytes), format!("event {n}").as_bytes());
    }
    records
}

fn plan() -> std::sync::Arc<LanePlan> {
    let catalog = Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    std::sync::Arc::new(LanePlan::new(&catalog, &catalog.sources["s"]))
}

fn lane(plan: &std::sync::Arc<LanePlan>) -> Lane {
    let limits = Limits { pending_events: 1_000, state_bytes: 1 << 20, step_bytes: 1 << 20 };
    Lane::new(plan.clone(), PartitionId::new("log", 0), "v1", 0, limits)
}

/// Of users, the one called `nobody` has no row.
fn look_up(plan: &LanePlan, records: &mut Records, cursor: i64) {
    let found = |user: &String| Found {
        seen: format!("table/0/{cursor}"),
        row: (user != "nobody").then(|| vec![Scalar::String(format!("name of {user}").into()), Scalar::Int(7)]),
    };
    let lookup = &plan.lookups()[0];
    let keys = lookup.keys(&records.events).expect("keys");
    records.looked_up = vec![LookedUp { of: keys.of, found: keys.keys.iter().map(found).collect() }];
}

fn decide(lane: &mut Lane, records: Records) -> Vec<Decided> {
    lane.give(records).expect("the next ones");
    let mut decided = Vec::new();
    while lane.step(2, &mut decided) == Progress::More {}
    decided
}

fn output(decided: &Decided) -> Value {
    let mut output: Value = serde_json::from_slice(&decided.payload).expect("JSON");
    let object = output.as_object_mut().expect("an object");
    ["output_id", "output_time", "at"].into_iter().for_each(|name| drop(object.remove(name)));
    output
}

#[test]
fn an_output_has_what_is_taken_and_says_as_of_what() {
    let plan = plan();
    assert_eq!(plan.lookups().len(), 1, "two streams look up the same");
    let taken: Vec<&str> = plan.lookups()[0].take.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(taken, ["name", "age"]);
    let mut given = records(0, &[(Some("u"), 1), (Some("nobody"), 2), (None, 3), (Some("u"), 0)]);
    look_up(&plan, &mut given, 41);
    let decided = decide(&mut lane(&plan), given);
    let of = |stream: usize| decided.iter().filter(move |decided| decided.stream == stream);
    let any: Vec<Value> = of(0).map(output).collect();
    let expected = [
        json!({"user": "u", "n": 1, "name": "name of u", "users_seen": "table/0/41"}),
        json!({"user": "nobody", "n": 2, "users_seen": "table/0/41"}),
        json!({"n": 3}),
    ];
    assert_eq!(any, expected);
    let (must, no_row): (Vec<&Decided>, Vec<&Decided>) = of(1).partition(|decided| decided.kind == DecidedKind::Output);
    let expected = [1, 0].map(|n| json!({"n": n, "age": 7, "name": "name of u", "users_seen": "table/0/41"}));
    assert_eq!(must.into_iter().map(output).collect::<Vec<Value>>(), expected);
    let handed_on: Vec<(i64, &DecidedKind, &[u8], Option<&[u8]>)> = no_row
        .iter()
        .map(|decided| (decided.position.offset, &decided.kind, decided.payload.as_slice(), decided.key.as_deref()))
        .collect();
    let kind = |seen: Option<&str>| DecidedKind::NoRow { table: "users".to_owned(), seen: seen.map(str::to_owned) };
    let (as_of, no_key) = (kind(Some("table/0/41")), kind(None));
    let expected = [(1, &as_of, &b"event 2"[..], Some(&b"nobody"[..])), (2, &no_key, &b"event 3"[..], None)];
    assert_eq!(handed_on, expected);
}

proptest! {
    /// Where records are split, and as of what rows are, decides nothing but what is taken: neither which outputs there are, nor where
    /// they stand.
    #[test]
    fn whether_there_is_an_output_depends_on_no_row(
        events in prop::collection::vec((prop::option::of("[uv]|nobody"), 0..3_i64), 1..20),
        cut in 0..20_usize,
        cursors in (0..100_i64, 0..100_i64),
    ) {
        let plan = plan();
        let events: Vec<(Option<&str>, i64)> = events.iter().map(|(user, n)| (user.as_deref(), *n)).collect();
        let run = |cut: usize, cursors: (i64, i64), has_rows: bool| {
            let (mut lane, cut) = (lane(&plan), cut.min(events.len()));
            let mut all = Vec::new();
            for (from, some, cursor) in [(0, &events[..cut], cursors.0), (cut as i64, &events[cut..], cursors.1)] {
                let mut given = records(from, some);
                if has_rows {
                    look_up(&plan, &mut given, cursor);
                }
                all.extend(decide(&mut lane, given));
            }
            all
        };
        let (once, split, none) = (run(events.len(), cursors, true), run(cut, cursors, true), run(cut, cursors, false));
        let places = |decided: &[Decided]| -> Vec<_> {
            decided.iter().map(|decided| (decided.stream, decided.position)).collect()
        };
        prop_assert_eq!(places(&once), places(&split));
        prop_assert_eq!(places(&once), places(&none), "what has no row stands where the output would");
        let same = run(cut, (cursors.0, cursors.0), true);
        prop_assert_eq!(run(events.len(), (cursors.0, cursors.0), true), same, "as of one cursor, splitting changes nothing");
    }
}
