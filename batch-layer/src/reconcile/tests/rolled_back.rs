//! Rollbacks: files, cut and definition of an older version in one commit, and a pause until an operator resumes the view.

use platform::settings::Secret;
use platform::store::Committed;
use shared_logic::contracts::batch_view::{Note, Pause};
use test_kit::Redis;

use super::super::*;
use super::bench::{Bench, damaged, hourly, id, planted, recount};
use super::erasures::erase;
use crate::maintenance::{self, Pass};

/// Reconciles up to that slice, and keeps the version, as a reconcile does.
async fn kept(bench: &Bench, slice: i64) {
    let mut view = bench.view().await;
    bench.reconcile(&mut view, slice).await.expect("it is the only one");
    bench.reconciler.keep_version(&view).await;
}

/// A view of four versions, all kept: two events each. The files of the first three are merged in the fourth.
async fn bench(settings: Settings) -> Bench {
    let mut bench = Bench::with(settings, &[id()]).await;
    for round in 1..=4 {
        bench.archived(&[10 * round, 10 * round + 1]).await;
        kept(&bench, 2 * round).await;
    }
    bench
}

async fn pause(bench: &Bench) -> Option<Pause> {
    bench.view().await.note().and_then(|note| note.asked.pause.clone())
}

/// Rolls back to a version; returns that and the new one.
async fn rolled_back(bench: &Bench, to: Option<u64>) -> (u64, Option<u64>) {
    let done = bench.reconciler.roll_back(bench.metric(), to).await.expect("rolled back");
    (done.to, done.version)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_lowers_the_cut_together_with_its_files_and_pauses() {
    let bench = bench(Settings::default()).await;
    assert_eq!(bench.read().await, (4, Some(8), 8));
    let done = bench.reconciler.roll_back(bench.metric(), None).await.expect("rolled back");
    assert_eq!((done.to, done.version, done.above_cut), (3, Some(5), 2));
    assert_eq!(bench.read().await, (5, Some(6), 6), "what it counts lies below its cut");
    assert_eq!(pause(&bench).await.expect("paused").rolled_back_to, 3);
    // The reply was lost.
    let again = bench.reconciler.roll_back(bench.metric(), None).await;
    assert!(matches!(again, Err(RepairError::Paused { .. })), "{again:?}");
    assert_eq!(rolled_back(&bench, Some(3)).await, (3, None));
    assert_eq!(bench.read().await, (5, Some(6), 6));
    // Further back, and forward again: each time files and cut are of one version.
    assert_eq!(rolled_back(&bench, Some(1)).await, (1, Some(6)));
    assert_eq!(bench.read().await, (6, Some(2), 2));
    assert_eq!(rolled_back(&bench, Some(4)).await, (4, Some(7)));
    assert_eq!(bench.read().await, (7, Some(8), 8));
    let unknown = bench.reconciler.roll_back(bench.metric(), Some(77)).await;
    assert!(matches!(unknown, Err(RepairError::NotKept { version: 77, .. })), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_view_is_not_reconciled_and_exact_again_once_it_is_resumed() {
    let redis = Redis::start().await.expect("a Redis");
    let redis = settings::Redis { url: Secret::from(redis.url()), ..Default::default() };
    let mut bench = bench(Settings { redis, ..Settings::default() }).await;
    rolled_back(&bench, Some(1)).await;
    bench.archived(&[50, 20, 51]).await;
    let stop = CancellationToken::new();
    let reports = bench.reconciler.run(&stop).await.expect("reconciled");
    let is_paused = |report: &Report| matches!(&report.outcome, Outcome::Paused(pause) if pause.rolled_back_to == 1);
    assert!(reports.len() == 1 && is_paused(&reports[0]), "{reports:?}");
    assert!(!bench.reconciler.advance(Duration::ZERO, &stop).await.expect("looked"));
    let asked = bench.reconciler.ask_rebuild(bench.metric(), RetiredDays::Kept).await;
    assert!(matches!(asked, Err(RepairError::Paused { .. })), "{asked:?}");
    assert_eq!(bench.read().await, (5, Some(2), 2), "nobody has touched it");

    let resumed = bench.reconciler.resume(bench.metric()).await.expect("resumed");
    assert_eq!(resumed.expect("it was paused").rolled_back_to, 1);
    assert_eq!(bench.reconciler.resume(bench.metric()).await.expect("looked"), None, "a second time");
    assert_eq!(bench.read().await, (6, Some(2), 2));
    // The index of identities reaches beyond the lowered cut, and the copy of 20 counts once all the same.
    let reports = bench.reconciler.run(&stop).await.expect("reconciled");
    assert!(matches!(reports[0].outcome, Outcome::Changed(Changed { rebuilt: false, .. })), "{reports:?}");
    assert_eq!(bench.read().await, (7, Some(11), 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_another_definition_that_is_paused_is_not_rebuilt() {
    let redis = Redis::start().await.expect("a Redis");
    let redis = settings::Redis { url: Secret::from(redis.url()), ..Default::default() };
    let bench = bench(Settings { redis, ..Settings::default() }).await;
    rolled_back(&bench, Some(1)).await;
    let newer = hourly(&bench.reconciler);
    let reports = newer.run(&CancellationToken::new()).await.expect("reconciled");
    assert!(matches!(reports[0].outcome, Outcome::Paused(_)), "{reports:?}");
    assert_eq!(bench.read().await, (5, Some(2), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_rollback_and_a_reconcile_under_way_one_commits() {
    let mut bench = bench(Settings::default()).await;
    bench.archived(&[50]).await;
    let metric = bench.metric();
    // The reconcile has planned on version 4; the rollback commits first.
    let mut view = bench.view().await;
    let (plan, done) = recount(&bench.reconciler, &view, &bench.archive, &Rotated::new()).await;
    rolled_back(&bench, Some(2)).await;
    let committed = bench.reconciler.commit(metric, &mut view, plan, done).await.expect("tried");
    assert_eq!(committed, None, "it planned on an older view");
    assert_eq!(bench.read().await, (5, Some(4), 4));
    bench.reconciler.resume(metric).await.expect("resumed");

    // The rollback has read version 6; the reconcile commits first.
    let mut before = bench.view().await;
    let names = before.kept_versions().await.expect("listed");
    let older = before.kept_version(&names[0]).await.expect("read").expect("kept");
    bench.reconcile(&mut bench.view().await, 7).await.expect("it is the only one");
    let conflict = bench.reconciler.commit_older(metric, &mut before, older).await.expect("tried");
    assert_eq!(conflict, Committed::Conflict);
    assert_eq!(bench.read().await, (7, Some(7), 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_forgotten_cannot_be_had() {
    let bench = bench(Settings::default()).await;
    bench.view().await.keep_version(Duration::ZERO, platform::clock::now_us()).await.expect("forgotten");
    assert!(bench.view().await.kept_versions().await.expect("listed").is_empty());
    let gone = bench.reconciler.roll_back(bench.metric(), Some(2)).await;
    assert!(matches!(gone, Err(RepairError::NotKept { version: 2, .. })), "{gone:?}");
    let none = bench.reconciler.roll_back(bench.metric(), None).await;
    assert!(matches!(none, Err(RepairError::NoneKept { .. })), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_which_a_file_is_gone_changes_nothing() {
    let bench = bench(Settings::default()).await;
    let view = bench.view().await;
    let now: Vec<String> = view.files().await.expect("listed").into_iter().map(|file| file.path).collect();
    let names = view.kept_versions().await.expect("listed");
    let older = view.kept_version(&names[0]).await.expect("read").expect("kept");
    let lost = older.files.iter().find(|file| !now.contains(&file.path)).expect("it was merged since");
    std::fs::remove_file(
        bench.folder.path().join(&bench.reconciler.catalog.deployment.name).join(view.path()).join(&lost.path),
    )
    .expect("deleted");
    let refused = bench.reconciler.roll_back(bench.metric(), Some(1)).await;
    assert!(matches!(refused, Err(RepairError::FileGone { version: 1, .. })), "{refused:?}");
    assert_eq!((bench.read().await, pause(&bench).await), ((4, Some(8), 8), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_another_definition_is_listed_and_refused() {
    let bench = bench(Settings::default()).await;
    let newer = hourly(&bench.reconciler);
    let metric = &newer.catalog.metrics["m"];
    let older = newer.older_versions(metric).await.expect("listed");
    let refused = |why: &Option<RepairError>| matches!(why, Some(RepairError::OtherDefinition { .. }));
    assert!(older.len() == 4 && older.iter().all(|version| refused(&version.refused)), "{older:?}");
    let rolled_back = newer.roll_back(metric, Some(1)).await;
    assert!(matches!(rolled_back, Err(RepairError::OtherDefinition { version: 1, .. })), "{rolled_back:?}");
    let own = bench.reconciler.older_versions(bench.metric()).await.expect("listed");
    let rows: Vec<(u64, u64)> = own.iter().map(|version| (version.name.version, version.rows)).collect();
    assert!(own.iter().all(|version| version.refused.is_none()), "{own:?}");
    assert_eq!(rows, [(1, 1), (2, 2), (3, 3), (4, 2)]);
    assert_eq!(bench.read().await, (4, Some(8), 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_another_program_has_changed_can_be_rolled_back() {
    let bench = bench(Settings::default()).await;
    planted(&bench, 0).await;
    damaged(&bench).await;
    assert!(bench.reconciler.storage.batch_view("m").await.is_err(), "it does not fit its note");
    assert_eq!(rolled_back(&bench, Some(3)).await, (3, Some(7)));
    assert_eq!(bench.read().await, (7, Some(6), 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_view_was_led_away_from_is_not_the_version_before_it_once_it_is_resumed() {
    let bench = bench(Settings::default()).await;
    // Version 4 is the one that nobody wants.
    assert_eq!(rolled_back(&bench, None).await, (3, Some(5)));
    bench.reconciler.resume(bench.metric()).await.expect("resumed");
    assert_eq!(rolled_back(&bench, None).await, (3, Some(7)));
    assert_eq!(bench.read().await, (7, Some(6), 6));
    // Nor is it after a reconcile.
    bench.reconciler.resume(bench.metric()).await.expect("resumed");
    kept(&bench, 8).await;
    assert_eq!(bench.read().await, (9, Some(8), 8));
    assert_eq!(rolled_back(&bench, None).await, (7, Some(10)));
    assert_eq!(bench.read().await, (10, Some(6), 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_view_that_another_program_has_changed_is_rolled_back_to_the_same_version_again() {
    let bench = bench(Settings::default()).await;
    assert_eq!(rolled_back(&bench, Some(3)).await, (3, Some(5)));
    damaged(&bench).await;
    assert_eq!(rolled_back(&bench, Some(3)).await, (3, Some(7)));
    assert_eq!(bench.read().await, (7, Some(6), 6));
    assert_eq!(rolled_back(&bench, Some(3)).await, (3, None), "now it is as it should be");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_another_program_has_changed_is_not_resumed_and_the_way_out_is_named() {
    let bench = bench(Settings::default()).await;
    assert_eq!(rolled_back(&bench, Some(3)).await, (3, Some(5)));
    damaged(&bench).await;
    let refused = bench.reconciler.resume(bench.metric()).await.expect_err("it would pass for the view");
    assert!(matches!(refused, RepairError::Damaged { usable: Some(5), .. }), "{refused:?}");
    assert!(refused.to_string().contains("`batch-layer rollback m --to 5`"), "{refused}");
    assert!(bench.reconciler.storage.batch_view("m").await.is_err(), "nothing was changed");
    assert_eq!(rolled_back(&bench, Some(5)).await, (5, Some(7)));
    assert!(bench.reconciler.resume(bench.metric()).await.expect("resumed").is_some());
    assert_eq!((bench.read().await, pause(&bench).await), ((8, Some(6), 6), None));

    bench.view().await.keep_version(Duration::ZERO, platform::clock::now_us()).await.expect("forgotten");
    damaged(&bench).await;
    let refused = bench.reconciler.resume(bench.metric()).await.expect_err("it would pass for the view");
    assert!(matches!(refused, RepairError::Damaged { usable: None, .. }), "{refused:?}");
    assert!(refused.to_string().contains("`batch-layer rebuild m`"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_view_that_another_program_has_changed_stays_paused_though_it_is_emptied() {
    let redis = Redis::start().await.expect("a Redis");
    let redis = settings::Redis { url: Secret::from(redis.url()), ..Default::default() };
    let bench = bench(Settings { redis, ..Settings::default() }).await;
    rolled_back(&bench, Some(1)).await;
    damaged(&bench).await;
    let asked = bench.reconciler.ask_rebuild(bench.metric(), RetiredDays::Kept).await;
    assert!(matches!(asked, Err(RepairError::Paused { .. })), "{asked:?}");
    let stop = CancellationToken::new();
    let reports = bench.reconciler.run(&stop).await.expect("reconciled");
    assert!(matches!(reports[0].outcome, Outcome::Paused(_)), "{reports:?}");
    assert_eq!(bench.read().await, (7, Some(2), 0), "it has no rows, and its cut stands");

    assert!(bench.reconciler.resume(bench.metric()).await.expect("resumed").is_some());
    let reports = bench.reconciler.run(&stop).await.expect("reconciled");
    assert!(matches!(reports[0].outcome, Outcome::Changed(Changed { rebuilt: true, .. })), "{reports:?}");
    assert_eq!(bench.read().await.2, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_before_an_erasure_is_refused_and_forgotten_with_its_files() {
    let mut bench = bench(Settings::default()).await;
    assert_eq!(erase(&mut bench, "id = 10", 9).await.events, 1);
    kept(&bench, 8).await;
    let older = bench.reconciler.older_versions(bench.metric()).await.expect("listed");
    let is_refused = |version: &OlderVersion| matches!(version.refused, Some(RepairError::Erased { .. }));
    assert_eq!(older.iter().map(is_refused).collect::<Vec<_>>(), [true, true, true, true, false]);
    let refused = bench.reconciler.roll_back(bench.metric(), Some(4)).await;
    assert!(matches!(refused, Err(RepairError::Erased { version: 4 })), "{refused:?}");
    assert_eq!(bench.read().await, (5, Some(8), 7));
    let forgotten = bench.view().await.forget_versions_before(bench.archive.version()).await;
    assert_eq!(forgotten.expect("forgotten"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_the_view_has_given_up_does_not_come_back() {
    let bench = bench(Settings::default()).await;
    let mut view = bench.view().await;
    let files = view.files().await.expect("listed");
    let note = Note { retired_before: Some(1), ..Note::clone(view.note().expect("committed")) };
    view.commit(view.begin("RETIRE").removing(files), Some(note)).await.expect("committed");
    assert_eq!(rolled_back(&bench, Some(2)).await, (2, Some(6)));
    let view = bench.view().await;
    assert!(view.files().await.expect("listed").is_empty(), "all events are of that day");
    assert_eq!(view.note().expect("committed").retired_before, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_from_which_maintenance_alone_has_come_is_passed_over() {
    let bench = bench(Settings::default()).await;
    let mut view = bench.view().await;
    view.commit(view.begin("COMPACT").same_rows(), None).await.expect("committed");
    assert_eq!(rolled_back(&bench, None).await, (3, Some(6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_leaves_a_paused_view_as_it_is() {
    let bench = bench(Settings::default()).await;
    rolled_back(&bench, Some(3)).await;
    for _ in 0..4 {
        planted(&bench, 0).await;
    }
    let names = ["m".to_owned()];
    let maintained = async || {
        let pass = Pass { names: &names, dry_run: false, now_us: platform::clock::now_us() };
        maintenance::run(&bench.reconciler, pass, &CancellationToken::new()).await.expect("maintained");
        bench.view().await.version()
    };
    assert_eq!(maintained().await, 9);
    bench.reconciler.resume(bench.metric()).await.expect("resumed");
    assert_eq!(maintained().await, 11, "its files are merged once it is resumed");
}
