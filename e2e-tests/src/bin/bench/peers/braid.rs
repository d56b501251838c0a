//! Braid counts the topic.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e_tests::kafka::Broker;
use e2e_tests::views::{CatalogOptions, catalog};
use e2e_tests::{Client, Deployment, Layer};
use test_kit::{DEADLINE, Durability, Progress, Redis, wait_for};

use super::meter::Meter;
use super::topic::Topic;
use super::{Outcome, PARTITIONS, answers};
use crate::speed::Shards;

const WITHIN: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(10);

/// What runs beside the speed layer and its Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// The speed layer does what rivals do.
    Nothing,
    /// The archiver keeps every event, and the serving layer is ready to answer.
    ThePlatform,
}

impl Beside {
    /// The name of its deployment and of its folder.
    pub(super) fn name(self) -> &'static str {
        match self {
            Beside::Nothing => "peers-braid-speed",
            Beside::ThePlatform => "peers-braid-platform",
        }
    }

    /// What the page calls it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Beside::Nothing => "Braid, its speed layer and Redis",
            Beside::ThePlatform => "Braid, with archiver and serving layer",
        }
    }
}

/// Until everything is in counters, and archived where an archiver runs.
pub(super) async fn count(folder: &Path, broker: &Broker, topic: &Topic, beside: Beside) -> Result<Outcome> {
    let redis = Redis::start_in(&folder.join("redis"), Durability::None).await?;
    let catalog = catalog(&CatalogOptions { name: beside.name(), ..CatalogOptions::of(topic.name) });
    let mut deployment = Deployment::new(&folder.join("braid"), &catalog, &topic.brokers, &redis.url())?;
    answers::SETTINGS.iter().for_each(|(key, value)| deployment.set(key, value));
    deployment.start_all(&[]).await?;
    if beside == Beside::Nothing {
        // It says where partitions begin, and is not needed after that.
        deployment.launch(Layer::Archive, "")?;
        archive_begins(&deployment).await?;
        deployment.kill(Layer::Archive);
    }

    let launched = Instant::now();
    let mut meter = Meter::start(&[redis.id()?], broker.id()?)?;
    if beside == Beside::ThePlatform {
        meter.join(deployment.launch(Layer::Archive, "")?.id());
        archive_begins(&deployment).await?;
        meter.join(deployment.start(Layer::Serving).await?.id());
    }
    let worker = deployment.launch(Layer::Speed, "")?.id();
    meter.join(worker);
    let mut shards = Shards::new(redis.connection().await?, PARTITIONS as usize).await?;
    let started_in = launched.elapsed();
    if beside == Beside::Nothing {
        // An archiver would be at work since its start.
        meter = Meter::start(&[redis.id()?, worker], broker.id()?)?;
    }
    loop {
        let reached = shards.reached().await?;
        if reached >= topic.end() {
            break;
        }
        ensure!(launched.elapsed() < WITHIN, "the worker stands at {reached} of {}", topic.end());
        tokio::time::sleep(POLL).await;
    }
    let counted = meter.spent()?;
    let spent = match beside {
        Beside::Nothing => {
            deployment.start(Layer::Serving).await?;
            counted
        }
        Beside::ThePlatform => {
            is_archived(&deployment.client()?).await?;
            eprintln!("   counted after {:.1} s", counted.seconds);
            meter.spent()?
        }
    };
    answers::are_true(&deployment.client()?, topic).await?;
    Ok(Outcome { title: beside.title(), started_in, spent, written: topic.truth.len() as u64 })
}

/// Waits until the archive says where the topic's partitions begin.
async fn archive_begins(deployment: &Deployment) -> Result<()> {
    let begin = deployment.store().join("archive/views/_delta_log/00000000000000000001.json");
    wait_for("the archive's begin", DEADLINE, async || Ok(Progress::when(begin.exists(), "no commit"))).await
}

/// Waits until every event is archived.
async fn is_archived(client: &Client) -> Result<()> {
    wait_for("everything to be archived", WITHIN, async || {
        let (status, body) = client.get("/v1/status", &[]).await?;
        ensure!(status == 200, "{status}: {body}");
        let partitions = body["sources"][0]["partitions"].as_array().cloned().unwrap_or_default();
        let archived = partitions.len() == PARTITIONS as usize && partitions.iter().all(|row| row["archive_lag"] == 0);
        Ok(Progress::when(archived, format_args!("{partitions:?}")))
    })
    .await
}
