//! All counters of a shard, read in steps while a worker goes on counting: what is read is what the shard held at one position.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use platform::redis::Connection;
use platform::settings::{Redis as Settings, Secret};
use polars::prelude::*;
use shared_logic::catalog::{Catalog, DefinitionHash};
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Addition, Held, Instance, KnownFields, Shard, ShardKeys, State, scanned};
use shared_logic::log::PartitionId;
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::partial::{BUCKET, Partials};
use storage::{ShardClient, Sweep, SweptFields, Wish};
use test_kit::catalogs::TINY;
use test_kit::{DEADLINE, Redis};
use tokio::time::timeout;

/// So many that a slice takes several steps.
const KEYS: usize = 3_000;
/// What one micro-batch moves the cursor by.
const STEP: i64 = 10;

/// A worker that counts one event of each key with every micro-batch. So at any position, all keys have the same count.
#[derive(Clone)]
struct Worker {
    client: ShardClient,
    keys: ShardKeys,
    /// Of two definitions; what the second one counts is swept. So a note has five items, and few steps end with one.
    additions: [Addition; 2],
    redis: Connection,
    server: Arc<Redis>,
}

impl Worker {
    async fn new(keys: usize) -> Worker {
        let catalog = Catalog::parse(TINY).expect("a valid catalog");
        let (source, metric) = (&catalog.sources["s"], &catalog.metrics["m"]);
        let names: Vec<String> = (0..keys).map(|n| format!("key-{n}")).collect();
        let frame = df!("k" => names, BUCKET => vec![0_i64; keys], "n" => vec![1_i64; keys]).expect("three columns");
        let partials = Partials::of_frame(source, metric, &frame, |_| true).expect("their types");
        let server = Redis::start().await.expect("redis starts");
        let other: DefinitionHash = "00000000000000aa".parse().expect("16 digits");
        let worker = Worker {
            client: ShardClient::default(),
            keys: ShardKeys::new(&catalog.deployment, "s", &PartitionId::new("log", 0)),
            additions: [other, catalog.definition(metric)].map(|of| Addition::new(of, metric, &partials)),
            redis: connected(&server).await,
            server: Arc::new(server),
        };
        let mut redis = worker.redis.clone();
        let definitions = [0, 1].map(|of| worker.additions[of].definition.clone());
        let opened = worker.client.open(&mut redis, &worker.keys, 0_i64, &definitions, Instance::new(1)).await;
        done(opened.expect("redis answers"));
        worker
    }

    fn definition(&self) -> &DefinitionHash {
        &self.additions[1].definition
    }

    async fn count(&mut self) {
        let shard = self.client.positions(&mut self.redis, &self.keys).await.expect("read").expect("a shard");
        let (expected, mut unknown) = (shard.expected(), KnownFields::default());
        let held = self.client.held(&mut self.redis, &self.keys, &expected, &self.additions, &unknown).await;
        let (_, held) = held.expect("redis answers");
        let merge = |(addition, held): (&Addition, &Held)| addition.merged(&mut unknown, held);
        let merged = self.additions.iter().zip(&held).map(merge).collect::<Result<Vec<_>, _>>();
        let merged = self.additions.iter().zip(merged.expect("of the form that workers write"));
        let to = expected.cursor + STEP;
        let applied = self.client.apply(&mut self.redis, &self.keys, &expected, to, None, merged).await;
        done(applied.expect("redis answers"));
    }

    async fn rotate(&mut self) {
        done(self.client.rotate(&mut self.redis, &self.keys, 1_000).await.expect("redis answers"));
    }

    async fn sweep(&self, redis: &mut Connection, from: i64) -> Sweep {
        let wish = Wish { definition: self.definition(), from, is_wanted: &|_| true };
        let swept = timeout(DEADLINE, self.client.read_in_steps(redis, &self.keys, wish)).await;
        swept.expect("in time").expect("redis answers")
    }
}

