//! A worker: one process's share of every source of the catalog.
//!
//! Per source, a worker joins a consumer group, which only tells it the partitions that it is assigned; offsets come from the
//! shards. Reading threads read the source, and one counting loop per assigned partition counts what they read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use platform::kafka::{Membership, Topics};
use platform::registry::Registry;
use platform::settings::Settings;
use platform::shutdown::Shutdown;
use platform::task::supervise;
use platform::telemetry::error_text;
use shared_logic::catalog::{Catalog, Source};
use storage::{Schemas, ShardClient, Storage};
use tokio::sync::{Mutex, OnceCell, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::assigned::{follow, leave};
use crate::batch_side::BatchSide;
use crate::count::compiled::CompiledMetrics;
use crate::count::source::Shared;
use crate::count::{self, aggregate, expire};
use crate::error::{SourceError, SpeedError};
use crate::log::ends::{Ends, watch_ends};
use crate::log::identity::LogIdentity;
use crate::read::threads::ReadingThreads;
use crate::stream::memory::Memory;
use crate::{stream, table};

/// How often the ends of the assigned partitions are asked for.
const ENDS_EVERY: Duration = Duration::from_millis(500);

/// Counts every source that has metrics, writes the streams, and keeps the tables, until the shutdown is requested or this worker is superseded.
///
/// # Errors
/// If Redis is unusable (too old, or it evicts), Kafka's settings are not usable, or another worker counts other
/// definitions.
pub async fn run(settings: &Settings, catalog: &Catalog, shutdown: Shutdown) -> Result<(), SpeedError> {
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
            let ended = run_source(&settings, &catalog, source, stop).await;
            ended.map_err(|source| SpeedError::Source { name, source })
        });
    }
    let memory = Memory::new(settings.streams.state.as_usize());
    for source in catalog.sources.values().filter(|source| catalog.streams_of(&source.name).next().is_some()) {
        let memory = Arc::clone(&memory);
        let (settings, catalog, source) = (settings.clone(), catalog.clone(), source.clone());
        let stop = stop.clone();
        workers.spawn(async move {
            let name = source.name.clone();
            let ended = stream::run(&settings, &catalog, source, memory, stop).await;
            ended.map_err(|source| SpeedError::Source { name, source })
        });
    }
    for table in catalog.tables.values() {
        let (settings, catalog, table) = (settings.clone(), catalog.clone(), table.clone());
        let stop = stop.clone();
        workers.spawn(async move {
            let ended = table::run(&settings, &catalog, &table, stop).await;
            ended.map_err(|source| SpeedError::Source { name: table.name, source })
        });
    }
    let all = supervise(workers, &stop, |error| error!(error = error_text(error), "a worker ended"));
    platform::shutdown::run_until(&shutdown, "speed workers", settings.speed.shutdown.get(), all).await?
}

async fn run_source(
    settings: &Settings,
    catalog: &Catalog,
    source: Source,
    stop: CancellationToken,
) -> Result<(), SourceError> {
    let metrics = Arc::new(CompiledMetrics::new(catalog, &source));
    let topics = Topics::new(&settings.kafka)?;
    let deployment = &catalog.deployment;
    // Names may hold hyphens but no dots, so no two deployments share a group and with it their partitions.
    let group = format!("braid.{}.{}.{}", deployment.name, deployment.version, source.name);
    let storage = Storage::new(&settings.store, deployment)?;
    let schemas = Schemas::new(&storage, &source.name, &Registry::new(&settings.registry));
    let (publish_ends, ends) = watch::channel(Ends::default());
    let shape = metrics.shape(settings.speed.max_counters);
    let mut threads =
        ReadingThreads::of_source(&settings.kafka, &settings.speed, &source, shape, schemas, ends.clone())?;
    let membership = Membership::join(&settings.kafka, &group, &source.topic)?;
    let batch_side = BatchSide::new(&storage, catalog, &source);
    let shared = Arc::new(Shared {
        catalog: catalog.clone(),
        metrics,
        settings: settings.speed.clone(),
        compacted: OnceCell::new(),
        facts: watch::channel(Arc::default()).0,
        identity: LogIdentity::start(topics.clone(), source.topic.clone()),
        topics: topics.clone(),
        ends,
        shards: ShardClient::default(),
        batch_side: Mutex::new(batch_side),
        counting: watch::channel(BTreeSet::new()).0,
        places: Arc::new(Semaphore::new(aggregate::places(&settings.speed))),
    });
    let mut background = JoinSet::new();
    let assigned = membership.assigned();
    background.spawn(watch_ends(topics, source.topic, assigned.clone(), ENDS_EVERY, publish_ends, stop.clone()));
    let expiring = platform::redis::connect(&settings.redis).await?;
    background.spawn(expire::run(Arc::clone(&shared), expiring, stop.clone()));
    let redis = platform::redis::connect(&settings.redis).await?;
    let count = |partition, reader, stop| count::run(Arc::clone(&shared), redis.clone(), reader, partition, stop);
    let ended = follow(&shared.metrics.source.topic, &mut threads, assigned, &stop, count).await;
    // The counting loops have applied what they held.
    drop(shared);
    leave(background, membership, threads).await?;
    Ok(ended?)
}
