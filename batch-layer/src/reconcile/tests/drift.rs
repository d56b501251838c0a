//! What speed had said of the offsets that a reconcile takes over, in a real Redis, compared with what is found, and the row about it.

use platform::settings::{Secret, Span};
use polars::prelude::{IntoLazy, df};
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::reconciliation::Reconciliation;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Addition, Instance, KnownFields, ShardKeys};
use shared_logic::identity::Identity;
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::partial::Partials;
use shared_logic::plan::Plan as MetricPlan;
use storage::{Entries, ShardClient};
use test_kit::Redis;

use super::super::*;
use super::bench::{Bench, CATALOG, Event, LOG, Record};
use super::erasures::erase;
use super::imports::imported;
use crate::rows;

/// An earlier copy counts that lies at most so many offsets back.
const WINDOW: i64 = 2;

fn partitions() -> [PartitionId; 2] {
    [0, 1].map(|partition| PartitionId::new(LOG, partition))
}

/// An event of that id, and what this copy says.
fn event(id: i64, n: i64) -> Event {
    Event { house: "h", id, at_ms: id * 3_600_000, k: Some("a"), n }
}

/// A bench whose shards lie in that Redis.
async fn bench(redis: &Redis, response_timeout: Span) -> Bench {
    let url = Secret::from(redis.url());
    let redis = settings::Redis { url, response_timeout, ..Default::default() };
    let moment = Span::from_millis(1);
    let reconcile = settings::Reconcile { retry_backoff: moment, wait: moment, poll: moment, ..Default::default() };
    let catalog = CATALOG.replace("[sources.s]\n", &format!("[sources.s]\ndedup_window = {WINDOW}\n"));
    Bench::of(&catalog, Settings { redis, reconcile, ..Settings::default() }, &partitions()).await
}

/// One whose Redis takes as long as it needs.
async fn patient(redis: &Redis) -> Bench {
    bench(redis, Span::from_secs(60)).await
}

fn definition(bench: &Bench) -> DefinitionHash {
    bench.reconciler.catalog.definition(bench.metric())
}

async fn connected(bench: &Bench, partition: usize) -> (platform::redis::Connection, ShardKeys) {
    let Reconciler { redis, catalog, .. } = &bench.reconciler;
    let keys = ShardKeys::new(&catalog.deployment, "s", &partitions()[partition]);
    (platform::redis::connect(redis).await.expect("connected"), keys)
}

/// Opens a shard that counts such a definition.
async fn open(bench: &Bench, partition: usize, at: i64, definition: DefinitionHash) {
    let (mut redis, keys) = connected(bench, partition).await;
    let opened = ShardClient::default().open(&mut redis, &keys, at, &[definition], Instance::new(1)).await;
    assert!(matches!(opened, Ok(Reply::Done(_))), "{opened:?}");
}

/// Archives those records of a partition behind the last one.
async fn archived(bench: &mut Bench, partition: usize, events: &[Event]) {
    let id = partitions()[partition].clone();
    let offsets = bench.next(&id)..;
    let records: Vec<Record> = offsets
        .zip(events)
        .map(|(offset, event)| Record { id: id.clone(), offset, event: Some(event.clone()) })
        .collect();
    bench.archive_these(LOG, &records).await;
}

/// Lets a shard count those events, up to where its partition is archived.
async fn counted(bench: &Bench, partition: usize, events: &[Event]) {
    let (source, metric) = (bench.source().clone(), bench.metric().clone());
    let of = |value: fn(&Event) -> i64| events.iter().map(value).collect::<Vec<i64>>();
    let rows = df!("at" => of(|event| event.at_ms * 1_000), "n" => of(|event| event.n), "k" => vec!["a"; events.len()]);
    let partials = rows::compute("count", "events", move || {
        let plan = MetricPlan::new(&source, &metric);
        let finest = plan.partials(rows?.lazy())?;
        Partials::of_frame(&source, &metric, &plan.roll_up(&finest, |_| false)?, |_| false)
    });
    let additions = [Addition::new(definition(bench), bench.metric(), &partials.await.expect("counted"))];
    let ((mut redis, keys), client) = (connected(bench, partition).await, ShardClient::default());
    let expected = client.positions(&mut redis, &keys).await.expect("read").expect("it was opened").expected();
    let mut unknown = KnownFields::default();
    let (_, held) = client.held(&mut redis, &keys, &expected, &additions, &unknown).await.expect("read");
    let merged = additions.iter().zip(&held);
    let merged = merged.map(|(addition, held)| (addition, addition.merged(&mut unknown, held).expect("merged")));
    let to = bench.next(&partitions()[partition]);
    let applied = client.apply(&mut redis, &keys, &expected, to, None, merged).await;
    assert!(matches!(applied, Ok(Reply::Done(_))), "{applied:?}");
}