async fn connected(server: &Redis) -> Connection {
    let settings = Settings { url: Secret::from(server.url().as_str()), ..Settings::default() };
    platform::redis::connect(&settings).await.expect("redis answers")
}

fn done(reply: Reply) -> Shard {
    match reply {
        Reply::Done(shard) => shard,
        Reply::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn of(sweep: Sweep) -> (State, BTreeMap<i64, SweptFields>) {
    match sweep {
        Sweep::Of(state, slices) => (state, slices),
        other => panic!("{other:?}"),
    }
}

/// By key, the count over all slices.
fn counts(slices: &BTreeMap<i64, SweptFields>) -> BTreeMap<String, i128> {
    let mut counts = BTreeMap::new();
    for (name, field) in slices.values().flatten() {
        let (key, counters) = scanned(name, field, &[MeasureKind::Count]).expect("of the form that workers write");
        for (.., value) in counters {
            let Value::Int(count) = value else { panic!("a count is {value:?}") };
            *counts.entry(key.to_owned()).or_default() += count;
        }
    }
    counts
}

/// Every key has as many events as the shard had counted from that offset on at its position.
fn is_whole(state: &State, slices: &BTreeMap<i64, SweptFields>, from: i64, keys: usize) {
    let expected = i128::from((state.shard.cursor - from) / STEP);
    let counts = counts(slices);
    assert_eq!(counts.len(), if expected == 0 { 0 } else { keys }, "at {}", state.shard.cursor);
    for (key, count) in counts {
        assert_eq!(count, expected, "{key} at {}", state.shard.cursor);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_in_steps_is_what_was_there_at_one_position() {
    let mut worker = Worker::new(KEYS).await;
    for _ in 0..3 {
        worker.count().await;
        worker.rotate().await;
    }
    let mut redis = connected(&worker.server).await;
    let (state, slices) = of(worker.sweep(&mut redis, 0).await);
    is_whole(&state, &slices, 0, KEYS);
    assert_eq!(slices.keys().copied().collect::<Vec<_>>(), [0, 10, 20, 30]);
    let (state, slices) = of(worker.sweep(&mut redis, 20).await);
    is_whole(&state, &slices, 20, KEYS);
    assert_eq!(slices.keys().copied().collect::<Vec<_>>(), [20, 30], "slices below do not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_meanwhile_is_put_over_what_was_read() {
    sweep_while_it_counts(KEYS, 5, 10).await;
}

/// With few keys, notes come as fast as they are read: most sweeps read the end of the list while it grows.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_noted_while_notes_are_read_is_not_of_that_position() {
    sweep_while_it_counts(3, 50, 500).await;
}

/// Sweeps until that many of them have begun before a micro-batch and ended after it.
async fn sweep_while_it_counts(keys: usize, rotate_every: usize, wanted: usize) {
    let mut worker = Worker::new(keys).await;
    worker.count().await;
    let reader = worker.clone();
    let mut redis = connected(&worker.server).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let counting = {
        let is_over = Arc::clone(&is_over);
        tokio::spawn(async move {
            let mut micro_batches = 0;
            while !is_over.load(Ordering::SeqCst) {
                worker.count().await;
                micro_batches += 1;
                // A slice that is opened while others are read has only what was noted.
                if micro_batches % rotate_every == 0 {
                    worker.rotate().await;
                }
            }
            worker
        })
    };
    let (mut moved, mut sweeps) = (0, 0);
    while moved < wanted {
        let before = reader.client.positions(&mut redis, &reader.keys).await.expect("read").expect("a shard");
        let (state, slices) = of(reader.sweep(&mut redis, 0).await);
        is_whole(&state, &slices, 0, keys);
        moved += usize::from(state.shard.cursor > before.cursor);
        sweeps += 1;
        assert!(sweeps < 2_000, "only {moved} sweeps in which something changed");
    }
    is_over.store(true, Ordering::SeqCst);
    let worker = timeout(DEADLINE, counting).await.expect("in time").expect("no panic");
    let (state, slices) = of(worker.sweep(&mut redis, 0).await);
    is_whole(&state, &slices, 0, keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_nobody_has_noted_are_not_guessed() {
    let mut worker = Worker::new(KEYS).await;
    worker.count().await;
    let mut redis = connected(&worker.server).await;
    // As a worker of an older build does, which knows of no notes.
    let moved = Mutex::new(worker.server.connection_blocking().expect("redis answers"));
    let is_wanted = |_: &str| {
        let mut moved = moved.lock().expect("no panic");
        redis::cmd("HINCRBY").arg(worker.keys.shard()).arg("cursor").arg(1).query::<()>(&mut *moved).expect("done");
        true
    };
    let wish = Wish { definition: worker.definition(), from: 0, is_wanted: &is_wanted };
    let swept = timeout(DEADLINE, worker.client.read_in_steps(&mut redis, &worker.keys, wish)).await;
    assert_eq!(swept.expect("in time").expect("redis answers"), Sweep::Overtaken);
    let (_, slices) = of(worker.sweep(&mut redis, 0).await);
    assert_eq!(counts(&slices).len(), KEYS, "nothing moves any more");
}

/// As where a replica takes the place of its primary: what was read before may be newer than what is there now, whatever the cursor says.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_of_another_life_of_the_data_is_read_again() {
    let mut worker = Worker::new(KEYS).await;
    worker.count().await;
    let (server, looked) = (Arc::clone(&worker.server), AtomicUsize::new(0));
    let is_wanted = |_: &str| {
        if looked.fetch_add(1, Ordering::SeqCst) == KEYS / 2 {
            let mut other = server.connection_blocking().expect("redis answers");
            for of in [["127.0.0.1", "1"], ["NO", "ONE"]] {
                redis::cmd("REPLICAOF").arg(&of).query::<()>(&mut other).expect("done");
            }
        }
        true
    };
    let mut redis = connected(&worker.server).await;
    let wish = Wish { definition: worker.definition(), from: 0, is_wanted: &is_wanted };
    let (state, slices) = of(worker.client.read_in_steps(&mut redis, &worker.keys, wish).await.expect("redis answers"));
    is_whole(&state, &slices, 0, KEYS);
    assert!(looked.load(Ordering::SeqCst) >= 2 * KEYS, "it was read once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_only_reads_is_read() {
    let mut worker = Worker::new(KEYS).await;
    worker.count().await;
    let mut redis = connected(&worker.server).await;
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).query_async::<()>(&mut redis).await.expect("done");
    let (state, slices) = of(worker.sweep(&mut redis, 0).await);
    is_whole(&state, &slices, 0, KEYS);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_wanted_is_kept_and_all_is_counted() {
    let mut worker = Worker::new(KEYS).await;
    worker.count().await;
    worker.rotate().await;
    worker.count().await;
    let mut redis = connected(&worker.server).await;
    let shard = worker.client.positions(&mut redis, &worker.keys).await.expect("read").expect("a shard");
    let state = State { shard, as_of_us: None, begin: None };
    for (from, slices) in [(0, 2), (10, 1), (11, 0)] {
        let asked = [(&worker.keys, &state, from)];
        let fields = worker.client.count_fields(&mut redis, worker.definition(), &asked).await.expect("redis answers");
        assert_eq!(fields, slices * KEYS as u64, "from {from}");
    }
    let wish = Wish { definition: worker.definition(), from: 0, is_wanted: &|field| field == "[\"key-7\"]" };
    let (_, slices) = of(worker.client.read_in_steps(&mut redis, &worker.keys, wish).await.expect("redis answers"));
    assert_eq!(counts(&slices), BTreeMap::from([("[\"key-7\"]".to_owned(), 2)]));
    // What was asked of workers ends by itself.
    let left: i64 = redis::cmd("PTTL").arg(worker.keys.sweep()).query_async(&mut redis).await.expect("redis answers");
    assert!((1..=30_000).contains(&left), "{left} ms");
}
