//! A full topic that workers count: CPU of each part, and what Redis holds and was sent.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::end_offsets;
use e2e_tests::scenario::Scenario;
use e2e_tests::{Layer, Stage};
use test_kit::{DEADLINE, Process, Progress, wait_for};

use super::cpu::Broker;
use super::events::{Events, catalog};
use super::model::{Flags, Model, of_layer};
use crate::figures::Figures;
use crate::full_topic::fill;
use crate::speed::Shards;
use crate::usage::Usage;

const EVENTS: u64 = 1_500_000;
/// How often it is looked how far the workers have come.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const COUNTED_WITHIN: Duration = Duration::from_secs(120);
/// The model is taken for right within this.
const TOLERANCE: f64 = 0.3;

/// What is counted by how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counting {
    /// Of the topic.
    pub(super) partitions: i32,
    /// Different videos, each equally often.
    pub(super) keys: u32,
    /// By video.
    pub(super) metrics: u32,
    /// Buckets that the events fill.
    pub(super) minutes: u64,
    /// Processes that count.
    pub(super) workers: u32,
}

impl Counting {
    fn name(&self) -> String {
        let Counting { partitions, keys, metrics, minutes, workers } = self;
        format!("{keys}_keys_{metrics}_metrics_{partitions}_partitions_{minutes}_minutes_{workers}_workers")
    }

    /// A million events per second of it, so that cores are CPU seconds of a million.
    fn million(&self) -> Flags {
        let flags = Flags::of(1e6, self.keys, self.metrics).plain();
        flags.with("partitions", self.partitions).with("catching-up", true)
    }

    /// What fills Redis with its minutes. Redis holds two times what arrives between two reconciles.
    fn minutes_in_redis(&self) -> Flags {
        let seconds = 60 * self.minutes;
        let flags = Flags::of(EVENTS as f64 / seconds as f64, self.keys, self.metrics).plain();
        flags.with("partitions", self.partitions).with("reconcile-every", format!("{}s", seconds / 2))
    }

    /// How many group keys each metric has in the shards, and how many pairs of a key and a bucket; with the total of each shard.
    pub(super) fn in_redis(&self) -> [f64; 2] {
        let (keys, minutes) = (f64::from(self.keys), self.minutes as f64);
        let among = |events: f64| keys * -(-events / keys).exp_m1() + f64::from(self.partitions);
        let metrics = f64::from(self.metrics);
        [metrics * among(EVENTS as f64), metrics * minutes * among(EVENTS as f64 / minutes)]
    }
}

/// How it went.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    /// What was counted.
    pub(super) counting: Counting,
    /// How many counters an event changes, as the model knows.
    pub(super) counters: f64,
    /// From the first micro-batch to the last.
    pub(super) events_per_second: f64,
    /// CPU of all workers for an event, in microseconds; their starts included.
    pub(super) worker_us: f64,
    /// CPU of Redis for an event.
    pub(super) redis_us: f64,
    /// CPU of the broker for a record that was written.
    pub(super) written_us: f64,
    /// CPU of the broker for a record that was read.
    pub(super) read_us: f64,
    /// What Redis holds more than before.
    pub(super) redis_bytes: f64,
    /// What it was sent for an event.
    pub(super) sent_bytes: f64,
}

impl Counted {
    /// Fills a topic, and lets workers count it.
    pub(super) async fn of(scenario: &Scenario, counting: Counting, model: &Model) -> Result<Counted> {
        let Counting { partitions, keys, metrics, minutes, workers } = counting;
        let setup = Stage::of(scenario).as_users_get_it().set("archive.linger", "300ms").partitions(partitions);
        let setup = setup.catalog(|name| catalog(name, partitions, metrics)).running(&[Layer::Archive]);
        let stage = setup.start().await?;
        let deployment = &stage.deployment;
        let begin = deployment.store().join("archive/views/_delta_log/00000000000000000001.json");
        wait_for("the archive's begin", DEADLINE, async || Ok(Progress::when(begin.exists(), "no commit"))).await?;
        deployment.kill(Layer::Archive);

        let before = Broker::now()?;
        let mut events = Events::of(keys, EVENTS, minutes);
        fill(&stage, || events.next(), EVENTS)?;
        let written_s = Broker::now()? - before;

        let (broker, redis, held) = (Broker::now()?, Usage::of(stage.redis.id()?)?, InRedis::of(&stage).await?);
        let others = (1..workers).map(|at| deployment.beside(&format!("worker-{at}"), &stage.catalog));
        let others = others.collect::<Result<Vec<_>>>()?;
        let started: Vec<Process> = std::iter::once(deployment)
            .chain(&others)
            .map(|deployment| deployment.launch(Layer::Speed, ""))
            .collect::<Result<_>>()?;
        let events_per_second = until_counted(&stage, partitions).await?;

        let worker_s: f64 =
            started.iter().map(|worker| Usage::of(worker.id()).map(|usage| usage.cpu_seconds)).sum::<Result<f64>>()?;
        let redis_s = Usage::of(stage.redis.id()?)?.cpu_seconds - redis.cpu_seconds;
        let read_s = Broker::now()? - broker;
        let now = InRedis::of(&stage).await?;
        let us = |seconds: f64| seconds * 1e6 / EVENTS as f64;
        let estimate = model.estimate(&counting.million()).await?;
        Ok(Counted {
            counting,
            counters: estimate["counters_per_event"].as_f64().context("no counters of an event")?,
            events_per_second,
            worker_us: us(worker_s),
            redis_us: us(redis_s),
            written_us: us(written_s),
            read_us: us(read_s),
            redis_bytes: now.bytes - held.bytes,
            sent_bytes: (now.received - held.received) / EVENTS as f64,
        })
    }