/// Both: speed counts everything that is archived.
async fn both(bench: &mut Bench, partition: usize, events: &[Event]) {
    archived(bench, partition, events).await;
    counted(bench, partition, events).await;
}

/// Reconciles, and returns the newest row.
async fn reconciled(bench: &Bench) -> Reconciliation {
    bench.reconciler.run(&CancellationToken::new()).await.expect("reconciled");
    newest(bench).await.into_iter().next().expect("a row")
}

async fn newest(bench: &Bench) -> Vec<Reconciliation> {
    let table = bench.reconciler.storage.reconciliations().await.expect("read").expect("a table");
    table.newest(storage::RowsOf::Metric("m"), 100).await.expect("read")
}

/// What a row says of the measure with that number: speed, batch, the difference, and how much of it is duplicates and unexplained.
fn drift_of(row: &Reconciliation, measure: usize) -> [Option<i64>; 5] {
    let of = &row.drift.as_ref().unwrap_or_else(|| panic!("{row:?}")).measures[measure];
    [&of.speed, &of.batch, &of.difference, &of.duplicates, &of.unexplained].map(|value| value.as_i64())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_beyond_the_window_are_counted_and_named() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = patient(&redis).await;
    open(&bench, 0, 0, definition(&bench)).await;
    open(&bench, 1, 0, definition(&bench)).await;
    both(&mut bench, 0, &[event(1, 1), event(2, 1), event(3, 1), event(3, 1), event(4, 1)]).await;
    let first = reconciled(&bench).await;
    assert_eq!((first.view_version, first.reason.as_deref(), first.comparable), (1, Some("rebuilt"), false));

    // The first is new, and the third a copy within the window. Of the second, a copy lies beyond it.
    archived(&mut bench, 0, &[event(5, 10), event(1, 70), event(5, 10), event(6, 1)]).await;
    counted(&bench, 0, &[event(5, 10), event(1, 70), event(6, 1)]).await;
    let row = reconciled(&bench).await;
    assert_eq!((row.view_version, row.offsets, row.partitions, row.rows_added), (2, 4, 1, 2));
    assert_eq!((row.ranges[0].partition, row.ranges[0].from, row.ranges[0].to), (0, 5, 9));
    assert_eq!(drift_of(&row, 0), [Some(3), Some(2), Some(1), Some(1), Some(0)]);
    assert_eq!(drift_of(&row, 1), [Some(81), Some(11), Some(70), Some(70), Some(0)]);
    let drift = row.drift.expect("compared");
    assert_eq!((drift.buckets, drift.differing, drift.duplicates, drift.unexplained), (3, 1, 1, 0));
    let largest = drift.measures[1].largest.as_ref().expect("one differs");
    assert_eq!(
        (largest.bucket.as_str(), &largest.speed, &largest.batch),
        ("1970-01-01T01:00:00Z", &70.into(), &0.into())
    );

    // Of this one, both copies lie beyond it.
    both(&mut bench, 0, &[event(3, 1)]).await;
    assert_eq!(drift_of(&reconciled(&bench).await, 0), [Some(1), Some(0), Some(1), Some(1), Some(0)]);
    assert_eq!(reconciled(&bench).await.drift.map(|drift| drift.buckets), Some(0), "nothing is new");
    assert_eq!(newest(&bench).await.len(), 4, "a row for each");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_within_the_window_is_found_behind_one_beyond_it() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = patient(&redis).await;
    open(&bench, 0, 0, definition(&bench)).await;
    archived(&mut bench, 0, &[event(1, 1), event(2, 1), event(3, 1), event(1, 1)]).await;
    // Its copy lies beyond the window, so speed has counted it.
    counted(&bench, 0, &[event(1, 1), event(2, 1), event(3, 1), event(1, 1)]).await;
    reconciled(&bench).await;
    archived(&mut bench, 0, &[event(1, 1), event(4, 1)]).await;
    counted(&bench, 0, &[event(4, 1)]).await;
    let row = reconciled(&bench).await;
    assert_eq!(drift_of(&row, 0), [Some(1), Some(1), Some(0), Some(0), Some(0)]);
    // The new ones, and two entries of the index. Of what lies within the window, no row is read.
    assert_eq!(row.rows_read, 2 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_older_build_has_made_the_index_the_archive_is_asked_for_copies_within_the_window() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = patient(&redis).await;
    open(&bench, 0, 0, definition(&bench)).await;
    both(&mut bench, 0, &[event(1, 1), event(2, 1), event(3, 1), event(1, 1)]).await;
    reconciled(&bench).await;
    // It keeps the first copy of each partition, and says nothing of the last ones.
    let (rules, day) = (bench.source().rules(), "1970-01-01");
    let mut index = bench.archive.identities(&rules).await.expect("read");
    let mut firsts = Entries::default();
    for (offset, id) in (0..).zip(1_i64..=3) {
        let identity = Identity::of([b"h".as_slice(), &id.to_le_bytes()], id * 3_600_000_000);
        firsts.push(identity, LOG, 0, offset);
    }
    let run = bench.archive.write_run(&rules, day, firsts).await.expect("written");
    index.days.insert(day.to_owned(), vec![run]);
    index.lasts_from = Offsets::default();
    assert!(bench.archive.keep_identities(&rules, &mut index).await.expect("tried"));

    archived(&mut bench, 0, &[event(1, 1), event(4, 1)]).await;
    counted(&bench, 0, &[event(4, 1)]).await;
    assert_eq!(drift_of(&reconciled(&bench).await, 0), [Some(1), Some(1), Some(0), Some(0), Some(0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_event_that_takes_the_place_of_an_older_copy_is_a_duplicate() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = patient(&redis).await;
    open(&bench, 0, 0, definition(&bench)).await;
    open(&bench, 1, 0, definition(&bench)).await;
    both(&mut bench, 1, &[event(7, 100), event(8, 1)]).await;
    reconciled(&bench).await;
    both(&mut bench, 0, &[event(7, 5), event(9, 1)]).await;
    let row = reconciled(&bench).await;
    assert_eq!(row.hours_recomputed, 1);
    assert_eq!(drift_of(&row, 0), [Some(2), Some(1), Some(1), Some(1), Some(0)]);
    // Answers had 5 more, and now have the 5 instead of the 100.
    assert_eq!(drift_of(&row, 1), [Some(6), Some(-94), Some(100), Some(100), Some(0)]);
    assert_eq!(row.drift.map(|drift| (drift.duplicates, drift.unexplained)), Some((1, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_of_the_speed_layer_explains_is_named() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = patient(&redis).await;
    open(&bench, 0, 0, definition(&bench)).await;
    both(&mut bench, 0, &[event(1, 1)]).await;
    reconciled(&bench).await;
    archived(&mut bench, 0, &[event(2, 5), event(3, 1)]).await;
    counted(&bench, 0, &[event(2, 5)]).await;
    let row = reconciled(&bench).await;
    assert_eq!(drift_of(&row, 0), [Some(1), Some(2), Some(-1), Some(0), Some(-1)]);
    assert_eq!(row.drift.map(|drift| (drift.duplicates, drift.unexplained)), Some((0, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_slices_of_exactly_these_offsets_nothing_is_compared() {
    let other: DefinitionHash = "00000000000000aa".parse().expect("16 digits");
    for why in ["no_shard", "no_slice_at_cut", "not_counted_since", "lost", "closed", "log_truncated"] {
        let redis = Redis::start().await.expect("a Redis");
        let mut bench = patient(&redis).await;
        archived(&mut bench, 0, &[event(1, 1)]).await;
        let first = reconciled(&bench).await;
        assert_eq!((first.comparable, first.reason.as_deref()), (false, Some("rebuilt")));
        let id = partitions()[0].clone();
        match why {
            "no_slice_at_cut" => open(&bench, 0, 2, definition(&bench)).await,
            "not_counted_since" => open(&bench, 0, 1, other.clone()).await,
            "log_truncated" | "lost" | "closed" => open(&bench, 0, 1, definition(&bench)).await,
            _ => {}
        }
        if why == "lost" {
            bench.archive.change("LOSE", |facts| facts.lose(&id, 3)).await.expect("noted");
        }
        archived(&mut bench, 0, &[event(2, 1), event(3, 1)]).await;
        if !matches!(why, "no_shard" | "no_slice_at_cut") {
            counted(&bench, 0, &[event(2, 1), event(3, 1)]).await;
        }
        if why == "not_counted_since" {
            let (mut redis, keys) = connected(&bench, 0).await;
            let adopted = ShardClient::default().adopt(&mut redis, &keys, &[definition(&bench)]).await;
            assert!(matches!(adopted, Ok(Reply::Done(_))), "{adopted:?}");
        }
        if why == "closed" {
            bench.archive.change("CLOSE", |facts| facts.close(LOG)).await.expect("noted");
        }
        if why == "log_truncated" {
            let (mut redis, keys) = connected(&bench, 0).await;
            ShardClient::default().mark(&mut redis, &keys, Instance::new(1), 2).await.expect("marked");
        }
        let row = reconciled(&bench).await;
        // The archive learns from the mark that the log has ended.
        let expected = if why == "log_truncated" { "closed" } else { why };
        assert_eq!((row.view_version, row.comparable, row.reason.as_deref()), (2, false, Some(expected)));
        assert!(row.detail.is_some_and(|detail| detail.contains(LOG)), "{why}");
        assert_eq!(row.drift, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_file_is_not_compared_and_its_copies_are_none_that_speed_could_know() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = patient(&redis).await;
    open(&bench, 0, 0, definition(&bench)).await;
    open(&bench, 1, 0, definition(&bench)).await;
    both(&mut bench, 0, &[event(1, 1)]).await;
    reconciled(&bench).await;
    imported(&mut bench, &[event(2, 1)]).await;
    both(&mut bench, 0, &[event(3, 1)]).await;
    let row = reconciled(&bench).await;
    assert_eq!((row.view_version, row.comparable, row.reason.as_deref()), (2, false, Some("imported")));

    // The reconcile has settled the file's log.
    bench.archive.refresh().await.expect("read");
    both(&mut bench, 0, &[event(2, 1), event(4, 1)]).await;
    let row = reconciled(&bench).await;
    assert_eq!(row.hours_recomputed, 1, "the topic's log comes first");
    assert_eq!(drift_of(&row, 0), [Some(2), Some(1), Some(1), Some(1), Some(0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rollback_everything_from_the_lowered_cut_on_is_compared_unless_its_slices_are_dropped() {
    for are_dropped in [false, true] {
        let redis = Redis::start().await.expect("a Redis");
        let mut bench = patient(&redis).await;
        open(&bench, 0, 0, definition(&bench)).await;
        open(&bench, 1, 0, definition(&bench)).await;
        for id in 1..=3 {
            both(&mut bench, 0, &[event(id, 1)]).await;
            reconciled(&bench).await;
        }
        bench.reconciler.roll_back(bench.metric(), Some(1)).await.expect("rolled back");
        bench.reconciler.resume(bench.metric()).await.expect("resumed");
        if are_dropped {
            let (mut redis, keys) = connected(&bench, 0).await;
            let dropped = ShardClient::default().drop_below(&mut redis, &keys, 3).await;
            assert!(matches!(dropped, Ok(Reply::Done(_))), "{dropped:?}");
        }
        both(&mut bench, 0, &[event(4, 1)]).await;
        let row = reconciled(&bench).await;
        assert_eq!((row.view_version, row.offsets, row.rows_added), (6, 3, 3));
        let reason = are_dropped.then_some("no_slice_at_cut");
        assert_eq!((row.comparable, row.reason.as_deref()), (!are_dropped, reason));
        if !are_dropped {
            assert_eq!(drift_of(&row, 0), [Some(3), Some(3), Some(0), Some(0), Some(0)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_not_compared_until_it_lies_below_the_window() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = patient(&redis).await;
    open(&bench, 0, 0, definition(&bench)).await;
    open(&bench, 1, 0, definition(&bench)).await;
    both(&mut bench, 0, &[event(1, 1), event(2, 1)]).await;
    reconciled(&bench).await;
    assert_eq!(erase(&mut bench, "id = 1", 9).await.events, 1);
    for (id, reason) in [(3, Some("erased")), (4, Some("erased")), (5, None)] {
        both(&mut bench, 0, &[event(id, 1)]).await;
        assert_eq!(reconciled(&bench).await.reason.as_deref(), reason, "{id}");
        // The reconcile has noted how far the erasure has come.
        bench.archive.refresh().await.expect("read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_does_not_answer_holds_no_commit_up() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis, Span::from_millis(500)).await;
    open(&bench, 0, 0, definition(&bench)).await;
    open(&bench, 1, 0, definition(&bench)).await;
    both(&mut bench, 0, &[event(1, 1)]).await;
    reconciled(&bench).await;
    both(&mut bench, 0, &[event(2, 1)]).await;
    let prepared = bench.reconciler.prepare(bench.source(), &CancellationToken::new()).await;
    let mut prepared = prepared.expect("prepared").expect("an archive");
    redis.suspend().expect("frozen");
    let changed = bench.reconciler.attempts(bench.metric(), &mut prepared, false).await;
    redis.resume().expect("thawed");
    let outcome = changed.expect("committed").expect("its own view");
    assert!(matches!(outcome, Outcome::Changed(Changed { version: 2, .. })), "{outcome:?}");
    let [row] = prepared.reconciliations.as_slice() else { panic!("{:?}", prepared.reconciliations) };
    assert_eq!((row.comparable, row.reason.as_deref(), row.rows_added), (false, Some("not_measured"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_that_cannot_keep_its_row_succeeds_all_the_same() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = patient(&redis).await;
    archived(&mut bench, 0, &[event(1, 1)]).await;
    // A file lies where the table's folder would.
    let folder = bench.reconciler.storage.folder().expect("on local disk");
    std::fs::write(folder.join("reconciliations"), "").expect("written");
    let reports = bench.reconciler.run(&CancellationToken::new()).await.expect("reconciled");
    assert!(matches!(&reports[0].outcome, Outcome::Changed(Changed { version: 1, .. })), "{reports:?}");
}
