//! Files that are imported beside a topic: of the copies of an event, the one in the log that the archive met first counts, and a
//! view that is counted at once says the same.

use input::file::InputFile;
use input::rows::RowArgs;
use platform::settings::Secret;
use test_kit::Redis;

use super::super::*;
use super::bench::{Bench, Event, LOG, Record, Rows, id, recount};
use crate::import::{Imported, Importer, Outcome};

const HOUR_MS: i64 = 3_600_000;

/// A copy of the event of that id, which happened in that hour, and what this copy says.
fn event(id: i64, hour: i64, n: i64) -> Event {
    Event { house: "h", id, at_ms: hour * HOUR_MS, k: Some("a"), n }
}

/// Imports a file that holds these events, and a line that is none.
pub(super) async fn imported(bench: &mut Bench, events: &[Event]) -> Imported {
    let lines: Vec<String> = events.iter().map(Event::json).chain(["no event".to_owned()]).collect();
    let path = bench.folder.path().join("events.ndjson");
    std::fs::write(&path, lines.join("\n")).expect("written");
    let file = InputFile::open(&path, None).expect("opened");
    let importer = Importer::new(&Settings::default(), &bench.reconciler.storage, bench.source());
    let imported = importer.import(&file, &RowArgs::default()).await.expect("imported");
    bench.archive.refresh().await.expect("read");
    imported
}

/// Archives these events as the next records of the topic, which begins with them if it has not begun.
async fn streamed(bench: &mut Bench, events: &[Event]) {
    bench.archive.change("BEGIN", |facts| facts.begin(&id(), 0)).await.expect("begun");
    let places = (bench.next(&id())..).zip(events);
    let records: Vec<Record> =
        places.map(|(offset, event)| Record { id: id(), offset, event: Some(event.clone()) }).collect();
    bench.archive_these(LOG, &records).await;
}

/// Adds what is new to the view, and returns the number and the sum of its events, which a view counted at once has, too.
async fn reconciled(bench: &Bench) -> (i64, i128) {
    let mut view = bench.view().await;
    let (plan, done) = recount(&bench.reconciler, &view, &bench.archive, &Rotated::new()).await;
    bench
        .reconciler
        .commit(bench.metric(), &mut view, plan, done)
        .await
        .expect("committed")
        .expect("it is the only one");
    let rows = bench.rows_of(&view).await;
    assert_eq!(counted_at_once(bench, &mut view).await, rows);
    rows.values().fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1))
}

/// The rows of the view once everything was counted anew.
async fn counted_at_once(bench: &Bench, view: &mut BatchView) -> Rows {
    let (reconciler, metric) = (&bench.reconciler, bench.metric());
    let counted = reconciler.recount(metric, view, &Counted::Nothing, &bench.archive, &Rotated::new()).await;
    let (plan, done) = counted.expect("counted");
    reconciler.commit(metric, view, plan, done).await.expect("committed").expect("it is the only one");
    bench.rows_of(view).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_event_that_was_streamed_before_the_imported_copy_does_not_count() {
    let mut bench = Bench::with(Settings::default(), &[]).await;
    streamed(&mut bench, &[event(1, 5, 1), event(2, 5, 2)]).await;
    assert_eq!(reconciled(&bench).await, (2, 3));
    imported(&mut bench, &[event(3, 700, 30), event(1, 5, 100), event(3, 700, 300)]).await;
    assert_eq!(reconciled(&bench).await, (3, 33));
    streamed(&mut bench, &[event(3, 700, 3_000), event(4, 5, 4)]).await;
    assert_eq!(
        reconciled(&bench).await,
        (4, 3_007),
        "the topic's log comes first, so its copy takes the place of the imported one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_event_that_was_imported_before_the_streamed_copy_does_not_count() {
    let mut bench = Bench::with(Settings::default(), &[]).await;
    imported(&mut bench, &[event(1, 5, 100), event(3, 700, 30)]).await;
    assert_eq!(reconciled(&bench).await, (2, 130));
    streamed(&mut bench, &[event(1, 5, 1), event(2, 5, 2)]).await;
    assert_eq!(reconciled(&bench).await, (3, 132));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_streamed_before_and_is_counted_later_takes_the_place_of_the_imported_one() {
    let mut bench = Bench::with(Settings::default(), &[]).await;
    streamed(&mut bench, &[event(1, 5, 1)]).await;
    imported(&mut bench, &[event(2, 5, 200), event(3, 6, 30)]).await;
    assert_eq!(reconciled(&bench).await, (3, 231));
    // The log of the topic comes first, and so does whatever is read of it later.
    streamed(&mut bench, &[event(2, 5, 2)]).await;
    assert_eq!(reconciled(&bench).await, (3, 33));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_over_with_the_next_reconcile_and_the_same_content_counts_once() {
    let redis = Redis::start().await.expect("a Redis");
    let settings = settings::Redis { url: Secret::from(redis.url()), ..Default::default() };
    let mut bench = Bench::with(Settings { redis: settings, ..Settings::default() }, &[]).await;
    let events = [event(1, 5, 1), event(3, 700, 30)];
    imported(&mut bench, &events).await;
    let stop = CancellationToken::new();
    bench.reconciler.run_to_the_end(&stop).await.expect("reconciled");
    bench.archive.refresh().await.expect("read");
    let over = bench.archive.facts().imports().map(|(log, _)| log.is_over("v1")).collect::<Vec<_>>();
    assert_eq!(over, [true], "every view includes it, and it never had a shard");
    let sum = |rows: Rows| rows.values().fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
    assert_eq!(sum(bench.rows_of(&bench.view().await).await), (2, 31));

    assert_eq!(imported(&mut bench, &events).await.outcome, Outcome::AlreadyImported);
    bench.reconciler.run_to_the_end(&stop).await.expect("reconciled");
    assert_eq!(sum(bench.rows_of(&bench.view().await).await), (2, 31));
}