    /// Adds what was measured beside what the model predicts; returns the points, as a test holds the model to them.
    pub(super) async fn beside(&self, model: &Model, figures: &mut Figures) -> Result<String> {
        let (name, cores, memory) = (self.counting.name(), self.counting.million(), self.counting.minutes_in_redis());
        let million = model.estimate(&cores).await?;
        let (worker, redis) = (of_layer(&million, "speed", "cores")?, of_layer(&million, "redis", "cores")?);
        let empty = model.estimate(&Flags::of(1e-6, 1, 1).plain()).await?;
        let of_empty = of_layer(&empty, "redis", "memory_bytes")?;
        let held = of_layer(&model.estimate(&memory).await?, "redis", "memory_bytes")? - of_empty;
        figures.add(format!("growth_events_per_second_{name}"), self.events_per_second, "events/s");
        figures.beside(format!("growth_worker_cpu_per_event_{name}"), self.worker_us, "µs", worker);
        figures.beside(format!("growth_redis_cpu_per_event_{name}"), self.redis_us, "µs", redis);
        figures.beside(format!("growth_redis_bytes_{name}"), self.redis_bytes, "bytes", held);
        let point = |layer: &str, of: &str, measured: f64, flags: &Flags| {
            let workload = flags.toml();
            format!(
                "[[point]]\nname = \"{name}\"\nlayers = [\"{layer}\"]\nof = \"{of}\"\nmeasured = {measured}\ntolerance = {TOLERANCE}\n\
                 source = \"bench growth\"\nworkload = {workload}\n\n"
            )
        };
        let of_memory = self.redis_bytes + of_empty;
        Ok([
            point("speed", "cores", self.worker_us, &cores),
            point("redis", "cores", self.redis_us, &cores),
            point("redis", "memory_bytes", of_memory, &memory),
        ]
        .concat())
    }
}

/// Waits until all is counted; returns how many events a second that were, from the first micro-batch on.
async fn until_counted(stage: &Stage, partitions: i32) -> Result<f64> {
    let end: i64 = end_offsets(&stage.brokers, &stage.topic)?.iter().sum();
    let mut shards = Shards::new(stage.redis.connection().await?, usize::try_from(partitions)?).await?;
    let launched = Instant::now();
    let (mut reached, mut first) = (0, None);
    while reached < end {
        tokio::time::sleep(LOOK_EVERY).await;
        ensure!(launched.elapsed() < COUNTED_WITHIN, "the workers stand at {reached} of {end}");
        reached = shards.reached().await?;
        if reached > 0 {
            first.get_or_insert_with(|| (reached, Instant::now()));
        }
    }
    let (from, began) = first.context("nothing was counted")?;
    // Everything may have been counted between two looks.
    Ok((end - from) as f64 / began.elapsed().max(LOOK_EVERY).as_secs_f64())
}

/// What Redis says of itself.
struct InRedis {
    /// What its data and its own structures take.
    bytes: f64,
    /// What it was sent since its start.
    received: f64,
}

impl InRedis {
    async fn of(stage: &Stage) -> Result<InRedis> {
        let mut connection = stage.redis.connection().await?;
        let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
        let number = |name: &str| -> Result<f64> {
            let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            Ok(found.with_context(|| format!("Redis does not say {name}"))?.trim().parse()?)
        };
        Ok(InRedis { bytes: number("used_memory")?, received: number("total_net_input_bytes")? })
    }
}
