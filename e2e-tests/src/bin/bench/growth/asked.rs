//! What a request costs the serving layer, and what a row of a segment takes.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario::Scenario;
use e2e_tests::views::METRIC;
use e2e_tests::{Layer, Stage};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

use super::events::{Events, catalog};
use crate::asked::client::Clients;
use crate::usage::Usage;

const EVENTS: u64 = 400_000;
const KEYS: u32 = 20_000;
const MINUTES: u64 = 8;
/// How many clients ask, each as soon as it has an answer.
const CLIENTS: usize = 16;
const MEASURED: Duration = Duration::from_secs(5);

/// How it went.
pub(super) struct Asked {
    /// CPU of the serving layer for a total of one key, in microseconds.
    pub(super) us_per_request: f64,
    /// Bytes of segments for a row.
    pub(super) segment_bytes_per_row: f64,
}

impl Asked {
    /// Counts events, asks for their totals while they lie in Redis, and builds segments of them.
    pub(super) async fn measure(scenario: &Scenario) -> Result<Asked> {
        let setup = Stage::of(scenario).as_users_get_it().set("archive.linger", "300ms");
        let stage = setup.catalog(|name| catalog(name, 4, 1)).start().await?;
        let producer = stage.producer()?;
        let mut events = Events::of(KEYS, EVENTS, MINUTES);
        let (mut keys, mut buckets) = (HashSet::new(), HashSet::new());
        for at in 0..EVENTS {
            let record = events.next();
            let minute = at / EVENTS.div_ceil(MINUTES);
            keys.insert(record.key.clone());
            buckets.insert((record.key.clone(), minute));
            producer.send(&record)?;
        }
        let arrived = producer.flush()?;
        stage.total_as_of(arrived).await?;

        let client = stage.client()?;
        let address = client.url().strip_prefix("http://").context("the serving layer's URL")?;
        let total = |key: u32| format!("/v1/metrics/{METRIC}/total?video_id=v{key}");
        let clients = Clients::of(address, CLIENTS, &(0..1_000).map(total).collect::<Vec<_>>())?;
        let serving = stage.deployment.process(Layer::Serving)?.id();
        let (before, began) = (Usage::of(serving)?, Instant::now());
        let per_second = clients.per_second(MEASURED).await?;
        let (after, asked) = (Usage::of(serving)?, per_second * began.elapsed().as_secs_f64());

        stage.archived().await?;
        stage.deployment.reconcile().await?;
        let bytes = segment_bytes(&stage).await?;
        // Of the day: keys and buckets, and those of all keys together. Of its month: a row of each, and of all.
        let rows = buckets.len() as f64 + MINUTES as f64 + keys.len() as f64 + 1.0;
        Ok(Asked {
            us_per_request: (after.cpu_seconds - before.cpu_seconds) * 1e6 / asked,
            segment_bytes_per_row: bytes / rows,
        })
    }
}

/// Waits until the view is served, and says what its segments take.
async fn segment_bytes(stage: &Stage) -> Result<f64> {
    let client = stage.client()?;
    let path = format!("/v1/metrics/{METRIC}");
    wait_for("segments", DEADLINE, async || {
        let (status, metric): (u16, Value) = client.get(&path, &[]).await?;
        ensure!(status == 200, "{status}: {metric}");
        let bytes = metric["cut"]["segments"]["bytes"].as_f64().filter(|bytes| *bytes > 0.0);
        Ok(bytes.map_or_else(|| Progress::NotYet(metric.to_string()), Progress::Done))
    })
    .await
}
