//! An index of identities is derived data: where it is missing, behind, or of another archive, nothing is counted twice.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use shared_logic::identity::Identity;
use storage::{Identities, Rebuild};

use super::super::*;
use super::bench::{A_DAY, Bench, id};
use super::erasures::erase;

/// Where the index lies.
fn folder(bench: &Bench) -> PathBuf {
    let deployment = bench.folder.path().join(&bench.reconciler.catalog.deployment.name);
    deployment.join(bench.archive.path()).join("_identities").join(bench.source().rules().to_string())
}

/// The lists of the index, in order.
fn lists(bench: &Bench) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(bench)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut lists: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "json")).collect();
    lists.sort();
    lists
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("listed");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("copied");
        }
    }
}

/// Writes zeros over the runs of the index.
fn damage_runs(bench: &Bench) {
    for run in std::fs::read_dir(folder(bench).join("1970-01-01")).expect("a folder") {
        let run = run.expect("listed").path();
        let size = std::fs::metadata(&run).expect("it is there").len();
        std::fs::write(&run, vec![0; size as usize]).expect("written");
    }
}

/// The index up to that offset, and how many archive rows were read for it.
async fn up_to(bench: &Bench, offset: i64) -> (Identities, u64) {
    let files = bench.reconciler.files(&bench.archive, bench.source()).await.expect("read");
    let cut = [(id(), offset)].into_iter().collect();
    identities::up_to(&cut, &bench.archive, bench.source(), &files, 100).await.expect("extended")
}

/// Counts a view beside the one that is there, up to that slice, by one day at a time: each time as a process that has just been started.
async fn rebuilt(bench: &Bench, slice: i64) -> Rebuild {
    let (stop, rotated) = (CancellationToken::new(), Rotated::from([(id(), vec![slice])]));
    loop {
        let (view, now) = (bench.view().await, Instant::now());
        let turn = Turn { wait_until: now, until: now, stop: &stop };
        let rebuild = bench.reconciler.step(bench.metric(), &view, &bench.archive, &rotated, &turn).await;
        let rebuild = rebuild.expect("counted");
        if rebuild.is_whole() {
            return rebuild;
        }
    }
}

/// A bench without a view that has archived eight records of two days. Of the first seven, one event is there three times and one twice.
async fn of_two_days() -> Bench {
    let mut bench = Bench::new().await;
    for id in [1, A_DAY, 2, A_DAY, 1, A_DAY + 1, 1, 3] {
        bench.archived(&[id]).await;
    }
    bench
}

/// The offsets of the copies that an index names of the events with these ids.
async fn named(bench: &Bench, index: &Identities, ids: &[i64]) -> BTreeSet<(i64, i64)> {
    let identity = |of: i64| Identity::of([b"h".as_slice(), &of.to_le_bytes()], of * 60_000_000);
    let mut wanted: Vec<(Identity, i64)> = ids.iter().map(|of| (identity(*of), *of)).collect();
    wanted.sort_unstable();
    let identities: Vec<Identity> = wanted.iter().map(|(identity, _)| *identity).collect();
    let mut named = BTreeSet::new();
    for run in index.days.values().flatten() {
        let found = bench.archive.find(run, &identities).await.expect("read");
        named.extend(found.places.into_iter().map(|(at, _, offset)| (wanted[at].1, offset)));
    }
    named
}

