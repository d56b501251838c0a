//! Files that no version refers to may be about to be committed, or still be read. Those of a view are few, and sorted.

use polars::prelude::{DataType, Schema, SortMultipleOptions};
use shared_logic::contracts::batch_view::BUCKET;

use super::super::*;
use super::bench::{A_DAY, Bench, Event, Record, id, recount};
use crate::rows;

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_sorted_by_group_key_and_then_by_bucket() {
    let mut bench = Bench::new().await;
    let keys = [Some("b"), None, Some(""), Some("a")];
    let mut next = 0;
    for round in 0..6 {
        let records: Vec<Record> = (0..12)
            .map(|n| {
                let (k, at_ms) = (keys[(n * 7 + round) as usize % 4], (n * 5 + round) % 12 * 3_600_000);
                Record {
                    id: id(),
                    offset: next + n,
                    event: Some(Event { house: "h", id: 100 * round + n, at_ms, k, n: 1 }),
                }
            })
            .collect();
        bench.archive_these(&id().log, &records).await;
        next += records.len() as i64;
        bench.reconcile(&mut bench.view().await, next).await.expect("it is the only one");
        let view = bench.view().await;
        let files = view.files().await.expect("listed");
        assert!(files.len() <= 4, "{} files", files.len());
        for file in files {
            let columns: Schema =
                [("k".into(), DataType::String), (BUCKET.into(), DataType::Int64)].into_iter().collect();
            let read = view.read(std::slice::from_ref(&file), &columns).await.expect("read");
            let rows = rows::compute("read", view.path(), move || read.collect()).await.expect("decoded");
            let sorted = rows.sort(["k", BUCKET], SortMultipleOptions::default()).expect("sorted");
            assert!(rows.equals_missing(&sorted), "{rows}");
        }
    }
    assert_eq!(bench.read().await, (6, Some(72), 72));
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_a_view_is_added_to_a_day_has_few_files() {
    let mut bench = Bench::new().await;
    let mut view = bench.view().await;
    for n in 1..=40 {
        bench.archived(&[n * 30, A_DAY + n * 30]).await;
        bench.reconcile(&mut view, 2 * n).await.expect("it is the only one");
        let files = view.files().await.expect("listed");
        assert!(files.len() <= 2 * 6, "{} files after {n} reconciles", files.len());
    }
    assert_eq!(bench.read().await, (40, Some(80), 80));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_committed_yet_is_kept() {
    let mut bench = Bench::new().await;
    bench.archived(&[1]).await;
    bench.reconcile(&mut bench.view().await, 1).await.expect("it is the only one");
    bench.archived(&[2]).await;
    let mut late = bench.view().await;
    let (plan, done) = recount(&bench.reconciler, &late, &bench.archive, &Rotated::new()).await;
    assert_eq!(done.iter().map(|day| day.added.len()).sum::<usize>(), 1);
    bench.reconciler.tidy_up(bench.metric(), &late, &bench.archive).await;
    let changed = bench.reconciler.commit(bench.metric(), &mut late, plan, done).await.expect("committed");
    assert_eq!(changed.expect("it is the only one").version, 2);
    assert_eq!(bench.read().await, (2, Some(2), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_just_replaced_is_kept_for_readers_of_the_older_version() {
    let mut bench = Bench::new().await;
    let mut view = bench.view().await;
    for n in 1..=3 {
        bench.archived(&[n]).await;
        bench.reconcile(&mut view, n).await.expect("it is the only one");
    }
    let older = bench.view().await;
    let before = bench.rows_of(&older).await;
    assert_eq!(older.files().await.expect("listed").len(), 3);
    bench.archived(&[4]).await;
    bench.reconcile(&mut view, 4).await.expect("it is the only one");
    assert_eq!(view.files().await.expect("listed").len(), 1, "the small files of the day are merged");
    bench.reconciler.tidy_up(bench.metric(), &view, &bench.archive).await;
    assert_eq!(bench.rows_of(&older).await, before);
    assert_eq!(bench.read().await, (4, Some(4), 4));
}
