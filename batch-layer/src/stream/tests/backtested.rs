//! What a definition would have written.

use platform::registry::Registry;
use platform::settings::Settings;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::backtest::{N, OFFSET, PARTITION, PAYLOAD};
use shared_logic::stream::DecidedKind;
use shared_logic::time::TimeRange;
use storage::Schemas;
use test_kit::{first_seed, repetitions};

use super::bench::{Bench, CATALOG, Output};
use crate::erase::Condition;
use crate::erase::commits::TakingOut;
use crate::progress::Progress;
use crate::stream::backtest::{BacktestError, BacktestReport, backtest};

pub(super) async fn tried(bench: &Bench, stream: &str, times: TimeRange) -> BacktestReport {
    let Bench { settings, storage, catalog, .. } = bench;
    backtest(settings, storage, catalog, stream, times, &Progress::default()).await.expect("made")
}

/// The outputs of the table: partition, offset, n and payload, in order.
pub(super) async fn table(bench: &Bench, stream: &str) -> Vec<(i32, i64, i64, Vec<u8>)> {
    let table = bench.storage.create_backtest(stream).await.expect("opened");
    let rows = table.rows().await.expect("read").collect().expect("rows");
    let (partitions, offsets) = (rows.column(PARTITION).expect("there"), rows.column(OFFSET).expect("there"));
    let (numbers, payloads) = (rows.column(N).expect("there"), rows.column(PAYLOAD).expect("there"));
    let row = |row: usize| {
        let payload = payloads.binary().expect("bytes").get(row).expect("a payload").to_vec();
        let numbers = [offsets, numbers].map(|column| column.i64().expect("integers").get(row).expect("a number"));
        (partitions.i32().expect("integers").get(row).expect("a number"), numbers[0], numbers[1], payload)
    };
    let mut rows: Vec<_> = (0..rows.height()).map(row).collect();
    rows.sort_unstable();
    rows
}

/// The same of what lanes have decided.
fn rows_of(bench: &Bench, stream: &str, outputs: &[Output]) -> Vec<(i32, i64, i64, Vec<u8>)> {
    let of_stream = outputs.iter().filter(|(_, decided)| bench.stream(decided) == stream);
    let of_stream = of_stream.filter(|(_, decided)| decided.kind == DecidedKind::Output);
    let mut rows: Vec<_> = of_stream
        .map(|(id, decided)| {
            let position = decided.position;
            (id.partition, position.offset, i64::from(position.n), decided.payload.clone())
        })
        .collect();
    rows.sort_unstable();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_writes_what_lanes_do_and_replaces_the_one_before() {
    for seed in (first_seed()..).take(repetitions(3, 30)) {
        println!("BRAID_SEED={seed}");
        let mut bench = Bench::new(CATALOG, seed).await;
        let mut outputs = Vec::new();
        for _ in 0..3 {
            bench.arrives(80).await;
            let decided = bench.decides(true);
            bench.writes(&decided).await;
            outputs.extend(decided);
            for stream in ["large", "sums", "bursts"] {
                let report = tried(&bench, stream, TimeRange::ALL).await;
                let expected = rows_of(&bench, stream, &outputs);
                assert_eq!(table(&bench, stream).await, expected, "{seed}, {stream}");
                assert_eq!(report.outputs(), expected.len() as u64);
                let compared = report.compared.expect("it is archived");
                assert_eq!((compared.outputs, compared.missing), (expected.len() as u64, 0), "{compared:?}");
                assert_eq!((compared.extra, compared.different), (0, 0), "{compared:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_of_some_time_writes_the_same_of_it_since_it_reads_what_was_before() {
    for seed in (first_seed()..).take(repetitions(3, 30)) {
        println!("BRAID_SEED={seed}");
        let mut bench = Bench::new(CATALOG, seed).await;
        let mut outputs = Vec::new();
        for _ in 0..4 {
            bench.arrives(80).await;
            outputs.extend(bench.decides(true));
        }
        let middle_us = bench.now_us() - 200 * 1_000_000;
        let times = TimeRange { from_us: middle_us, to_us: middle_us + 100 * 1_000_000 };
        for stream in ["large", "sums", "bursts"] {
            let report = tried(&bench, stream, times).await;
            let is_within = |(partition, offset, ..): &(i32, i64, i64, Vec<u8>)| {
                let mut of = report.partitions.iter().filter(|known| known.partition == *partition);
                of.any(|known| (known.from..known.to).contains(offset))
            };
            let mut expected = rows_of(&bench, stream, &outputs);
            expected.retain(is_within);
            assert_eq!(table(&bench, stream).await, expected, "{seed}, {stream}: {:?}", report.partitions);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_definition_is_compared_with_what_was_published() {
    let mut bench = Bench::new(CATALOG, 2).await;
    bench.arrives(200).await;
    let outputs = bench.decides(true);
    bench.writes(&outputs).await;
    let stricter = CATALOG.replace("where = \"n > 5\"", "where = \"n > 7\"");
    bench.catalog = Catalog::parse(&stricter).expect("a valid catalog");
    let report = tried(&bench, "large", TimeRange::ALL).await;
    let before = rows_of(&bench, "large", &outputs).len() as u64;
    let compared = report.compared.clone().expect("it is archived");
    assert!(report.outputs() < before, "{report}");
    assert_eq!((compared.missing, compared.extra), (0, before - report.outputs()), "{report}");
    assert_eq!(compared.outputs, report.outputs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_of_before_an_erasure_is_emptied_and_one_that_was_made_since_is_not() {
    let mut bench = Bench::new(CATALOG, 4).await;
    bench.arrives(200).await;
    tried(&bench, "large", TimeRange::ALL).await;
    let before = table(&bench, "large").await;
    assert!(!before.is_empty());
    let (source, mut archive) = (bench.source("s"), bench.archive().clone());
    let condition = Condition::parse(&source, "n > 5", None).expect("a condition");
    let schemas = Schemas::new(&bench.storage, "s", &Registry::new(&bench.settings.registry));
    TakingOut::new(&source, schemas, &condition, 9).run(&mut archive).await.expect("erased");
    let erasure = archive.facts().erasure(condition.id()).cloned().expect("noted");
    assert_eq!(table(&bench, "large").await, before, "so far it is only erased from the archive");
    let forgotten = async || bench.storage.forget_backtests("s", &erasure).await.expect("emptied");
    assert_eq!(forgotten().await, ["backtest/large"]);
    assert!(table(&bench, "large").await.is_empty());
    assert!(forgotten().await.is_empty(), "a second time there is nothing to do");
    tried(&bench, "sums", TimeRange::ALL).await;
    let since = table(&bench, "sums").await;
    assert!(forgotten().await.is_empty());
    assert_eq!(table(&bench, "sums").await, since);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_declares_is_refused_with_those_that_there_are() {
    let bench = Bench::new(CATALOG, 1).await;
    let Bench { storage, catalog, .. } = &bench;
    let refused = backtest(&Settings::default(), storage, catalog, "larg", TimeRange::ALL, &Progress::default()).await;
    let Err(BacktestError::UnknownStream { known, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(*known, ["bursts", "large", "sums"]);
}
