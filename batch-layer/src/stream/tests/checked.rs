//! The check of streams that are written as their definitions decide, and what it cannot compare.

use std::collections::BTreeMap;

use shared_logic::contracts::reconciliation::{NotCompared, StreamCheck};
use shared_logic::contracts::stream::Published;
use shared_logic::log::PartitionId;
use storage::Snapshot;
use test_kit::{first_seed, repetitions};
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, CATALOG, LOG, Row};
use crate::stream::progress::Asked;

/// How much each check has found of each stream, one after the other.
type Compared = BTreeMap<String, u64>;

fn add(compared: &mut Compared, found: &BTreeMap<String, StreamCheck>) {
    for (stream, check) in found {
        assert_eq!(check.differences(), 0, "{stream}: {check:?}");
        assert_eq!(check.not_compared, [], "{stream}");
        *compared.entry(stream.clone()).or_default() += check.outputs;
    }
}

/// Has something published in a question.
fn each_published(asked: &mut Asked, change: impl FnMut(&mut Published)) {
    asked.noted.values_mut().flat_map(|noted| noted.published.values_mut()).for_each(change);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_nothing_and_compares_every_output_once() {
    for seed in (first_seed()..).take(repetitions(5, 60)) {
        println!("BRAID_SEED={seed}");
        let mut bench = Bench::new(CATALOG, seed).await;
        let (mut written, mut compared) = (Compared::new(), Compared::new());
        for _ in 0..6 {
            let records = bench.dice.below(120);
            bench.arrives(records).await;
            let all = bench.dice.chance(30);
            let decided = bench.decides(all);
            for (stream, outputs) in bench.writes(&decided).await {
                *written.entry(stream).or_default() += outputs;
            }
            if bench.dice.chance(70) {
                add(&mut compared, &bench.found().await);
            }
            // What lanes have remembered may be gone at any time.
            if bench.dice.chance(30) {
                bench.archive().remove_all_snapshots().await.expect("removed");
            }
        }
        add(&mut compared, &bench.found().await);
        add(&mut compared, &bench.found().await);
        compared.retain(|_, outputs| *outputs > 0);
        assert_eq!(compared, written, "{seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_check_goes_on_from_the_state_that_the_last_one_has_kept() {
    let mut bench = Bench::new(CATALOG, 3).await;
    bench.arrives(100).await;
    let decided = bench.decides(true);
    bench.writes(&decided).await;
    bench.found().await;
    let checked = bench.archive().checked_streams("v1").await.expect("read").expect("noted");
    assert_eq!(checked.lanes.len(), 2);
    for lane in &checked.lanes {
        let id = PartitionId::new(LOG, lane.partition);
        assert_eq!((lane.offset, lane.streams.len()), (bench.next("s", LOG, lane.partition), 3));
        let definitions = &lane.streams;
        let kept = bench.archive().newest_snapshot(&id, definitions, i64::MAX).await.expect("read").expect("kept");
        assert_eq!((kept.cursor, &kept.fronts), (lane.offset, &lane.fronts));
        // Those of a lane at work do not push it out.
        for cursor in 1..5 {
            let newer = Snapshot { cursor: lane.offset + cursor, ..kept.clone() };
            bench.archive().keep_snapshot(&id, definitions, &newer).await.expect("kept");
        }
        bench.archive().remove_snapshots(&id, definitions, i64::MAX).await.expect("removed");
        let found = bench.archive().newest_snapshot(&id, definitions, lane.offset).await.expect("read");
        assert_eq!(found.map(|found| found.cursor), Some(lane.offset));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_compared_before_the_archives_have_passed_the_ends() {
    let mut bench = Bench::new(CATALOG, 4).await;
    bench.arrives(100).await;
    let decided = bench.decides(true);
    bench.writes(&decided).await;
    let mut asked = bench.asked();
    let ends = &mut asked.outputs.get_mut("sums").expect("a stream").ends;
    ends.values_mut().for_each(|end| *end += 1);
    let rows = bench.checks(&asked).await;
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!((row.comparable, row.reason.as_deref()), (false, Some("not_yet")));
        assert!(row.detail.expect("it says which").contains("the archive of sums"));
    }
    assert!(bench.archive().checked_streams("v1").await.expect("read").is_none());
    // What was written meanwhile is no difference, whatever was asked before.
    let asked = bench.asked();
    bench.arrives(50).await;
    let decided = bench.decides(true);
    bench.writes(&decided).await;
    for row in bench.checks(&asked).await {
        assert_eq!(row.stream_check.expect("a check").differences(), 0);
    }
    let found = bench.found().await;
    assert!(found.values().all(|check| check.differences() == 0), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_definition_has_decided_is_listed_and_not_compared() {
    let mut bench = Bench::new(CATALOG, 5).await;
    bench.arrives(100).await;
    let decided = bench.decides(true);
    bench.writes(&decided).await;
    let mut asked = bench.asked();
    // The stream was changed in place: what it has written before is another one's.
    let noted = asked.noted.get_mut(&0).expect("a partition");
    let bursts = noted.changes.values_mut().next().expect("it began");
    bursts.to = Some("0123456789abcdef".parse().expect("a hash"));
    let rows = bench.checks(&asked).await;
    let listed: Vec<(String, NotCompared)> = rows
        .into_iter()
        .flat_map(|row| {
            let check = row.stream_check.expect("a check");
            assert_eq!(check.differences(), 0, "{check:?}");
            check.not_compared.into_iter().map(move |not| (row.metric.clone(), not))
        })
        .collect();
    let [(stream, not)] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((stream.as_str(), not.reason.as_str(), not.partition), ("bursts", "other_definition", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_from_an_incomplete_past_is_passed_over() {
    let mut bench = Bench::new(CATALOG, 6).await;
    bench.arrives(60).await;
    let decided = bench.decides(true);
    bench.writes(&decided).await;
    let mut asked = bench.asked();
    each_published(&mut asked, |published| published.incomplete = true);
    for row in bench.checks(&asked).await {
        let check = row.stream_check.expect("a check");
        assert_eq!((check.differences(), check.outputs), (0, 0));
        assert!(check.not_compared.iter().all(|not| not.reason == "incomplete") && !check.not_compared.is_empty());
    }
    // What follows on it is passed over as well.
    bench.arrives(60).await;
    let decided = bench.decides(true);
    bench.writes(&decided).await;
    assert!(bench.found().await.values().all(|check| check.outputs == 0 && check.differences() == 0));
    bench.arrives(60).await;
    let decided = bench.decides(true);
    let written = bench.writes(&decided).await;
    let mut compared = Compared::new();
    add(&mut compared, &bench.found().await);
    compared.retain(|_, outputs| *outputs > 0);
    assert_eq!(compared, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_stopped_says_nothing_wrong_and_the_next_one_goes_on() {
    let mut bench = Bench::new(CATALOG, 8).await;
    bench.arrives(100).await;
    let decided = bench.decides(true);
    let written = bench.writes(&decided).await;
    let stop = CancellationToken::new();
    stop.cancel();
    for row in bench.checks_until(&bench.asked(), &stop).await {
        let check = row.stream_check.expect("a check");
        assert_eq!((check.outputs, check.differences()), (0, 0));
    }
    let mut compared = Compared::new();
    add(&mut compared, &bench.found().await);
    compared.retain(|_, outputs| *outputs > 0);
    assert_eq!(compared, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_lie_in_two_partitions_are_counted_and_the_place_of_one_is_named() {
    let mut bench = Bench::new(CATALOG, 7).await;
    bench.arrives(100).await;
    let decided = bench.decides(true);
    bench.writes(&decided).await;
    assert!(bench.found().await.values().all(|check| check.split_keys == 0));
    let (mut rows, offsets) = (Vec::new(), [0, 1].map(|partition| bench.next("s", LOG, partition)));
    for (partition, offset) in (0..).zip(offsets) {
        let payload = format!(r#"{{"id": "split-{partition}", "at": 1777000000000, "user": "u-split", "n": 1}}"#);
        rows.push(Row {
            partition,
            offset,
            timestamp_us: None,
            key: None,
            payload: Some(payload.into_bytes()),
            headers: None,
        });
    }
    bench.archive_these("s", LOG, &rows).await;
    bench.reads(rows);
    let decided = bench.decides(true);
    bench.writes(&decided).await;
    let second = format!("{LOG}/1/{}", offsets[1]);
    for row in bench.checks(&bench.asked()).await {
        let text = serde_json::to_string(&row).expect("plain data");
        assert!(!text.contains("u-split"), "a key may name a person, and rows are never erased: {text}");
        let check = row.stream_check.expect("a check");
        // A map groups by nothing.
        let split = if row.metric == "large" { (0, None) } else { (1, Some(second.as_str())) };
        assert_eq!((check.split_keys, check.split_record.as_deref()), split, "{}", row.metric);
    }
}
