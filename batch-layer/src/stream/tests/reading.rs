//! Archived records in the order of their offsets, and where the past begins.

use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::stream::{LanePlan, Mark, OutputPosition, Records};
use test_kit::{first_seed, repetitions};

use super::bench::{Bench, CATALOG, LOG, Row, log_of, mark, output};
use crate::stream::held::Moment;
use crate::stream::records::{Reading, Shape};

fn range(partition: i32, from: i64, to: i64) -> OffsetRange {
    OffsetRange { id: PartitionId::new(LOG, partition), from, to }
}

/// All records of a range, as they are handed on, with so many bytes of them in memory.
async fn all(bench: &Bench, name: &str, range: OffsetRange, memory: usize) -> Vec<Records> {
    let held = bench.held(name).await;
    let shape = Shape::of_identities(&bench.source(name));
    let mut reading = Reading::new(&held, range, shape, memory).expect("begun");
    let mut all = Vec::new();
    while let Some(records) = reading.next().await.expect("read") {
        all.push(records);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn however_little_memory_there_is_every_event_comes_once_in_order() {
    for seed in (first_seed()..).take(repetitions(4, 40)) {
        println!("BRAID_SEED={seed}");
        let mut bench = Bench::new(CATALOG, seed).await;
        for _ in 0..5 {
            bench.arrives(40).await;
        }
        for partition in 0..2 {
            let next = bench.next("s", LOG, partition);
            let (from, to) = (bench.dice.between(0, next / 2), bench.dice.between(next / 2 + 1, next));
            let whole = all(&bench, "s", range(partition, from, to), 1 << 30).await;
            let whole: Vec<i64> = whole.into_iter().flat_map(|records| records.offsets).collect();
            assert!(whole.is_sorted() && whole.iter().all(|offset| (from..to).contains(offset)), "{whole:?}");
            for memory in [0, 100, 5_000] {
                let portions = all(&bench, "s", range(partition, from, to), memory).await;
                assert_eq!((portions[0].from, portions[portions.len() - 1].to), (from, to));
                assert!(portions.windows(2).all(|pair| pair[0].to == pair[1].from && pair[1].from < pair[1].to));
                for records in &portions {
                    let rows = records.offsets.len();
                    assert_eq!(
                        [records.events.height(), records.record_times_us.len(), records.sightings.len()],
                        [rows; 3]
                    );
                    assert!(records.offsets.iter().all(|offset| (records.from..records.to).contains(offset)));
                }
                let offsets: Vec<i64> = portions.into_iter().flat_map(|records| records.offsets).collect();
                assert_eq!(offsets, whole, "{memory} bytes");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_larger_than_expected_are_read_in_smaller_portions() {
    let mut bench = Bench::new(CATALOG, 1).await;
    let payload = |offset: i64| {
        format!(r#"{{"id": "{offset}", "at": 1777000000000, "user": "{}", "n": 1}}"#, "u".repeat(2_000)).into_bytes()
    };
    let row = |offset: i64| Row {
        partition: 0,
        offset,
        timestamp_us: Some(1_777_000_000_000_000),
        key: None,
        payload: Some(payload(offset)),
        headers: None,
    };
    let rows: Vec<Row> = (0..30).map(row).collect();
    bench.archive_these("s", LOG, &rows).await;
    let rows: Vec<Row> = (30..60).map(row).collect();
    bench.archive_these("s", LOG, &rows).await;
    let held = bench.held("s").await;
    let plan = LanePlan::new(&bench.catalog, &bench.source("s"));
    let shape = Shape::of_lane(&plan, &bench.source("s"));
    let mut reading = Reading::new(&held, range(0, 0, 60), shape, 20_000).expect("begun");
    let (mut offsets, mut portions) = (Vec::new(), 0);
    while let Some(records) = reading.next().await.expect("read") {
        assert!(records.offsets.len() < 20, "{} records of 4,000 bytes", records.offsets.len());
        assert_eq!(records.originals.len(), records.offsets.len());
        offsets.extend(records.offsets);
        portions += 1;
    }
    assert_eq!(offsets, (0..60).collect::<Vec<i64>>());
    assert!(portions >= 6, "{portions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_without_records_is_handed_on_as_such() {
    let bench = Bench::new(CATALOG, 1).await;
    let empty = all(&bench, "s", range(0, 0, 50), 1 << 20).await;
    assert_eq!((empty.len(), empty[0].from, empty[0].to, empty[0].events.height()), (1, 0, 50, 0));
    assert!(all(&bench, "s", range(0, 50, 50), 1 << 20).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_begins_at_the_first_record_of_that_time_or_of_an_event_of_it_without_one() {
    let mut bench = Bench::new(CATALOG, 1).await;
    // An event is as old as it says, whenever it was written.
    let row = |offset: i64, timestamp_ms: Option<i64>, at_ms: i64| Row {
        partition: 0,
        offset,
        timestamp_us: timestamp_ms.map(|ms| ms * 1_000),
        key: None,
        payload: Some(format!(r#"{{"id": "{offset}", "at": {at_ms}, "user": "u", "n": 1}}"#).into_bytes()),
        headers: None,
    };
    let day_ms = 86_400_000;
    let rows = [
        row(0, Some(day_ms), day_ms),
        row(1, Some(day_ms + 5_000), day_ms - 10_000),
        row(2, None, day_ms + 7_000),
        row(3, Some(day_ms + 6_000), day_ms + 6_000),
    ];
    bench.archive_these("s", LOG, &rows[..2]).await;
    bench.archive_these("s", LOG, &rows[2..]).await;
    let held = bench.held("s").await;
    let first = async |record_ms: i64, event_ms: i64, from_day| {
        let moment = Moment { record_us: (day_ms + record_ms) * 1_000, event_us: (day_ms + event_ms) * 1_000 };
        held.first_since(&range(0, 0, 4), moment, from_day).await.expect("read")
    };
    assert_eq!(first(0, 0, None).await, 0);
    assert_eq!(first(1, 1, None).await, 1);
    assert_eq!(first(5_500, 5_500, None).await, 2, "it has no timestamp, and its event is late enough");
    assert_eq!(first(5_500, 8_000, None).await, 3);
    assert_eq!(first(9_000, 9_000, None).await, 4, "there is none");
    assert_eq!(first(1, 1, Some(1)).await, 2, "the other lies in an older day");
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_are_no_events_and_records_name_their_upstream_partition() {
    const REKEYED: &str = r#"
[streams.by_n]
from = "s"
key = "n"
[streams.by_n.fields]
n = "n"
"#;
    let mut bench = Bench::new(&format!("{CATALOG}{REKEYED}"), 1).await;
    let upstream = PartitionId::new(LOG, 1);
    let payload = r#"{"output_id":"by_n/v1/log/1/7/0","output_time":"1970-01-01T00:00:04Z","n":3}"#.to_owned();
    let output = output("by_n", &upstream, OutputPosition { offset: 7, n: 0 }, (0, 1), 5_000_000, payload);
    let said = Mark { log: LOG.to_owned(), partition: 1, partitions: 2, front_us: Some(4_000_000), idle: false };
    let rows = [mark("by_n", 0, 0, 3_000_000, &said), output, mark("by_n", 0, 2, 6_000_000, &said)];
    let log = log_of("by_n");
    bench.archive_these("by_n", &log, &rows).await;
    assert!(bench.archives["by_n"].facts().rejects.is_empty(), "a mark is no reject");
    let held = bench.held("by_n").await;
    let plan = LanePlan::new(&bench.catalog, &bench.source("by_n"));
    let range = OffsetRange { id: PartitionId::new(log, 0), from: 0, to: 3 };
    let mut reading = Reading::new(&held, range, Shape::of_lane(&plan, &bench.source("by_n")), 1 << 20).expect("begun");
    let records = reading.next().await.expect("read").expect("records");
    assert_eq!((records.offsets.as_slice(), records.events.height()), ([1].as_slice(), 1));
    let found = records.upstreams[0].as_ref().expect("it names one");
    assert_eq!((&*found.log, found.partition), (LOG, 1));
    let marks: Vec<(i64, Option<i64>)> =
        records.marks.iter().map(|record| (record.offset, record.record_time_us)).collect();
    assert_eq!(marks, [(0, Some(3_000_000)), (2, Some(6_000_000))]);
    assert!(records.marks.iter().all(|record| record.mark == said));
}
