//! Views of another definition: counted day by day beside the view, and never twice.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use storage::Rebuild;

use super::super::*;
use super::bench::{A_DAY, Bench, hourly, id, recount};

/// An archive of three days with two events each, and a view of another definition than [`hourly`]'s, up to that slice.
async fn bench(slice: i64) -> Bench {
    let mut bench = Bench::new().await;
    bench.archived(&[1, A_DAY, 2 * A_DAY, 2, A_DAY + 1, 2 * A_DAY + 1]).await;
    bench.reconcile(&mut bench.view().await, slice).await.expect("it is the only one");
    bench
}

/// Goes on with a rebuild, up to that slice if it begins only now, by one day; as a process that has just been started does.
async fn one_day(bench: &Bench, reconciler: &Reconciler, slice: i64) -> Rebuild {
    let (stop, now) = (CancellationToken::new(), Instant::now());
    let turn = Turn { wait_until: now, until: now, stop: &stop };
    let rotated = Rotated::from([(id(), vec![slice])]);
    let (metric, view) = (&reconciler.catalog.metrics["m"], bench.view().await);
    let step = reconciler.step(metric, &view, &bench.archive, &rotated, &turn);
    step.await.expect("advanced")
}

/// The Parquet files of the view's table, whatever version they belong to.
fn files(bench: &Bench) -> Vec<PathBuf> {
    fn below(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
    }
    let all = below(bench.folder.path()).into_iter();
    all.filter(|path| path.extension().is_some_and(|ext| ext == "parquet") && is_of_view(path)).collect()
}

fn is_of_view(path: &Path) -> bool {
    let mut folders = path.components().map(|part| part.as_os_str());
    folders.any(|name| name == "views") && !folders.any(|name| name == "_delta_log")
}

/// Commits what is counted, with a shard that has this slice.
async fn committed(bench: &Bench, reconciler: &Reconciler, slice: i64) -> Option<Changed> {
    let mut view = bench.view().await;
    let (plan, done) = recount(reconciler, &view, &bench.archive, &Rotated::from([(id(), vec![slice])])).await;
    let committed = reconciler.commit(&reconciler.catalog.metrics["m"], &mut view, plan, done).await;
    committed.expect("committed, or too late")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_ends_between_two_days_repeats_none_of_them() {
    let bench = bench(6).await;
    let newer = hourly(&bench.reconciler);
    let (before, progress) = (files(&bench).len(), newer.progress().clone());
    for done in 1..=3 {
        let rebuild = one_day(&bench, &newer, 6).await;
        assert_eq!(progress.said(), format!("m: {done} of 3 days, {done} rows"));
        assert_eq!((rebuild.done(), rebuild.is_whole(), files(&bench).len()), (done, done == 3, before + done));
        assert_eq!(bench.read().await, (1, Some(6), 6), "the view is as it was");
    }
    let changed = committed(&bench, &newer, 6).await.expect("it is the only one");
    assert!(matches!(changed, Changed { version: 2, days: 3, rows: 3, rebuilt: true, .. }), "{changed:?}");
    assert_eq!((bench.read().await, files(&bench).len()), ((2, Some(6), 6), before + 3));
    let view = bench.view().await;
    let note = view.note().expect("committed");
    assert_eq!(note.definition, newer.catalog.definition(&newer.catalog.metrics["m"]));
    assert_eq!(view.files().await.expect("listed").len(), 3, "nothing of the older view is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_unfinished_rebuild_are_no_orphans() {
    let bench = bench(6).await;
    let newer = hourly(&bench.reconciler);
    let definition = |of: &Reconciler| of.catalog.definition(&of.catalog.metrics["m"]);
    one_day(&bench, &newer, 6).await;
    let hours_ago =
        UNIX_EPOCH + Duration::from_micros(platform::clock::now_us() as u64) - Duration::from_secs(2 * 3600);
    for path in files(&bench) {
        let file = std::fs::File::options().write(true).open(path).expect("a file");
        file.set_modified(hours_ago).expect("dated");
    }
    let (view, older) = (bench.view().await, definition(&bench.reconciler));
    for own in [&older, &definition(&newer)] {
        assert_eq!(view.remove_orphans(own).await.expect("looked"), 0);
    }
    assert_eq!(view.rebuild(&definition(&newer)).await.expect("read").expect("kept").done(), 1);
    view.forget_rebuild(&definition(&newer)).await.expect("forgotten");
    assert_eq!(view.remove_orphans(&older).await.expect("removed"), 1, "now it is one");
    assert_eq!(bench.read().await, (1, Some(6), 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_becomes_the_view_at_a_cut_that_is_not_below_the_newest_views() {
    let bench = bench(1).await;
    let newer = hourly(&bench.reconciler);
    for done in 1..=2 {
        assert_eq!(one_day(&bench, &newer, 2).await.done(), done);
    }
    let mut view = bench.view().await;
    let rotated = Rotated::from([(id(), vec![2])]);
    let (plan, done) = recount(&newer, &view, &bench.archive, &rotated).await;
    // A reconcile with the older catalog commits first, and raises the cut.
    bench.reconcile(&mut bench.view().await, 5).await.expect("it commits first");
    let metric = &newer.catalog.metrics["m"];
    assert_eq!(newer.commit(metric, &mut view, plan, done).await.expect("tried"), None, "planned on an older view");
    let changed = committed(&bench, &newer, 2).await.expect("it is the only one now");
    assert_eq!((changed.rebuilt, changed.work.added, changed.work.recomputed), (true, 3, 0));
    assert_eq!(bench.read().await, (3, Some(5), 5), "the events from 2 to 5 are added");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_whose_cut_is_above_that_of_its_view_counts_nothing_above_it() {
    let bench = bench(1).await;
    let newer = hourly(&bench.reconciler);
    for done in 1..=3 {
        assert_eq!(one_day(&bench, &newer, 6).await.done(), done);
    }
    let changed = committed(&bench, &newer, 2).await.expect("it is the only one");
    assert_eq!((changed.work.added, changed.work.recomputed), (0, 3), "an hour of each day");
    assert_eq!(bench.read().await, (2, Some(2), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_of_an_archive_that_is_gone_is_begun_anew() {
    let bench = bench(1).await;
    let newer = hourly(&bench.reconciler);
    let view = bench.view().await;
    let mut rebuild = one_day(&bench, &newer, 6).await;
    rebuild.cut.set(id(), 7);
    view.keep_rebuild(&rebuild).await.expect("kept");
    let again = one_day(&bench, &newer, 6).await;
    assert_eq!((again.cut.get(&id()), again.done()), (Some(6), 1));
}
