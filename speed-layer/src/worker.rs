//! A worker: one process's share of every source of the catalog.
//!
//! Per source it joins a consumer group for membership alone; offsets come from the shards. One thread reads, one lane per
//! assigned partition counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc as commands;
use std::time::Duration;

use anyhow::Context;
use platform::kafka::{Membership, Topics};
use platform::redis::Connection;
use platform::settings::{Settings, Speed};
use platform::shutdown::Shutdown;
use platform::store::Store;
use shared_logic::catalog::{Catalog, Source};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::aggregate::Metrics;
use crate::apply::Scripts;
use crate::boundary::Batch;
use crate::consume::{Command, Consume};
use crate::lane::{self, Shared, Superseded};
use crate::log_check::LogCheck;
use crate::log_end::Ends;
use crate::{drop, log_end};

/// How often the log's ends are asked for.
const ENDS_EVERY: Duration = Duration::from_millis(500);

/// Counts every source that has metrics, until the shutdown is requested or this worker is superseded.
///
/// # Errors
/// If Redis is unusable (too old, or it evicts), Kafka's settings are not usable, or another worker counts other
/// definitions.
pub async fn run(settings: &Settings, catalog: &Catalog, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut redis = platform::redis::connect(&settings.redis).await?;
    platform::redis::check(&mut redis).await?;
    let stop = shutdown.token().child_token();
    let mut workers = JoinSet::new();
    for source in catalog.sources.values().filter(|source| catalog.metrics_of(&source.name).next().is_some()) {
        let (settings, catalog, source) = (settings.clone(), catalog.clone(), source.clone());
        let stop = stop.clone();
        // Each source has its own connections: a long script of one does not hold up the others.
        workers.spawn(async move {
            let name = source.name.clone();
            run_source(&settings, &catalog, source, stop).await.with_context(|| format!("source {name}"))
        });
    }
    let mut outcome = Ok(());
    let deadline = settings.speed.shutdown.get();
    let all = async {
        while let Some(ended) = workers.join_next().await {
            let ended = ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
            if let Err(error) = ended {
                error!(error = format!("{error:#}"), "a worker ended");
                stop.cancel();
                outcome = outcome_of(std::mem::replace(&mut outcome, Ok(())), error);
            }
        }
    };
    let in_time = platform::shutdown::run_until(&shutdown, "speed workers", deadline, all).await;
    in_time?;
    outcome
}

fn outcome_of(first: anyhow::Result<()>, error: anyhow::Error) -> anyhow::Result<()> {
    first.and(Err(error))
}

async fn run_source(
    settings: &Settings,
    catalog: &Catalog,
    source: Source,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new(catalog, &source));
    let topics = Topics::new(&settings.kafka)?;
    let deployment = &catalog.deployment;
    // Names may hold hyphens but no dots: so no two deployments share a group, and with it their partitions.
    let group = format!("braid.{}.{}.{}", deployment.name, deployment.version, source.name);
    let (consumer, commands) = commands::channel();
    let bounds = Speed { max_rows: metrics.rows_max(settings.speed.max_rows), ..settings.speed.clone() };
    let consume = Consume::new(&settings.kafka, &bounds, &source, metrics.columns(), commands)?;
    let reading = std::thread::Builder::new().name(format!("read-{}", source.name)).spawn(move || consume.run())?;
    let membership = Membership::join(&settings.kafka, &group, &source.topic)?;
    let (publish_ends, ends) = watch::channel(Ends::default());
    let shared = Arc::new(Shared {
        catalog: catalog.clone(),
        metrics,
        settings: settings.speed.clone(),
        log_check: LogCheck::start(topics.clone(), source.topic.clone()),
        topics: topics.clone(),
        ends,
        scripts: Scripts::default(),
        batch: Mutex::new(Batch::new(Store::new(&settings.store, &catalog.deployment.name)?, catalog, &source)),
        owned: watch::channel(BTreeSet::new()).0,
        consumer,
    });
    let mut background = JoinSet::new();
    let assigned = membership.assigned();
    background.spawn(log_end::watch_ends(
        topics,
        source.topic,
        assigned.clone(),
        ENDS_EVERY,
        publish_ends,
        stop.clone(),
    ));
    let dropping = platform::redis::connect(&settings.redis).await?;
    background.spawn(drop::run(Arc::clone(&shared), dropping, stop.clone()));
    let redis = platform::redis::connect(&settings.redis).await?;
    let ended = follow(&shared, redis, assigned, &stop).await;
    // Lanes have applied what they held; the group learns at once that the partitions are free.
    std::mem::drop(shared);
    background.shutdown().await;
    tokio::task::spawn_blocking(move || {
        std::mem::drop(membership);
        reading.join()
    })
    .await?
    .map_err(|_| anyhow::anyhow!("the reading thread panicked"))?;
    Ok(ended?)
}

/// Keeps one lane per assigned partition.
async fn follow(
    shared: &Arc<Shared>,
    redis: Connection,
    mut assigned: watch::Receiver<BTreeSet<i32>>,
    stop: &CancellationToken,
) -> Result<(), Superseded> {
    let mut lanes: BTreeMap<i32, CancellationToken> = BTreeMap::new();
    let mut running = JoinSet::new();
    let mut outcome = Ok(());
    while !stop.is_cancelled() && outcome.is_ok() {
        let now = assigned.borrow_and_update().clone();
        lanes.retain(|partition, lane| {
            let keep = now.contains(partition);
            if !keep {
                info!(topic = shared.metrics.source.topic, partition, "partition revoked");
                lane.cancel();
                let _ = shared.consumer.send(Command::Stop { partition: *partition });
            }
            keep
        });
        for partition in now {
            lanes.entry(partition).or_insert_with(|| {
                info!(topic = shared.metrics.source.topic, partition, "partition assigned");
                let lane = stop.child_token();
                running.spawn(lane::run(Arc::clone(shared), redis.clone(), partition, lane.clone()));
                lane
            });
        }
        tokio::select! {
            changed = assigned.changed() => if changed.is_err() { break },
            Some(ended) = running.join_next() => {
                outcome = ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
            }
            () = stop.cancelled() => {}
        }
    }
    // Intake stops; what is sealed or under way is applied, and lanes end when their batches do.
    for partition in lanes.keys() {
        let _ = shared.consumer.send(Command::Stop { partition: *partition });
    }
    lanes.values().for_each(CancellationToken::cancel);
    while let Some(ended) = running.join_next().await {
        let ended = ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        outcome = outcome.and(ended);
    }
    outcome
}
