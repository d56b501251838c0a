//! `speed_events_per_second`: from a full topic to counters applied, beside a bare consumer that reads and drops. Of the sample
//! metric, with few and with many hot keys; of ten metrics by two columns; and of a metric with `distinct` beside `count()`.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e_tests::kafka::end_offsets;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::{CatalogOptions, catalog};
use e2e_tests::{Layer, Stage};
use redis::AsyncCommands;
use test_kit::{DEADLINE, Progress, wait_for};

use crate::figures::Figures;
use crate::full_topic::{bare_consumer, fill};
use crate::load::{Events, Keys};
use crate::ten_metrics;
use crate::usage::Usage;

/// How many events fill the topic.
const EVENTS: u64 = 6_000_000;
const PARTITIONS: i32 = 4;

/// What is counted, and of which events.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Workload {
    /// The sample metric, by its one column.
    OneMetric(Keys),
    /// Ten metrics by two columns.
    TenMetrics,
    /// The sample metric with the number of different users.
    Distinct,
}

impl Workload {
    pub(crate) const ALL: [Workload; 4] =
        [Workload::OneMetric(Keys::Zipf), Workload::OneMetric(Keys::Uniform), Workload::TenMetrics, Workload::Distinct];

    /// The figure names' ending.
    fn name(self) -> &'static str {
        match self {
            Workload::OneMetric(keys) => keys.name(),
            Workload::TenMetrics => "ten_metrics",
            Workload::Distinct => "distinct",
        }
    }

    fn fill(self, stage: &Stage) -> Result<()> {
        match self {
            Workload::OneMetric(keys) => {
                let mut events = Events::new(keys, 1);
                fill(stage, || events.next(), EVENTS)
            }
            Workload::Distinct => {
                let mut events = Events::new(Keys::Zipf, 1);
                fill(stage, || events.next(), EVENTS)
            }
            Workload::TenMetrics => {
                let mut events = ten_metrics::Events::new(1);
                fill(stage, || events.next(), EVENTS)
            }
        }
    }
}

/// The sample metric with another measure.
fn with_distinct(name: &str) -> String {
    let sample = catalog(&CatalogOptions::of(name));
    sample.replace("views = \"count()\"\n", "views = \"count()\"\nusers = \"distinct(user_id)\"\n")
}

pub(crate) async fn measure(scenario: &Scenario, workload: Workload, figures: &mut Figures) -> Result<()> {
    // The archive says where partitions begin. After that it only takes time from what is measured.
    let setup = Stage::of(scenario).as_users_get_it().partitions(PARTITIONS).running(&[Layer::Archive]);
    let setup = match workload {
        Workload::OneMetric(_) => setup,
        Workload::TenMetrics => setup.catalog(ten_metrics::catalog),
        Workload::Distinct => setup.catalog(with_distinct),
    };
    let stage = setup.start().await?;
    let (deployment, topic) = (&stage.deployment, &stage.topic);
    let archive = deployment.store().join("archive/views/_delta_log/00000000000000000001.json");
    wait_for("the archive's begin", DEADLINE, async || Ok(Progress::when(archive.exists(), "no commit"))).await?;
    deployment.kill(Layer::Archive);

    workload.fill(&stage)?;
    let ends = end_offsets(&stage.brokers, topic)?;
    let bare = bare_consumer(&stage.brokers, topic, &ends)?;

    let worker = deployment.launch(Layer::Speed, "")?;
    let mut shards = Shards::new(stage.redis.connection().await?, PARTITIONS as usize).await?;
    let (before, began) = (shards.reached().await?, Instant::now());
    let end: i64 = ends.iter().sum();
    let mut reached = before;
    while reached < end {
        tokio::time::sleep(Duration::from_millis(10)).await;
        ensure!(began.elapsed() < Duration::from_secs(300), "the worker stands at {reached} of {end}");
        reached = shards.reached().await?;
    }
    let rate = (end - before) as f64 / began.elapsed().as_secs_f64();
    let of_worker = Usage::of(worker.id())?;
    let of_redis = Usage::of(stage.redis.id()?)?;
    let name = workload.name();
    figures.beside(rate_of(name), rate, "events/s", bare);
    if let (Workload::TenMetrics, Some(one)) = (workload, figures.value(&rate_of(Keys::Zipf.name()))) {
        figures.beside("speed_ten_metrics_over_one", rate, "events/s", one);
    }
    if let (Workload::Distinct, Some(count)) = (workload, figures.value(&rate_of(Keys::Zipf.name()))) {
        figures.beside("speed_distinct_over_count", rate, "events/s", count);
    }
    let per_event = |usage: Usage| usage.cpu_seconds * 1e6 / EVENTS as f64;
    figures.add(format!("speed_worker_cpu_per_event_{name}"), per_event(of_worker), "µs");
    figures.add(format!("speed_redis_cpu_per_event_{name}"), per_event(of_redis), "µs");
    figures.add(format!("speed_worker_peak_memory_{name}"), of_worker.peak_mib, "MiB");
    figures.add(format!("speed_redis_peak_memory_{name}"), of_redis.peak_mib, "MiB");
    Ok(())
}

fn rate_of(name: &str) -> String {
    format!("speed_events_per_second_{name}")
}

/// The shards of one topic, as Redis shows them.
pub(crate) struct Shards {
    connection: redis::aio::MultiplexedConnection,
    /// Their keys, once all exist: looking for them while Redis counts would be part of what is measured.
    keys: Vec<String>,
}

impl Shards {
    /// Waits until all of so many partitions exist.
    pub(crate) async fn new(mut connection: redis::aio::MultiplexedConnection, partitions: usize) -> Result<Shards> {
        let keys = wait_for("the shards", DEADLINE, async || {
            let found: Vec<String> = connection.keys("braid:*:shard").await?;
            Ok(if found.len() == partitions { Progress::Done(found) } else { Progress::NotYet(format!("{found:?}")) })
        })
        .await?;
        Ok(Shards { connection, keys })
    }

    /// The sum of their cursors.
    pub(crate) async fn reached(&mut self) -> Result<i64> {
        let mut sum = 0;
        for key in &self.keys {
            sum += self.connection.hget::<_, _, Option<i64>>(key, "cursor").await?.unwrap_or(0);
        }
        Ok(sum)
    }
}
