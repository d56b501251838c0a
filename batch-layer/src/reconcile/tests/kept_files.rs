//! Files that no version refers to may be about to be committed, or still be read.

use super::super::*;
use super::bench::{Bench, recount};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_committed_yet_is_kept() {
    let mut bench = Bench::new().await;
    bench.archived(&[1]).await;
    bench.reconcile(&mut bench.view().await, 1).await.expect("it is the only one");
    bench.archived(&[2]).await;
    let mut late = bench.view().await;
    let (plan, files) = recount(&bench.reconciler, &late, &bench.archive, &Rotated::new()).await;
    assert_eq!(files.len(), 1);
    bench.reconciler.tidy_up(bench.metric(), &late).await;
    let replaced = bench.reconciler.commit(bench.metric(), &mut late, plan, files).await.expect("committed");
    assert_eq!(replaced.expect("it is the only one").version, 2);
    assert_eq!(bench.read().await, (2, Some(2), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_just_replaced_is_kept_for_readers_of_the_older_version() {
    let mut bench = Bench::new().await;
    bench.archived(&[1]).await;
    bench.reconcile(&mut bench.view().await, 1).await.expect("it is the only one");
    let older = bench.view().await;
    let before = bench.rows_of(&older).await;
    bench.archived(&[2]).await;
    let mut view = bench.view().await;
    bench.reconcile(&mut view, 2).await.expect("it is the only one");
    bench.reconciler.tidy_up(bench.metric(), &view).await;
    assert_eq!(bench.rows_of(&older).await, before);
    assert_eq!(bench.read().await, (2, Some(2), 2));
}
