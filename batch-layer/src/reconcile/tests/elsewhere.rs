//! What a cluster is asked for, and what is counted here all the same. The program that asks is not there, so whatever is asked fails.

use shared_logic::log::PartitionId;

use super::super::*;
use super::bench::{Bench, CATALOG, Event, Record, id, recount};
use crate::cluster::ClusterError;

/// The same reconciler with a cluster, which is asked from so many rows on.
fn asking(bench: &Bench, rows_min: u64) -> Reconciler {
    let mut settings = Settings::default();
    settings.reconcile.engine = "ballista://localhost:1".parse().expect("an engine");
    settings.cluster.program = "braid-cluster-that-is-not-built".into();
    settings.cluster.rows_min = rows_min;
    Reconciler { cluster: Cluster::of(&settings), ..bench.reconciler.clone() }
}

/// With a measure that SQL has no law for.
fn with_a_sketch() -> String {
    format!("{CATALOG}kinds = \"distinct(id)\"\n")
}

fn is_asked<T>(counted: &Result<T, MetricError>) -> bool {
    let Err(MetricError::Day { source: DayError::Cluster(error), .. }) = counted else { return false };
    matches!(error, ClusterError::NoProgram { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_counted_anew_is_asked_for_if_it_is_large_enough_and_can_be_said_in_sql() {
    // From so many rows on, of the metric of such a catalog, the cluster is asked for four events.
    let cases = [(CATALOG.to_owned(), 4, true), (CATALOG.to_owned(), 5, false), (with_a_sketch(), 0, false)];
    for (catalog, rows_min, expected) in cases {
        let mut bench = Bench::of(&catalog, Settings::default(), &[id()]).await;
        bench.archived(&[1, 2, 1, 70]).await;
        let (reconciler, task, view) = (asking(&bench, rows_min), bench.task().await, bench.view().await);
        let counted = reconciler.count(&task, &bench.archive, &view, &reconciler.room()).await;
        assert_eq!(is_asked(&counted), expected, "from {rows_min} rows on: {counted:?}");
        if let Ok(done) = counted {
            let rows = done.added.iter().map(|file| file.rows).sum::<u64>();
            assert_eq!((rows, done.work.recomputed, done.work.elsewhere), (2, 24, 0), "it is counted here");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_files_is_not_asked_for() {
    let mut bench = Bench::new().await;
    bench.archived(&[1]).await;
    let task = DayTask { events: Vec::new(), ..bench.task().await };
    let (reconciler, view) = (asking(&bench, 0), bench.view().await);
    let done = reconciler.count(&task, &bench.archive, &view, &reconciler.room()).await.expect("counted here");
    assert!(done.added.is_empty(), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_makes_the_index_besides_unless_the_cluster_counts_the_metric() {
    // Whether a rebuild is asked of the cluster, and whether it makes the index.
    let cases = [
        (CATALOG.to_owned(), 0, true, false),
        (CATALOG.to_owned(), 100, false, false),
        (with_a_sketch(), 0, false, true),
    ];
    for (catalog, rows_min, expected, makes_index) in cases {
        let mut bench = Bench::of(&catalog, Settings::default(), &[id()]).await;
        bench.archived(&[1, 2, 1, 70]).await;
        let (reconciler, view, now) = (asking(&bench, rows_min), bench.view().await, Instant::now());
        let stop = CancellationToken::new();
        let turn = Turn { wait_until: now, until: now, stop: &stop };
        let rotated = Rotated::from([(id(), vec![4])]);
        let counted = reconciler.step(bench.metric(), &view, &bench.archive, &rotated, &turn).await;
        assert_eq!(is_asked(&counted), expected, "from {rows_min} rows on: {counted:?}");
        if let Ok(rebuild) = counted {
            assert_eq!((rebuild.is_whole(), rebuild.identities().is_some()), (true, makes_index));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_of_which_copies_are_compared_with_the_speed_layer_are_counted_here() {
    let [first, second] = [0, 1].map(|partition| PartitionId::new("log", partition));
    let mut bench = Bench::with(Settings::default(), &[first.clone(), second.clone()]).await;
    let event = |n| Some(Event { house: "h", id: 1, at_ms: 60_000, k: Some("a"), n });
    bench.archive_these("log", &[Record { id: second, offset: 0, event: event(1) }]).await;
    let mut view = bench.view().await;
    let (plan, done) = recount(&bench.reconciler, &view, &bench.archive, &Rotated::new()).await;
    bench.reconciler.commit(bench.metric(), &mut view, plan, done).await.expect("committed");
    // An older copy, so that the hour is counted anew.
    bench.archive_these("log", &[Record { id: first, offset: 0, event: event(7) }]).await;
    let reconciler = asking(&bench, 0);
    let (plan, done) = recount(&reconciler, &view, &bench.archive, &Rotated::new()).await;
    assert_eq!((done[0].work.recomputed, done[0].work.elsewhere), (1, 0));
    let [task] = plan.tasks.as_slice() else { panic!("{:?}", plan.tasks) };
    assert!(task.compared);
    let task = DayTask { compared: false, ..task.clone() };
    let counted = reconciler.count(&task, &bench.archive, &view, &reconciler.room()).await;
    assert!(is_asked(&counted), "{counted:?}");
}
