//! Rebuilds that an operator asks for: the view counts the catalog's definition and is counted anew all the same.

use platform::settings::{Secret, Span};
use shared_logic::contracts::batch_view::{Asked, Note};
use shared_logic::log::Offsets;
use test_kit::Redis;

use super::super::*;
use super::bench::{A_DAY, Bench, damaged, id, planted};

/// A bench whose shards would lie in that Redis, with a view of three days of which one row is wrong.
async fn bench(redis: &Redis) -> Bench {
    let redis = settings::Redis { url: Secret::from(redis.url()), ..Default::default() };
    let reconcile = settings::Reconcile { rebuild_step: Span::from_millis(0), ..Default::default() };
    let mut bench = Bench::with(Settings { redis, reconcile, ..Settings::default() }, &[id()]).await;
    bench.archived(&[1, A_DAY, 2 * A_DAY, 1]).await;
    bench.reconcile(&mut bench.view().await, 4).await.expect("it is the only one");
    planted(&bench, 0).await;
    assert_eq!(bench.read().await, (2, Some(4), 4), "one too many");
    bench
}

async fn asked(bench: &Bench) -> Option<u64> {
    bench.view().await.note().and_then(|note| note.asked.rebuild)
}

/// What a run did.
async fn run(bench: &Bench) -> Vec<Outcome> {
    let reports = bench.reconciler.run(&CancellationToken::new()).await.expect("reconciled");
    reports.into_iter().map(|report| report.outcome).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_used_and_added_to_until_it_is_counted_anew() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    assert_eq!(
        bench.reconciler.ask_rebuild(bench.metric(), RetiredDays::Kept).await.expect("asked"),
        Request::Noted(3)
    );
    assert_eq!(
        bench.reconciler.ask_rebuild(bench.metric(), RetiredDays::Kept).await.expect("looked"),
        Request::NotedBefore(3)
    );
    assert_eq!((bench.read().await, asked(&bench).await), ((3, Some(4), 4), Some(3)));
    // Every run has time for one day, as if the process before had been killed behind it.
    for done in 1..=2 {
        bench.archived(&[1 + done]).await;
        let outcomes = run(&bench).await;
        let is_added = matches!(outcomes[0], Outcome::Changed(Changed { rebuilt: false, rebuild_asked: true, .. }));
        assert!(is_added && outcomes.len() == 2, "{outcomes:?}");
        assert_eq!(outcomes[1], Outcome::Unfinished { done: done as usize, days: 3 });
        assert_eq!(bench.read().await, (3 + done as u64, Some(4 + done), 4 + done));
    }
    let outcomes = run(&bench).await;
    assert!(
        matches!(outcomes[1], Outcome::Changed(Changed { rebuilt: true, rebuild_asked: false, .. })),
        "{outcomes:?}"
    );
    assert_eq!(bench.read().await, (7, Some(6), 5), "the wrong row is gone, and nothing that was added meanwhile");
    assert_eq!(asked(&bench).await, None);
    let outcomes = run(&bench).await;
    assert!(outcomes.len() == 1, "it is done: {outcomes:?}");
    assert_eq!(bench.read().await.2, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_count_anew_at_once_and_a_reconcile_beside_them_count_everything_once() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[2, 3]).await;
    bench.reconciler.ask_rebuild(bench.metric(), RetiredDays::Kept).await.expect("asked");
    let stop = CancellationToken::new();
    let now = || bench.reconciler.rebuild_now(bench.metric(), &stop, |_, _| {});
    let (one, other, beside) = tokio::join!(now(), now(), bench.reconciler.run(&stop));
    for report in [one.expect("rebuilt"), other.expect("rebuilt")] {
        assert!(matches!(report.outcome, Outcome::Changed(_)), "{report:?}");
    }
    beside.expect("reconciled");
    let (_, cut, events) = bench.read().await;
    assert_eq!((cut, events, asked(&bench).await), (Some(6), 5, None));
    // And once more, though nothing is wrong and nobody has asked.
    let report = bench.reconciler.rebuild_now(bench.metric(), &stop, |_, _| {}).await.expect("looked");
    assert!(matches!(report.outcome, Outcome::Changed(Changed { rebuilt: false, .. })), "{report:?}");
    assert_eq!(bench.read().await.2, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_were_counted_for_an_earlier_request_are_not_used() {
    let redis = Redis::start().await.expect("a Redis");
    let bench = bench(&redis).await;
    let reconciler = &bench.reconciler;
    reconciler.ask_rebuild(bench.metric(), RetiredDays::Kept).await.expect("asked");
    run(&bench).await;
    while reconciler.advance(Duration::ZERO, &CancellationToken::new()).await.expect("advanced") {}
    let definition = reconciler.catalog.definition(bench.metric());
    let mut view = bench.view().await;
    assert!(view.rebuild(&definition).await.expect("read").expect("kept").is_whole());
    // Somebody else has made it the view, was killed before the list was deleted, and another asks again.
    let note = Note::clone(view.note().expect("committed"));
    let version = view.version() + 1;
    let asked = Asked { rebuild: Some(version), pause: None };
    view.commit(view.begin("ASK REBUILD"), Some(Note { asked, ..note })).await.expect("committed");
    let outcomes = run(&bench).await;
    assert_eq!(outcomes[1], Outcome::Unfinished { done: 1, days: 3 }, "it is begun anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_another_program_has_changed_is_emptied_and_counted_anew() {
    let redis = Redis::start().await.expect("a Redis");
    let bench = bench(&redis).await;
    damaged(&bench).await;
    let stop = CancellationToken::new();
    assert!(bench.reconciler.run(&stop).await.is_err(), "it does not fit its note");
    assert_eq!(
        bench.reconciler.ask_rebuild(bench.metric(), RetiredDays::Kept).await.expect("emptied"),
        Request::NotNeeded
    );
    assert_eq!(bench.read().await, (4, Some(4), 0), "its cut stands");
    let own = bench.view().await.note().expect("committed").definition.clone();
    assert_ne!(own, bench.reconciler.catalog.definition(bench.metric()), "so it is no view of the metric");
    let report = bench.reconciler.rebuild_now(bench.metric(), &stop, |_, _| {}).await.expect("rebuilt");
    assert!(matches!(report.outcome, Outcome::Changed(Changed { rebuilt: true, .. })), "{report:?}");
    assert_eq!(bench.read().await, (5, Some(4), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_emptied_is_not_rebuilt_from_days_that_a_finished_rebuild_has_left_listed() {
    let redis = Redis::start().await.expect("a Redis");
    let bench = bench(&redis).await;
    let (view, definition) = (bench.view().await, bench.reconciler.catalog.definition(bench.metric()));
    let note = view.note().expect("committed");
    // The process that made it the view was killed before it could delete the list. Its days were wrong: it found none.
    let (cut, archive_version) = (note.cut.clone(), note.archive_version);
    let (retired_before, asked) = (None, None);
    let left = storage::Rebuild { definition, cut, archive_version, retired_before, asked, days: [].into() };
    assert!(left.is_whole());
    view.keep_rebuild(&left).await.expect("kept");
    damaged(&bench).await;
    bench.reconciler.ask_rebuild(bench.metric(), RetiredDays::Kept).await.expect("emptied");
    let stop = CancellationToken::new();
    let report = bench.reconciler.rebuild_now(bench.metric(), &stop, |_, _| {}).await.expect("rebuilt");
    assert!(matches!(report.outcome, Outcome::Changed(Changed { rebuilt: true, .. })), "{report:?}");
    assert_eq!(bench.read().await.2, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_holds_days_that_are_retired_is_not_emptied() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    let below: Offsets = [(id(), 4)].into_iter().collect();
    bench.archive.change("RETIRE", |facts| facts.retire(1, &below)).await.expect("retired");
    damaged(&bench).await;
    let refused = bench.reconciler.ask_rebuild(bench.metric(), RetiredDays::Kept).await;
    let text = refused.expect_err("the first day could not be counted").to_string();
    assert!(text.contains("before 1970-01-02") && text.contains("roll it back"), "{text}");
    assert!(text.contains("`batch-layer rebuild m --give-up-retired`"), "{text}");
    assert!(bench.reconciler.storage.batch_view("m").await.is_err(), "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_which_no_version_is_kept_loses_its_retired_days_if_an_operator_gives_them_up() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    let below: Offsets = [(id(), 4)].into_iter().collect();
    bench.archive.change("RETIRE", |facts| facts.retire(1, &below)).await.expect("retired");
    damaged(&bench).await;
    let given_up = async || bench.reconciler.ask_rebuild(bench.metric(), RetiredDays::GivenUp).await.expect("emptied");
    assert_eq!(given_up().await, Request::NotNeeded);
    assert_eq!(bench.read().await, (4, Some(4), 0), "its cut stands");
    // The process was killed right after, and the command is repeated.
    assert_eq!(given_up().await, Request::NotNeeded);
    assert_eq!(bench.read().await, (4, Some(4), 0));
    let report = bench.reconciler.rebuild_now(bench.metric(), &CancellationToken::new(), |_, _| {}).await;
    let outcome = report.expect("rebuilt").outcome;
    assert!(matches!(outcome, Outcome::Changed(Changed { rebuilt: true, .. })), "{outcome:?}");
    assert_eq!(bench.read().await, (5, Some(4), 2), "the events of the other days");
    assert_eq!(bench.view().await.note().expect("committed").retired_before, Some(1), "answers say what is lacking");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_view_that_fits_its_note_retired_days_are_kept_whatever_is_given_up() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    let below: Offsets = [(id(), 4)].into_iter().collect();
    bench.archive.change("RETIRE", |facts| facts.retire(1, &below)).await.expect("retired");
    let asked = bench.reconciler.ask_rebuild(bench.metric(), RetiredDays::GivenUp).await.expect("asked");
    assert_eq!(asked, Request::Noted(3));
    let report = bench.reconciler.rebuild_now(bench.metric(), &CancellationToken::new(), |_, _| {}).await;
    let outcome = report.expect("rebuilt").outcome;
    assert!(matches!(outcome, Outcome::Changed(Changed { rebuilt: true, .. })), "{outcome:?}");
    let (_, cut, events) = bench.read().await;
    assert_eq!((cut, events), (Some(4), 4), "with the row of the first day that no event has made");
    assert_eq!(bench.view().await.note().expect("committed").retired_before, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_counted_anew_is_refused_by_name() {
    let redis = Redis::start().await.expect("a Redis");
    let bench = bench(&redis).await;
    let unknown = bench.reconciler.metric("views").expect_err("there is none");
    assert_eq!(unknown.to_string(), "the catalog has no metric views; it has m");
}
