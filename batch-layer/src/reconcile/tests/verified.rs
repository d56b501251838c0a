//! K5, K6: what is counted first for a version, and what a verification finds: on a real Redis, in a real store.

use platform::settings::{Secret, Span};
use polars::prelude::df;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Addition, Instance, KnownFields, ShardKeys};
use shared_logic::log::PartitionId;
use shared_logic::plan::SourcePlan;
use shared_logic::version::ReplayFrom;
use storage::ShardClient;
use test_kit::Redis;

use super::super::*;
use super::bench::{Bench, CATALOG, Event, LOG, Record};
use crate::progress::Progress;
use crate::rows;
use crate::version::{self, Verdict, VerifyReport};

/// An earlier copy counts that lies at most so many offsets back.
const WINDOW: i64 = 2;

/// A version whose shard lies in a Redis of its own.
struct World {
    bench: Bench,
    settings: Settings,
    _redis: Redis,
}

fn id() -> PartitionId {
    PartitionId::new(LOG, 0)
}

fn event(id: i64, k: &'static str, n: i64) -> Event {
    Event { house: "h", id, at_ms: id * 3_600_000, k: Some(k), n }
}

impl World {
    async fn new() -> World {
        let redis = Redis::start().await.expect("a Redis");
        let url = Secret::from(redis.url());
        let of_redis = settings::Redis { url, response_timeout: Span::from_secs(60), ..Default::default() };
        let moment = Span::from_millis(1);
        let reconcile = settings::Reconcile { retry_backoff: moment, wait: moment, poll: moment, ..Default::default() };
        let settings = Settings { redis: of_redis, reconcile, ..Settings::default() };
        let catalog = CATALOG.replace("[sources.s]\n", &format!("[sources.s]\ndedup_window = {WINDOW}\n"));
        let bench = Bench::of(&catalog, settings.clone(), &[id()]).await;
        let store = settings::Store { url: bench.folder.path().display().to_string(), ..Default::default() };
        World { settings: Settings { store, ..settings }, bench, _redis: redis }
    }

    async fn shard(&self) -> (platform::redis::Connection, ShardKeys) {
        let keys = ShardKeys::new(&self.bench.reconciler.catalog.deployment, "s", &id());
        (platform::redis::connect(&self.settings.redis).await.expect("connected"), keys)
    }

    /// Opens the shard at an offset.
    async fn open(&self, at: i64) {
        let definitions = [self.bench.reconciler.catalog.definition(self.bench.metric())];
        let (mut redis, keys) = self.shard().await;
        let opened = ShardClient::default().open(&mut redis, &keys, at, &definitions, Instance::new(1)).await;
        assert!(matches!(opened, Ok(Reply::Done(_))), "{opened:?}");
    }

    async fn archived(&mut self, events: &[Event]) {
        let places = (self.bench.next(&id())..).zip(events);
        let record = |(offset, event): (i64, &Event)| Record { id: id(), offset, event: Some(event.clone()) };
        let records: Vec<Record> = places.map(record).collect();
        self.bench.archive_these(LOG, &records).await;
    }

    /// Lets the shard count those events, up to where the partition is archived.
    async fn counted(&self, events: &[Event]) {
        let (source, metric) = (self.bench.source().clone(), self.bench.metric().clone());
        let of = |value: fn(&Event) -> i64| events.iter().map(value).collect::<Vec<i64>>();
        let keys: Vec<Option<&str>> = events.iter().map(|event| event.k).collect();
        let frame = df!("at" => of(|event| event.at_ms * 1_000), "n" => of(|event| event.n), "k" => keys);
        let count = events.len();
        let partials = rows::compute("count", "events", move || {
            let plan = SourcePlan::new(&source, [&metric]);
            let encoded = plan.encode(frame?)?;
            Ok(plan.count(&encoded, 0, &[count], usize::MAX).partials.remove(0))
        });
        let definition = self.bench.reconciler.catalog.definition(self.bench.metric());
        let additions = [Addition::new(definition, self.bench.metric(), &partials.await.expect("counted"))];
        let ((mut redis, keys), client) = (self.shard().await, ShardClient::default());
        let expected = client.positions(&mut redis, &keys).await.expect("read").expect("it was opened").expected();
        let mut unknown = KnownFields::default();
        let (_, held) = client.held(&mut redis, &keys, &expected, &additions, &unknown).await.expect("read");
        let merged = additions.iter().zip(&held);
        let merged = merged.map(|(addition, held)| (addition, addition.merged(&mut unknown, held).expect("merged")));
        let applied = client.apply(&mut redis, &keys, &expected, self.bench.next(&id()), None, merged).await;
        assert!(matches!(applied, Ok(Reply::Done(_))), "{applied:?}");
    }

    async fn both(&mut self, events: &[Event]) {
        self.archived(events).await;
        self.counted(events).await;
    }

