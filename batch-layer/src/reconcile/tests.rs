//! Reconciles on a real store, without Kafka.
//!
//! - `bench`: an archive and a view;
//! - `by_hand`: random archives, and reconciles at once, against a count by hand;
//! - `ended_logs`: what logs cost that are over;
//! - `kept_files`: which files are kept;
//! - `rebuilds`: views of another definition, counted in steps;
//! - `with_shards`: what is asked of the shards in a real Redis, and when;
//! - `witnesses`: how a slice is confirmed.

mod bench;
mod by_hand;
mod ended_logs;
mod kept_files;
mod rebuilds;
mod with_shards;
mod witnesses;

use self::bench::Bench;
use super::recompute::DayTask;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn view_and_cut_are_one_commit() {
    let mut bench = Bench::new().await;
    for round in 1..=3 {
        bench.archived(&[10 * round, 10 * round + 1]).await;
        let replaced = bench.reconcile(&mut bench.view().await, 2 * round).await.expect("it is the only one");
        assert_eq!(replaced.version, round as u64, "one version of the view for each reconcile");
        assert_eq!(bench.read().await, (round as u64, Some(2 * round), 2 * round));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_never_falls_and_counts_what_lies_below_it() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 3, 4]).await;
    bench.reconcile(&mut bench.view().await, 3).await.expect("it is the only one");
    assert_eq!(bench.read().await, (1, Some(3), 3), "what is archived beyond the cut is not in the view");
    // A shard that went back in time.
    bench.reconcile(&mut bench.view().await, 1).await.expect("it is the only one");
    assert_eq!(bench.read().await, (2, Some(3), 3));
    bench.reconcile(&mut bench.view().await, 4).await.expect("it is the only one");
    assert_eq!(bench.read().await, (3, Some(4), 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_counts_once_whichever_reconcile_meets_it() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 1]).await;
    bench.reconcile(&mut bench.view().await, 3).await.expect("it is the only one");
    assert_eq!(bench.read().await, (1, Some(3), 2));
    bench.archived(&[2, 3]).await;
    bench.reconcile(&mut bench.view().await, 5).await.expect("it is the only one");
    assert_eq!(bench.read().await, (2, Some(5), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_reconciles_at_once_one_commits_and_the_other_plans_anew() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2]).await;
    let (mut one, mut other) = (bench.view().await, bench.view().await);
    bench.reconcile(&mut one, 1).await.expect("the first commits");
    assert_eq!(bench.reconcile(&mut other, 2).await, None, "it planned on an older view");
    assert_eq!(bench.read().await, (1, Some(1), 1));
    assert!(other.refresh().await.expect("read"));
    bench.reconcile(&mut other, 2).await.expect("it is the only one now");
    assert_eq!(bench.read().await, (2, Some(2), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_sent_elsewhere_is_the_same_and_gives_the_same_rows() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 1, 70]).await;
    let (task, view) = (bench.task().await, bench.view().await);
    let text = serde_json::to_string(&task).expect("written");
    let received: DayTask = serde_json::from_str(&text).expect("read");
    assert_eq!(received, task);
    let catalog = &bench.reconciler.catalog;
    let (here, there) = (
        task.recompute(catalog, &bench.archive, &view).await,
        received.recompute(catalog, &bench.archive, &view).await,
    );
    let rows = |file: Result<Option<DataFile>, DayError>| file.expect("recomputed").expect("a file").rows;
    assert_eq!((rows(here), rows(there)), (2, 2), "two hours have events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_which_no_rows_are_left_has_no_file() {
    let mut bench = Bench::new().await;
    bench.archived(&[1]).await;
    let task = DayTask { events: Vec::new(), ..bench.task().await };
    let file = task.recompute(&bench.reconciler.catalog, &bench.archive, &bench.view().await).await;
    assert_eq!(file.expect("recomputed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_another_definition_is_refused() {
    let mut bench = Bench::new().await;
    bench.archived(&[1]).await;
    let task = DayTask { definition: "00000000000000aa".parse().expect("16 digits"), ..bench.task().await };
    let refused = task.recompute(&bench.reconciler.catalog, &bench.archive, &bench.view().await).await;
    assert!(matches!(refused, Err(DayError::OtherDefinition { .. })));
}
