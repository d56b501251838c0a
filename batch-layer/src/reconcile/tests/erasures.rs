//! What is erased leaves the view with the next reconcile, and nothing brings it back.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use platform::store::Committed;
use shared_logic::contracts::archive::{ErasedIn, Erasure};
use shared_logic::log::Offsets;
use storage::BacktestOutput;

use super::super::*;
use super::bench::{A_DAY, Bench, Rows, hourly, id, recount};
use crate::erase::commits::TakingOut;
use crate::erase::{Condition, TakenOut};

fn condition(bench: &Bench, text: &str) -> Condition {
    Condition::parse(bench.source(), text, None).expect("a condition")
}

/// Erases what a condition selects, with at most so many files in a commit.
pub(super) async fn erase(bench: &mut Bench, text: &str, files_max: usize) -> TakenOut {
    let (source, schemas, condition) = (bench.source().clone(), bench.schemas(), condition(bench, text));
    TakingOut::new(&source, schemas, &condition, files_max).run(&mut bench.archive).await.expect("erased")
}

/// A process that is ended after its first commit, of one file, or before it.
async fn killed(bench: &mut Bench, text: &str, commits: bool) {
    let (source, schemas, condition) = (bench.source().clone(), bench.schemas(), condition(bench, text));
    let mut taking_out = TakingOut::new(&source, schemas, &condition, 1);
    let is_last = taking_out.look(&bench.archive).await.expect("looked");
    if commits {
        let committed = taking_out.commit(&mut bench.archive, is_last).await.expect("tried");
        assert!(matches!(committed, Committed::At(_)), "there is no other writer");
    }
}

/// The rows of a view that is counted at once, from the archive as it is.
async fn rebuilt(bench: &Bench) -> Rows {
    let mut view = bench.view().await;
    let (reconciler, metric, rotated) = (&bench.reconciler, bench.metric(), Rotated::new());
    let counted = reconciler.recount(metric, &view, &Counted::Nothing, &bench.archive, &rotated).await;
    let (plan, done) = counted.expect("counted");
    reconciler.commit(metric, &mut view, plan, done).await.expect("committed").expect("it is the only one");
    bench.rows_of(&view).await
}

