//! Outputs whose time is further ahead of their records than their readers allow: nobody counts them, and the check compares them as any
//! other.

use std::collections::BTreeMap;

use shared_logic::contracts::reconciliation::StreamCheck;
use shared_logic::decode::Decoder;
use test_kit::{first_seed, repetitions};

use super::bench::{Bench, CATALOG, LOG, Row};
use super::looked_up;

const USER: &str = "u-1";
const PARTITION: i32 = 1;
/// `max_ahead` is an hour.
const AHEAD_US: i64 = 2 * 3_600_000_000;

/// Archives an event that is far ahead. Its record has no timestamp that would say so, but an output's has one.
async fn arrives_far_ahead(bench: &mut Bench) {
    let (offset, at_ms) = (bench.next("s", LOG, PARTITION), (bench.now_us() + AHEAD_US) / 1_000);
    let payload = format!(r#"{{"id": "ahead", "at": {at_ms}, "user": "{USER}", "n": 9}}"#).into_bytes();
    let (key, payload) = (Some(USER.as_bytes().to_vec()), Some(payload));
    let row = Row { partition: PARTITION, offset, timestamp_us: None, key, payload, headers: None };
    bench.archive_these("s", LOG, std::slice::from_ref(&row)).await;
    bench.reads(vec![row]);
}

fn outputs(found: &BTreeMap<String, StreamCheck>) -> BTreeMap<String, u64> {
    let outputs = found.iter().map(|(stream, check)| (stream.clone(), check.outputs));
    outputs.filter(|(_, outputs)| *outputs > 0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_readers_reject_was_published_all_the_same() {
    for (times, extra) in [(1, 0), (2, 1)] {
        let mut bench = Bench::new(CATALOG, 11).await;
        arrives_far_ahead(&mut bench).await;
        let decided = bench.decides(true);
        for _ in 0..times {
            assert_eq!(bench.writes(&decided).await, BTreeMap::from([("large".to_owned(), 1)]));
        }
        let mut decoder = Decoder::new(&bench.source("large"));
        assert!(
            decoder.decode(Some(decided[0].1.payload.as_slice()), Some(bench.now_us())).is_err(),
            "readers reject it"
        );
        let found = bench.found().await;
        let check = &found["large"];
        assert_eq!((check.outputs, check.missing, check.extra, check.different), (1, 0, extra, 0), "{check:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_output_has_seen_that_readers_reject_is_found_again() {
    for seed in (first_seed()..).take(repetitions(4, 40)) {
        println!("BRAID_SEED={seed}");
        let (mut bench, users) = looked_up::bench(seed).await;
        looked_up::change(&mut bench, &users, 40).await;
        arrives_far_ahead(&mut bench).await;
        let decided = bench.decides(true);
        let written = looked_up::writes(&mut bench, &decided).await;
        assert_eq!(written["named"], 1);
        let found = bench.found().await;
        assert_eq!((outputs(&found), looked_up::differences(&found)), (written, 0), "{found:?}");
    }
}
