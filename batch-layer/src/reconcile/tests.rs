//! Reconciles on a real store, without Kafka.
//!
//! - `asked`: rebuilds that an operator asks for;
//! - `audits`: what an audit finds in a view;
//! - `bench`: an archive and a view;
//! - `by_hand`: random archives, metrics and faults, and reconciles at once, against a count by hand;
//! - `changes`: catalogs that come and go, whose rules differ (R11);
//! - `copies`: which copies are added, left out, or make an hour be recomputed;
//! - `drift`: what speed had said in a real Redis, compared with what is found;
//! - `elsewhere`: what a cluster is asked for;
//! - `ended_logs`: what logs cost that are over;
//! - `erasures`: what was erased, in views, rebuilds and indexes;
//! - `imports`: files beside a topic;
//! - `index`: an index of identities that is missing, behind, of another archive, or extended by two at once;
//! - `kept_files`: which files are kept, and how they are sorted and merged;
//! - `maintained`: archivers, reconciles and maintenance at once, and a busy day;
//! - `rebuilds`: views of another definition, counted in steps;
//! - `rejections`: the invalid records of an archive;
//! - `reports`: what reports write of views, and what they wait for;
//! - `retired`: days that are older than `retain`;
//! - `rolled_back`: views of an older version, and their pauses;
//! - `s3`: archive and view on S3, whose requests meet with faults;
//! - `verified`: what is counted first for a version, and how it is verified;
//! - `with_shards`: what is asked of the shards in a real Redis, and when;
//! - `witnesses`: how a slice is confirmed;
//! - `work`: how much is read.

mod asked;
mod audits;
mod bench;
mod by_hand;
mod changes;
mod copies;
mod drift;
mod elsewhere;
mod ended_logs;
mod erasures;
mod imports;
mod index;
mod kept_files;
mod maintained;
mod rebuilds;
mod rejections;
mod reports;
mod retired;
mod rolled_back;
mod s3;
mod verified;
mod with_shards;
mod witnesses;
mod work;

use shared_logic::log::Offsets;

use self::bench::Bench;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn view_and_cut_are_one_commit() {
    let mut bench = Bench::new().await;
    for round in 1..=3 {
        bench.archived(&[10 * round, 10 * round + 1]).await;
        let changed = bench.reconcile(&mut bench.view().await, 2 * round).await.expect("it is the only one");
        assert_eq!(changed.version, round as u64, "one version of the view for each reconcile");
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
    let view = &view;
    let counted = async |task: &DayTask| {
        let done = bench.reconciler.count(task, &bench.archive, view, &bench.reconciler.room()).await.expect("counted");
        let [file] = <[DataFile; 1]>::try_from(done.added).expect("a file");
        (file.rows, done.replaced.len(), done.work)
    };
    assert_eq!(counted(&task).await, counted(&received).await);
    assert_eq!(counted(&task).await.0, 2, "two buckets have events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_says_which_rows_are_added_and_which_are_replaced() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2]).await;
    bench.reconcile(&mut bench.view().await, 2).await.expect("it is the only one");
    bench.archived(&[3, 70]).await;
    let view = bench.view().await;
    let files = view.files().await.expect("listed");
    let (plan, done) = bench::recount(&bench.reconciler, &view, &bench.archive, &Rotated::new()).await;
    let [task] = plan.tasks.as_slice() else { panic!("{:?}", plan.tasks) };
    assert_eq!((&task.rows, task.counted.as_ref(), &task.cut), (&files, Some(&cut_at(2)), &cut_at(4)));
    assert_eq!((done[0].added[0].rows, done[0].replaced.as_slice()), (2, [].as_slice()), "they are added");
    // The same day, of which one hour is to be recomputed in any case.
    let task = DayTask { units: [0].into(), ..task.clone() };
    let done = bench.reconciler.count(&task, &bench.archive, &view, &bench.reconciler.room()).await.expect("counted");
    assert_eq!(done.added.iter().map(|file| file.rows).sum::<u64>(), 2, "a bucket of that hour, and one of the next");
    assert_eq!(done.replaced, files);
    assert_eq!((done.work.added, done.work.recomputed), (2, 1));
}

/// A cut of the one partition.
fn cut_at(offset: i64) -> Offsets {
    [(bench::id(), offset)].into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_which_no_rows_are_left_has_no_file() {
    let mut bench = Bench::new().await;
    bench.archived(&[1]).await;
    let task = DayTask { events: Vec::new(), ..bench.task().await };
    let done = bench
        .reconciler
        .count(&task, &bench.archive, &bench.view().await, &bench.reconciler.room())
        .await
        .expect("counted");
    assert!(done.added.is_empty() && done.replaced.is_empty(), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_another_definition_is_refused() {
    let mut bench = Bench::new().await;
    bench.archived(&[1]).await;
    let task = DayTask { definition: "00000000000000aa".parse().expect("16 digits"), ..bench.task().await };
    let (catalog, view) = (&bench.reconciler.catalog, bench.view().await);
    let refused = task.count(catalog, &bench.archive, &view, &Room::new(100), None).await;
    assert!(matches!(refused, Err(DayError::OtherDefinition { .. })));
}