/// A bench that has archived some events, in commits of two, and a view that counts the first two.
async fn bench() -> Bench {
    let mut bench = Bench::new().await;
    for ids in [[1, 2], [3, 1], [2, 4], [3, 5]] {
        bench.archived(&ids).await;
    }
    bench.reconcile(&mut bench.view().await, 2).await.expect("it is the only one");
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_extended_by_what_is_new() {
    let bench = bench().await;
    assert_eq!(up_to(&bench, 2).await.1, 2);
    assert_eq!(up_to(&bench, 2).await.1, 0, "it was kept");
    assert_eq!(up_to(&bench, 6).await.1, 4);
    let (index, rows_read) = up_to(&bench, 4).await;
    assert_eq!((rows_read, index.covered.get(&id())), (0, Some(6)), "another metric may be further");
    assert_eq!(index.runs("1970-01-01").iter().map(|run| run.rows).sum::<u64>(), 6, "a run each time");
    assert_eq!(lists(&bench).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_begins_with_what_a_rebuild_has_counted_and_is_the_one_that_is_read() {
    let bench = of_two_days().await;
    rebuilt(&bench, 7).await;
    let changed = bench.reconcile(&mut bench.view().await, 7).await.expect("it is the only one");
    assert_eq!((changed.rebuilt, changed.work.rows_read), (true, 0), "nothing is read a second time");
    assert_eq!(bench.read().await, (1, Some(7), 4));
    let (begun, rows_read) = up_to(&bench, 7).await;
    assert_eq!(rows_read, 0);
    let ids = [1, 2, 3, A_DAY, A_DAY + 1];
    let all = BTreeSet::from([(1, 0), (1, 6), (2, 2), (A_DAY, 1), (A_DAY, 3), (A_DAY + 1, 5)]);
    assert_eq!(named(&bench, &begun, &ids).await, all);
    std::fs::remove_dir_all(folder(&bench)).expect("removed");
    let (read, rows_read) = up_to(&bench, 7).await;
    assert_eq!(rows_read, 7);
    let noted = |index: &Identities| (index.covered.clone(), index.held.clone(), index.lasts_from.clone());
    assert_eq!(noted(&begun), noted(&read));
    assert_eq!(named(&bench, &read, &ids).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_read_where_a_rebuild_has_not_made_all_of_it() {
    for lacks in ["a day", "a run", "an index"] {
        let bench = of_two_days().await;
        if lacks == "an index" {
            // There is one already.
            up_to(&bench, 2).await;
        }
        let mut rebuild = rebuilt(&bench, 7).await;
        assert_eq!(rebuild.identities().is_some(), lacks != "an index");
        match lacks {
            "a day" => {
                rebuild.days.get_mut("1970-01-01").expect("it is counted").identities = None;
                bench.view().await.keep_rebuild(&rebuild).await.expect("kept");
            }
            "a run" => std::fs::remove_dir_all(folder(&bench).join("1970-01-02")).expect("removed"),
            _ => {}
        }
        let changed = bench.reconcile(&mut bench.view().await, 7).await.expect("it is the only one");
        assert_eq!(changed.work.rows_read, if lacks == "an index" { 5 } else { 7 }, "{lacks}");
        assert_eq!(bench.read().await, (1, Some(7), 4), "{lacks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_begins_without_what_was_erased_since_a_rebuild_had_counted_it() {
    let mut bench = of_two_days().await;
    rebuilt(&bench, 7).await;
    assert_eq!(erase(&mut bench, "id = 1", 9).await.events, 3);
    rebuilt(&bench, 7).await;
    bench.reconcile(&mut bench.view().await, 7).await.expect("it is the only one");
    let (begun, rows_read) = up_to(&bench, 7).await;
    let left = BTreeSet::from([(2, 2), (A_DAY, 1), (A_DAY, 3), (A_DAY + 1, 5)]);
    assert_eq!((named(&bench, &begun, &[1, 2, A_DAY, A_DAY + 1]).await, rows_read), (left, 0));
    assert_eq!(bench.read().await, (1, Some(7), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_index_is_built_anew_and_one_that_is_behind_is_extended() {
    let bench = bench().await;
    for slice in 3..=8 {
        match slice {
            4 => std::fs::remove_dir_all(folder(&bench)).expect("removed"),
            5 => std::fs::remove_file(lists(&bench).pop().expect("a list")).expect("removed"),
            6 => std::fs::remove_dir_all(folder(&bench).join("1970-01-01")).expect("removed"),
            7 => std::fs::write(lists(&bench).pop().expect("a list"), "{").expect("written"),
            _ => {}
        }
        bench.reconcile(&mut bench.view().await, slice).await.expect("it is the only one");
    }
    assert_eq!(bench.read().await, (7, Some(8), 5), "five events, three of them twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_damaged_fails_one_reconcile_and_the_next_builds_the_index_anew() {
    let bench = bench().await;
    up_to(&bench, 2).await;
    damage_runs(&bench);
    let view = bench.view().await;
    let counted = bench.reconciler.counted(bench.metric(), &view, &bench.archive, false).await;
    let (counted, rotated) = (counted.expect("read").expect("its own view"), Rotated::from([(id(), vec![4])]));
    let failed = bench.reconciler.recount(bench.metric(), &view, &counted, &bench.archive, &rotated).await;
    assert!(matches!(failed, Err(MetricError::Day { .. })), "{failed:?}");
    bench.reconcile(&mut bench.view().await, 4).await.expect("it is the only one");
    assert_eq!(bench.read().await, (2, Some(4), 3), "three events, one of them twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_damaged_before_it_is_merged_is_made_anew_with_the_next_index() {
    let bench = bench().await;
    for offset in [2, 4, 6] {
        up_to(&bench, offset).await;
    }
    damage_runs(&bench);
    let files = bench.reconciler.files(&bench.archive, bench.source()).await.expect("read");
    let cut = [(id(), 8)].into_iter().collect();
    let failed = identities::up_to(&cut, &bench.archive, bench.source(), &files, 100).await;
    assert!(failed.is_err(), "the fourth run is merged with them");
    let (index, rows_read) = up_to(&bench, 8).await;
    assert_eq!((index.covered.get(&id()), rows_read), (Some(8), 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_an_archive_that_went_back_is_built_anew() {
    let bench = bench().await;
    up_to(&bench, 8).await;
    for (version, covered) in [(bench.archive.version() + 1, 8), (bench.archive.version(), 9)] {
        let rules = bench.source().rules();
        let mut kept = bench.archive.identities(&rules).await.expect("read");
        kept.archive_version = version;
        kept.covered.set(id(), covered);
        assert!(bench.archive.keep_identities(&rules, &mut kept).await.expect("tried"));
        let (anew, rows_read) = up_to(&bench, 8).await;
        assert_eq!((rows_read, anew.covered.get(&id()), anew.archive_version), (8, Some(8), bench.archive.version()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_holds_what_the_archive_has_lost_since_it_was_put_back_is_built_anew() {
    let (before, mut bench) = (bench().await, Bench::new().await);
    up_to(&before, 8).await;
    // An older copy of that archive is put back, the index stays, and meanwhile the log has deleted the third and fourth record.
    bench.archived(&[1, 2]).await;
    bench.archive.change("LOSE", |facts| facts.lose(&id(), 4)).await.expect("noted");
    for ids in [[2, 4], [3, 5], [6, 7]] {
        bench.archived(&ids).await;
    }
    copy(&folder(&before), &folder(&bench));
    assert!(bench.archive.version() >= before.archive.version(), "the version says nothing");
    for slice in [4, 8] {
        bench.reconcile(&mut bench.view().await, slice).await.expect("it is the only one");
    }
    assert_eq!(bench.read().await, (2, Some(8), 5), "of the event 3 a copy is left, which counts");
    assert_eq!(up_to(&bench, 8).await.0.held.get(&id()), Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_extend_an_index_at_once_both_get_a_whole_one() {
    for _ in 0..5 {
        let bench = bench().await;
        let (one, other) = tokio::join!(up_to(&bench, 8), up_to(&bench, 6));
        for (index, cut) in [(&one.0, 8), (&other.0, 6)] {
            assert!(index.covered.get(&id()) >= Some(cut), "{index:?}");
            let rows: u64 = index.runs("1970-01-01").iter().map(|run| run.rows).sum();
            // A run that was made from several rows holds a copy once.
            assert!(rows >= 4, "{index:?}");
        }
        bench.reconcile(&mut bench.view().await, 8).await.expect("it is the only one");
        assert_eq!(bench.read().await, (2, Some(8), 5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_before_its_list_or_before_its_commit_counts_nothing_twice() {
    let bench = bench().await;
    // Its runs are written, and no list names them.
    let (index, _) = up_to(&bench, 8).await;
    for list in lists(&bench) {
        std::fs::remove_file(list).expect("removed");
    }
    assert_eq!(up_to(&bench, 4).await.1, 4, "they are not used");
    // Its list is written, and the view is not: the index knows the new events already.
    assert_eq!(up_to(&bench, 8).await.0.covered, index.covered);
    let changed = bench.reconcile(&mut bench.view().await, 8).await.expect("it is the only one");
    assert_eq!((changed.work.added, changed.work.looked_up), (3, 5));
    assert_eq!(bench.read().await, (2, Some(8), 5));
}