/// Events in commits of two; of the first one there is a copy in another commit.
async fn bench() -> Bench {
    let mut bench = Bench::new().await;
    for ids in [[1, 2], [70, 1], [3, 70]] {
        bench.archived(&ids).await;
    }
    bench.reconcile(&mut bench.view().await, 6).await.expect("it is the only one");
    assert_eq!(bench.read().await, (1, Some(6), 4));
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_event_leaves_archive_and_view_and_its_copies_do_too() {
    let mut bench = bench().await;
    let next = bench.next(&id());
    let taken_out = erase(&mut bench, "house = 'h' and id = 1", 9).await;
    assert_eq!((taken_out.events, taken_out.files, taken_out.hours), (2, 2, 1));
    assert_eq!(bench.next(&id()), next, "where records lie stays as it was");
    let changed = bench.reconcile(&mut bench.view().await, 6).await.expect("it is the only one");
    assert_eq!((changed.work.added, changed.work.recomputed), (0, 1), "one hour, and nothing of the other");
    assert_eq!(bench.read().await, (2, Some(6), 3));
    let rows = bench.rows_of(&bench.view().await).await;
    assert_eq!(rows, rebuilt(&bench).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_twice_changes_nothing_more() {
    let mut bench = bench().await;
    assert_eq!(erase(&mut bench, "id = 1", 9).await.events, 2);
    let (version, facts) = (bench.archive.version(), bench.archive.facts());
    let again = erase(&mut bench, "id  = 1", 9).await;
    assert_eq!((again.events, bench.archive.version()), (0, version));
    assert_eq!(bench.archive.facts(), facts);
    assert_eq!(erase(&mut bench, "id = 99", 9).await.events, 0);
    assert_eq!(bench.archive.facts().erasures.len(), 1, "what selects nothing is not noted");
    // What comes later is erased by asking again, under the same name.
    bench.archived(&[1]).await;
    assert_eq!(erase(&mut bench, "id = 1", 9).await.events, 1);
    let [erasure] = <[Erasure; 1]>::try_from(bench.archive.facts().erasures).expect("one erasure");
    assert_eq!((erasure.parts.len(), erasure.completed_at_us.is_some()), (2, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erase_that_is_killed_is_continued_and_views_are_exact_in_between() {
    for (commits, after_the_kill) in [(false, 4), (true, 4)] {
        let mut bench = bench().await;
        killed(&mut bench, "id = 1", commits).await;
        let known = bench.archive.facts().erasures.pop();
        assert_eq!(known.as_ref().map(|known| known.completed_at_us), commits.then_some(None));
        bench.reconcile(&mut bench.view().await, 6).await.expect("it is the only one");
        assert_eq!(bench.read().await.2, after_the_kill, "the copy in another file stands, if one is left");
        assert_eq!(bench.rows_of(&bench.view().await).await, rebuilt(&bench).await);
        let left = if commits { 1 } else { 2 };
        assert_eq!(erase(&mut bench, "id = 1", 1).await.events, left);
        let [erasure] = <[Erasure; 1]>::try_from(bench.archive.facts().erasures).expect("one erasure");
        assert!(erasure.completed_at_us.is_some() && erasure.parts.len() == 2, "{erasure:?}");
        bench.reconcile(&mut bench.view().await, 6).await.expect("it is the only one");
        assert_eq!(bench.read().await.2, 3);
        assert_eq!(bench.rows_of(&bench.view().await).await, rebuilt(&bench).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_complete_only_on_a_version_of_which_every_file_was_looked_at() {
    let mut bench = bench().await;
    let (source, schemas, condition) = (bench.source().clone(), bench.schemas(), condition(&bench, "id = 1"));
    let mut taking_out = TakingOut::new(&source, schemas, &condition, 9);
    let mut archive = bench.archive.clone();
    let is_last = taking_out.look(&archive).await.expect("looked");
    // The archiver commits first.
    bench.archived(&[1, 4]).await;
    let committed = taking_out.commit(&mut archive, is_last).await.expect("tried");
    assert_eq!((is_last, committed), (true, Committed::Conflict));
    assert_eq!(bench.archive.facts().erasures.len(), 0);
    assert_eq!(taking_out.run(&mut archive).await.expect("erased").events, 3);
    assert!(bench.archive.refresh().await.expect("read"));
    bench.reconcile(&mut bench.view().await, 8).await.expect("it is the only one");
    assert_eq!(bench.read().await, (2, Some(8), 4), "2, 70, 3 and 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_waited_so_long_that_they_may_be_gone_are_not_committed() {
    let mut bench = bench().await;
    let (source, schemas, condition) = (bench.source().clone(), bench.schemas(), condition(&bench, "id = 1"));
    let mut taking_out = TakingOut::new(&source, schemas, &condition, 9);
    assert!(taking_out.look(&bench.archive).await.expect("looked"));
    let version = bench.archive.version();
    // As if the process had slept since then.
    taking_out.oldest_us = Some(0);
    assert_eq!(taking_out.commit(&mut bench.archive, true).await.expect("refused"), Committed::Conflict);
    assert_eq!(bench.archive.version(), version);
    assert_eq!(taking_out.run(&mut bench.archive).await.expect("erased").events, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_comes_after_the_erasure_counts_as_it_does_in_a_rebuilt_view() {
    let mut bench = bench().await;
    // It makes the index, which names the event.
    bench.reconcile(&mut bench.view().await, 6).await.expect("it is the only one");
    erase(&mut bench, "id = 1", 9).await;
    bench.reconcile(&mut bench.view().await, 6).await.expect("it is the only one");
    bench.archived(&[1, 2]).await;
    let changed = bench.reconcile(&mut bench.view().await, 8).await.expect("it is the only one");
    assert_eq!((changed.work.added, changed.work.recomputed), (1, 0), "the index names it no more");
    assert_eq!(bench.read().await, (4, Some(8), 4));
    assert_eq!(bench.rows_of(&bench.view().await).await, rebuilt(&bench).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_above_the_cut_are_not_added_later() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 1, 3]).await;
    bench.reconcile(&mut bench.view().await, 1).await.expect("it is the only one");
    erase(&mut bench, "id = 1", 9).await;
    bench.reconcile(&mut bench.view().await, 2).await.expect("it is the only one");
    assert_eq!(bench.read().await, (2, Some(2), 1));
    bench.reconcile(&mut bench.view().await, 4).await.expect("it is the only one");
    assert_eq!(bench.read().await, (3, Some(4), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_rebuild_counts_days_of_erased_events_again_and_no_others() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, A_DAY, 2 * A_DAY, 2, A_DAY + 1, 2 * A_DAY + 1]).await;
    bench.reconcile(&mut bench.view().await, 6).await.expect("it is the only one");
    let newer = hourly(&bench.reconciler);
    assert_eq!(one_day(&bench, &newer).await, (1, 3));
    assert_eq!(one_day(&bench, &newer).await, (2, 3));
    erase(&mut bench, "id = 1", 9).await;
    assert_eq!(one_day(&bench, &newer).await, (2, 3), "the first day again");
    assert_eq!(one_day(&bench, &newer).await, (3, 3));
    erase(&mut bench, &format!("id = {A_DAY}"), 9).await;
    assert_eq!(one_day(&bench, &newer).await, (3, 3), "the second day again, although the rebuild was whole");
    let (mut view, metric) = (bench.view().await, &newer.catalog.metrics["m"]);
    let (plan, done) = recount(&newer, &view, &bench.archive, &Rotated::new()).await;
    let changed = newer.commit(metric, &mut view, plan, done).await.expect("committed").expect("the only one");
    assert!(changed.rebuilt);
    assert_eq!(bench.read().await, (2, Some(6), 4));
}

/// Goes on with a rebuild by one day. Returns how many days are counted, and of how many.
async fn one_day(bench: &Bench, reconciler: &Reconciler) -> (usize, usize) {
    let (stop, now) = (CancellationToken::new(), Instant::now());
    let turn = Turn { wait_until: now, until: now, stop: &stop };
    let (metric, view) = (&reconciler.catalog.metrics["m"], bench.view().await);
    let step = reconciler.step(metric, &view, &bench.archive, &Rotated::new(), &turn).await.expect("advanced");
    (step.done(), step.days.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_list_says_which_hours_every_hour_is_counted_again() {
    let mut bench = bench().await;
    erase(&mut bench, "id = 1", 9).await;
    let lists = bench.folder.path().join(&bench.reconciler.catalog.deployment.name).join(bench.archive.path());
    std::fs::remove_dir_all(lists.join("_erased")).expect("removed");
    let changed = bench.reconcile(&mut bench.view().await, 6).await.expect("it is the only one");
    assert_eq!(changed.work.recomputed, 24);
    assert_eq!(bench.read().await, (2, Some(6), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_followed_until_the_last_file_is_gone() {
    let mut bench = bench().await;
    erase(&mut bench, "id = 1", 9).await;
    let (reconciler, source) = (bench.reconciler.clone(), bench.source().clone());
    let version = reconciler.catalog.deployment.version.clone();
    let mut archive = bench.archive.clone();
    let reached = |archive: &Archive| archive.facts().erasures[0].versions.get(&version).copied();
    reconciler.try_follow_erasures(&source, &mut archive).await.expect("looked");
    assert_eq!(reached(&archive), None, "the view still counts the event");
    assert!(bench.archive.refresh().await.is_ok());
    bench.reconcile(&mut bench.view().await, 6).await.expect("it is the only one");
    reconciler.try_follow_erasures(&source, &mut archive).await.expect("looked");
    let uncounted = reached(&archive).expect("no answer counts it");
    assert_eq!(uncounted.deleted_at_us, None);
    let before = archive.version();
    reconciler.try_follow_erasures(&source, &mut archive).await.expect("looked");
    assert_eq!((reached(&archive), archive.version()), (Some(uncounted), before), "its files are young");

    // As if all that had been long ago.
    let long_ago = ErasedIn { uncounted_at_us: 0, ..uncounted };
    let seen = archive.facts().erasures[0].clone();
    archive.change("TEST", |facts| facts.note_erased_in(&seen, &version, long_ago)).await.expect("changed");
    // A backtest that had read the archive before was killed after it had written a file.
    let backtest = reconciler.storage.create_backtest("alerts").await.expect("created");
    let output = BacktestOutput { partition: 0, offset: 0, n: 0, key: None, payload: b"{}".to_vec(), time_us: 0 };
    let late = backtest.write("log", vec![output]).await.expect("written");
    reconciler.try_follow_erasures(&source, &mut archive).await.expect("looked");
    assert_eq!(reached(&archive).expect("known").deleted_at_us, None, "that file is young, and may hold it");
    let folder = bench.folder.path().join(&reconciler.catalog.deployment.name).join(backtest.path());
    std::fs::remove_file(folder.join(&late.path)).expect("removed");
    reconciler.try_follow_erasures(&source, &mut archive).await.expect("deleted");
    assert!(reached(&archive).expect("known").deleted_at_us.is_some());
    let said: Offsets = archive.erased(&seen.parts[0]).await.expect("read").expect("its list stays").upto;
    assert_eq!(said.get(&id()), Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_older_files_are_gone_is_known_however_often_archivers_commit() {
    let mut bench = bench().await;
    let before = bench.archive.files().await.expect("listed");
    erase(&mut bench, "id = 1", 9).await;
    let kept = bench.archive.files().await.expect("listed");
    let folder = bench.folder.path().join(&bench.reconciler.catalog.deployment.name).join(bench.archive.path());
    let is_older = |file: &&DataFile| kept.iter().all(|kept| kept.path != file.path);
    let older: Vec<PathBuf> = before.iter().filter(is_older).map(|file| folder.join(&file.path)).collect();
    assert_eq!(older.len(), 2);
    let now_us = platform::clock::now_us();
    let hours_ago = UNIX_EPOCH + Duration::from_micros(now_us as u64) - Duration::from_secs(7_200);
    for path in &older {
        std::fs::File::options().write(true).open(path).expect("a file").set_modified(hours_ago).expect("dated");
    }

    // An archiver commits right after the archive was read.
    let (reconciler, seen) = (bench.reconciler.clone(), bench.archive.clone());
    bench.archived(&[4]).await;
    let an_hour_ago_us = now_us - 3_600_000_000;
    let is_gone = async || reconciler.is_in_no_old_file(an_hour_ago_us, &seen).await.expect("looked");
    assert!(!is_gone().await, "they hold what was erased");
    older.iter().for_each(|path| std::fs::remove_file(path).expect("removed"));
    assert!(is_gone().await, "what was archived since does not hold it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_in_no_answer_only_once_the_cut_has_passed_what_was_archived() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 1, 3]).await;
    bench.reconcile(&mut bench.view().await, 1).await.expect("it is the only one");
    erase(&mut bench, "id = 1", 9).await;
    let (reconciler, source, mut archive) = (bench.reconciler.clone(), bench.source().clone(), bench.archive.clone());
    for (slice, is_uncounted) in [(2, false), (4, true)] {
        bench.reconcile(&mut bench.view().await, slice).await.expect("it is the only one");
        reconciler.try_follow_erasures(&source, &mut archive).await.expect("looked");
        // Slices from the cut on are added: with the cut 2, they hold the event at the offset 2.
        assert_eq!(archive.facts().erasures[0].versions.is_empty(), !is_uncounted, "{slice}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_rebuild_with_erased_events_go_with_its_list() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, A_DAY]).await;
    bench.reconcile(&mut bench.view().await, 2).await.expect("it is the only one");
    let newer = hourly(&bench.reconciler);
    assert_eq!(one_day(&bench, &newer).await, (1, 2));
    let (view, kept) = (bench.view().await, newer.catalog.definition(&newer.catalog.metrics["m"]));
    let begun = view.rebuild(&kept).await.expect("read").expect("kept");
    let file = begun.files().next().expect("a file").path.clone();
    let path = bench.folder.path().join(&bench.reconciler.catalog.deployment.name).join(view.path()).join(file);
    let hours_ago = UNIX_EPOCH + Duration::from_micros(platform::clock::now_us() as u64) - Duration::from_secs(7_200);
    std::fs::File::options().write(true).open(&path).expect("a file").set_modified(hours_ago).expect("dated");
    let own = bench.reconciler.catalog.definition(bench.metric());
    assert_eq!(view.forget_rebuilds_before(begun.archive_version).await.expect("looked"), 0);
    assert_eq!((view.remove_orphans(&own).await.expect("looked"), path.exists()), (0, true));
    assert_eq!(view.forget_rebuilds_before(begun.archive_version + 1).await.expect("looked"), 1);
    assert_eq!((view.remove_orphans(&own).await.expect("looked"), path.exists()), (1, false));
}