    async fn verify(&self) -> VerifyReport {
        let (progress, stop) = (Progress::default(), CancellationToken::new());
        let versions = &self.bench.reconciler.versions;
        version::verify(&self.settings, versions, versions.active_name(), &progress, &stop).await.expect("verified")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_by_the_rules_is_equal_and_copies_beyond_the_window_are_drift() {
    let mut world = World::new().await;
    world.open(0).await;
    world.both(&[event(1, "a", 1), event(2, "b", 2), event(3, "a", 3)]).await;
    // A copy within the window, and one beyond it, which speed counts.
    world.archived(&[event(3, "a", 3), event(1, "b", 9), event(30, "c", 1)]).await;
    world.counted(&[event(1, "b", 9), event(30, "c", 1)]).await;
    let report = world.verify().await;
    assert_eq!((report.verdict, &report.why), (Verdict::Equal, &vec![]), "{report}");
    let metric = &report.metrics[0];
    assert_eq!((metric.compared, metric.equal), (metric.buckets * 2, metric.compared), "{metric:?}");
    // a, b and everything on one day; c and everything on the next.
    assert_eq!((metric.keys, metric.differences.len()), (5, 0));
    assert_eq!(metric.drift.as_ref().map(|drift| (drift.duplicates, drift.unexplained)), Some((1, 0)));
    assert_eq!(report.offsets["s"].get(&id()), Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_counted_otherwise_is_named_with_its_records() {
    let mut world = World::new().await;
    world.open(0).await;
    world.archived(&[event(1, "a", 1), event(2, "b", 2), event(3, "z", 3)]).await;
    world.counted(&[event(1, "a", 1), event(2, "b", 2), event(3, "z", 4)]).await;
    let report = world.verify().await;
    assert_eq!(report.verdict, Verdict::Differs, "{report}");
    let differences = &report.metrics[0].differences;
    let keys: Vec<String> = differences.iter().map(|difference| difference.key.to_string()).collect();
    assert_eq!(keys.len(), 2, "the key, and everything together: {keys:?}");
    assert!(keys.contains(&"[\"z\"]".to_owned()) && keys.contains(&"[]".to_owned()), "{keys:?}");
    assert!(differences.iter().all(|one| one.measure == "total" && one.bucket == "1970-01-01T03:00:00Z"));
    let place = &report.metrics[0].places[0];
    assert_eq!((place.log.as_str(), place.partition, place.offsets), (LOG, 0, (2, 3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_from_the_archive_is_part_of_the_replay() {
    let mut world = World::new().await;
    // Of the event 1, a copy lies beyond the window, which the archive's count leaves out.
    world.archived(&[event(1, "a", 1), event(2, "b", 2), event(3, "b", 2), event(1, "a", 1)]).await;
    let stop = CancellationToken::new();
    let counted = version::count(&world.bench.reconciler, ReplayFrom::Archive, &stop).await.expect("counted");
    assert_eq!((counted.reports.len(), counted.left.len(), counted.is_unfinished), (1, 0, false));
    assert_eq!(world.bench.read().await, (1, Some(4), 3));
    assert_eq!(world.verify().await.verdict, Verdict::NotPossible, "the speed layer does not count it yet");
    world.open(4).await;
    world.both(&[event(4, "a", 1)]).await;
    let report = world.verify().await;
    assert_eq!(report.verdict, Verdict::Equal, "{report}");
    assert_eq!(report.metrics[0].compared, report.metrics[0].equal);
    assert_eq!(report.metrics[0].keys, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_is_counted_first_only_while_there_is_no_shard() {
    let mut world = World::new().await;
    world.open(0).await;
    world.both(&[event(1, "a", 1)]).await;
    let stop = CancellationToken::new();
    let counted = version::count(&world.bench.reconciler, ReplayFrom::Archive, &stop).await.expect("looked");
    assert_eq!((counted.reports.len(), counted.left), (0, vec!["s".to_owned()]));
    let view = world.bench.reconciler.storage.batch_view("m").await.expect("read");
    assert!(view.is_none_or(|view| view.note().is_none()), "its first reconcile follows its verification");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_from_the_log_counts_of_the_archive_what_has_ended() {
    let mut world = World::new().await;
    world.archived(&[event(1, "a", 1), event(2, "b", 2)]).await;
    let next = PartitionId::new("next", 0);
    let begin = |facts: &mut shared_logic::contracts::archive::Facts| {
        facts.log_mut(LOG).closed = true;
        facts.begin(&next, 0);
    };
    world.bench.archive.change("CLOSE", begin).await.expect("closed");
    let record = Record { id: next.clone(), offset: 0, event: Some(event(3, "c", 1)) };
    world.bench.archive_these("next", &[record]).await;
    let stop = CancellationToken::new();
    version::count(&world.bench.reconciler, ReplayFrom::Log, &stop).await.expect("counted");
    let view = world.bench.view().await;
    let cut = view.note().expect("committed").cut.clone();
    assert_eq!((cut.get(&id()), cut.get(&next)), (Some(2), Some(0)), "the log that goes on is left to the speed layer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_removed_leaves_no_counters_and_removing_it_again_changes_nothing() {
    let mut world = World::new().await;
    world.open(0).await;
    world.both(&[event(1, "a", 1), event(30, "b", 2)]).await;
    let ((mut redis, keys), client) = (world.shard().await, ShardClient::default());
    for expected in [2, 0] {
        let mut removed = 0;
        client.remove(&mut redis, &keys, |keys| removed += keys).await.expect("removed");
        assert_eq!(removed, expected, "the shard, and the counters of its slice");
        assert!(client.is_gone(&mut redis, &keys).await.expect("looked"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_begins_too_late_is_a_gap_with_its_place() {
    let mut world = World::new().await;
    world.archived(&[event(1, "a", 1)]).await;
    world.open(1).await;
    world.both(&[event(2, "b", 2)]).await;
    let report = world.verify().await;
    assert_eq!(report.verdict, Verdict::NotPossible);
    assert_eq!(report.why, ["metric m: offsets 0 to 2 of log/0: no slice of log/0 began at the old cut 0"]);
}
