//! What logs cost that are over: hundreds of them, as after hundreds of starts of a broker that forgets.

use std::path::Path;

use platform::settings::Secret;
use shared_logic::contracts::archive::Facts;
use shared_logic::log::PartitionId;
use test_kit::Redis;

use super::super::*;
use super::bench::{Bench, Event, GRAIN_MS, LOG, Record, Rows, id};

const LOGS: usize = 500;
/// Of so many logs one holds records.
const WITH_RECORDS: usize = 25;

/// An event of that minute.
fn event(minute: i64, n: i64) -> Event {
    Event { house: "h", id: minute, at_ms: minute * 60_000, k: Some("a"), n }
}

/// Counts an event by hand.
fn count(rows: &mut Rows, event: &Event) {
    let bucket_us = (event.at_ms - event.at_ms % GRAIN_MS) * 1_000;
    let row = rows.entry((bucket_us, event.k.map(str::to_owned))).or_default();
    *row = (row.0 + 1, row.1 + i128::from(event.n));
}

/// The size of a table's newest log entry, in bytes.
fn newest_entry(bench: &Bench, table: &str, version: u64) -> u64 {
    let entry = bench.folder.path().join("braid").join(table).join(format!("_delta_log/{version:020}.json"));
    bytes(&entry)
}

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_are_over_cost_nothing_and_are_counted_all_the_same() {
    let redis = Redis::start().await.expect("a Redis");
    let settings = settings::Redis { url: Secret::from(redis.url()), ..Default::default() };
    let ended: Vec<PartitionId> = (0..LOGS).map(|n| PartitionId::new(format!("log-{n:03}"), 0)).collect();
    let all: Vec<PartitionId> = ended.iter().cloned().chain([id()]).collect();
    let mut bench = Bench::with(Settings { redis: settings, ..Settings::default() }, &all).await;

    // Some logs hold an event of their own, and a copy of one that the first log holds, too, and that says something else.
    let mut rows = Rows::new();
    for (n, id) in (0_i64..).zip(&ended).step_by(WITH_RECORDS) {
        let events = [event(0, 100 + n), event(n + 1, 1)];
        let events_counted = if n == 0 { &events[..] } else { &events[1..] };
        events_counted.iter().for_each(|event| count(&mut rows, event));
        let records = (0..).zip(events).map(|(offset, event)| Record { id: id.clone(), offset, event: Some(event) });
        bench.archive_these(&id.log, &records.collect::<Vec<_>>()).await;
    }
    let close = |facts: &mut Facts| ended.iter().for_each(|id| facts.close(&id.log));
    bench.archive.change("CLOSE", close).await.expect("closed");
    let stop = CancellationToken::new();
    bench.reconciler.run_to_the_end(&stop).await.expect("reconciled");
    bench.archive.refresh().await.expect("read");
    let facts = bench.archive.facts();
    assert_eq!(facts.logs.iter().filter(|log| log.is_over("v1")).count(), LOGS, "Redis holds nothing of them");
    assert_eq!(bench.rows_of(&bench.view().await).await, rows);

    for round in 1..=3 {
        let version = bench.archive.version();
        let minute = 1_000 + round;
        let events = [event(0, 7), event(minute, 5)];
        count(&mut rows, &events[1]);
        let next = bench.next(&id());
        let records = (next..).zip(events).map(|(offset, event)| Record { id: id(), offset, event: Some(event) });
        bench.archive_these(LOG, &records.collect::<Vec<_>>()).await;
        let before = redis.calls("evalsha").await.expect("answered");
        bench.reconciler.run(&stop).await.expect("reconciled");
        let scripts = redis.calls("evalsha").await.expect("answered") - before;
        assert!(scripts <= 10, "{scripts} scripts were run");
        bench.archive.refresh().await.expect("read");
        assert_eq!(bench.archive.version(), version + 1, "a reconcile notes nothing of them");
        assert_eq!(bench.rows_of(&bench.view().await).await, rows, "copies are found in all logs");
    }
    // What does not change any more is not written again.
    let (facts, view) = (bench.archive.version(), bench.view().await.version());
    let sizes = [newest_entry(&bench, "archive/s", facts), newest_entry(&bench, "views/v1/m", view)];
    assert!(sizes.iter().all(|size| *size < 10_000), "{sizes:?} bytes");
    let whole = serde_json::to_string(&bench.archive.facts()).expect("written").len();
    assert!(whole > 50_000, "{whole} bytes are the facts as a whole");
}
