//! A map that re-keys: outputs of every lane lie in every partition, and what reads them has a front for each lane.

use shared_logic::log::PartitionId;
use shared_logic::stream::{Decided, DecidedKind, Mark, OutputPosition};
use shared_logic::time::format_rfc3339;
use test_kit::{first_seed, repetitions};

use super::bench::{Bench, CATALOG, LOG, Row, log_of, mark, output};
use crate::stream::written::output_id;

const REKEYED: &str = r#"
[streams.by_n]
from = "s"
key = "n"
[streams.by_n.fields]
n = "n"
user = "user"
"#;

/// Some partition that follows from the key.
fn partition_of(decided: &Decided) -> i32 {
    let key = decided.key.as_deref().unwrap_or_default();
    i32::from(key.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) % 2)
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_of_all_lanes_in_all_partitions_are_compared_once() {
    for seed in (first_seed()..).take(repetitions(4, 40)) {
        println!("BRAID_SEED={seed}");
        let mut bench = Bench::new(&format!("{CATALOG}{REKEYED}"), seed).await;
        let (mut written, mut compared) = (0, 0);
        for _ in 0..5 {
            bench.arrives(60).await;
            let decided = bench.decides(false);
            let of_map = |bench: &Bench, decided: &Decided| bench.stream(decided) == "by_n";
            let (by_n, others): (Vec<_>, Vec<_>) = decided.into_iter().partition(|(_, of)| of_map(&bench, of));
            let counts = bench.writes_to(&by_n, |_, decided| partition_of(decided)).await;
            written += counts.get("by_n").copied().unwrap_or_default();
            bench.writes(&others).await;
            let found = bench.found().await;
            assert!(found.values().all(|check| check.differences() == 0), "{seed}: {found:?}");
            compared += found["by_n"].outputs;
        }
        assert_eq!(compared, written);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_missing_or_there_twice_is_found() {
    let mut bench = Bench::new(&format!("{CATALOG}{REKEYED}"), 5).await;
    bench.arrives(100).await;
    let decided = bench.decides(true);
    let is_of_map =
        |bench: &Bench, decided: &Decided| bench.stream(decided) == "by_n" && decided.kind == DecidedKind::Output;
    let (mut by_n, others): (Vec<_>, Vec<_>) = decided.into_iter().partition(|(_, of)| is_of_map(&bench, of));
    bench.writes(&others).await;
    let removed = by_n.remove(3);
    by_n.push(by_n[7].clone());
    bench.writes_to(&by_n, |_, decided| partition_of(decided)).await;
    let check = bench.found().await.remove("by_n").expect("a stream");
    assert_eq!((check.missing, check.extra, check.different), (1, 1, 0), "{check:?}");
    assert!(check.first.iter().any(|output| output.id.ends_with(&format!("/{}", removed.1.position))), "{check:?}");
}

const READ_AGAIN: &str = r#"
[streams.per_n]
from = "by_n"
by = ["n"]
window = "1m"
lateness = "10s"
[streams.per_n.measures]
events = "count()"
"#;

/// What two lanes write into two partitions, one of them a minute behind the other, and their marks.
fn written(bench: &mut Bench, clocks_us: &mut [i64; 2], decided: &mut [i64; 2]) -> Vec<Row> {
    let log = log_of("by_n");
    let (mut rows, mut next) = (Vec::new(), [0, 1].map(|partition| bench.next("by_n", &log, partition)));
    for _ in 0..60 {
        let lane = bench.dice.below(2);
        clocks_us[lane] += bench.dice.between(0, 4) * 1_000_000;
        let (at_us, written_us) =
            (clocks_us[lane] - bench.dice.between(0, 8) * 1_000_000, clocks_us[0].max(clocks_us[1]));
        let upstream = PartitionId::new(LOG, lane as i32);
        if bench.dice.chance(20) {
            let said = Mark {
                log: LOG.to_owned(),
                partition: lane as i32,
                partitions: 2,
                front_us: Some(clocks_us[lane]),
                idle: false,
            };
            for (partition, offset) in next.iter_mut().enumerate() {
                rows.push(mark("by_n", partition as i32, *offset, written_us, &said));
                *offset += 1;
            }
            continue;
        }
        let partition = bench.dice.below(2);
        let position = OutputPosition { offset: decided[lane], n: 0 };
        decided[lane] += 1;
        let n = 2 * bench.dice.between(0, 3) + partition as i64;
        let payload = format!(
            r#"{{"output_id":"{}","output_time":"{}","n":{n},"user":"u"}}"#,
            output_id("by_n", "v1", &upstream, position),
            format_rfc3339(at_us)
        );
        let place = (partition as i32, next[partition]);
        rows.push(output("by_n", &upstream, position, place, written_us, payload));
        next[partition] += 1;
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_a_stream_that_is_keyed_anew_is_decided_again_by_the_fronts_of_all_lanes() {
    for seed in (first_seed()..).take(repetitions(4, 40)) {
        println!("BRAID_SEED={seed}");
        let log = log_of("by_n");
        let mut bench = Bench::over(&format!("{CATALOG}{REKEYED}{READ_AGAIN}"), "by_n", &log, seed).await;
        let begin_us = 1_777_000_000_000_000;
        let (mut clocks_us, mut offsets) = ([begin_us, begin_us - 60_000_000], [0, 0]);
        let (mut decided_outputs, mut compared) = (0, 0);
        for _ in 0..5 {
            let rows = written(&mut bench, &mut clocks_us, &mut offsets);
            bench.archive_these("by_n", &log, &rows).await;
            bench.reads(rows);
            let decided = bench.decides(false);
            decided_outputs += bench.writes(&decided).await.get("per_n").copied().unwrap_or_default();
            let found = bench.found().await;
            assert!(found.values().all(|check| check.differences() == 0), "{seed}: {found:?}");
            compared += found["per_n"].outputs;
            if bench.dice.chance(40) {
                bench.archive().remove_all_snapshots().await.expect("removed");
            }
        }
        assert_eq!(compared, decided_outputs);
    }
}
