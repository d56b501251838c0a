//! A worker: one process's share of what the versions of a deployment need of the speed layer.
//!
//! Which versions there are may change while it runs. So it holds *units* ([`units`]), and begins and ends them as the pointer says: the
//! counting of one source for one version, the lanes over one source of one generation, the rows of one table, and one search index.
//!
//! Per source, a unit joins a consumer group, which only tells it the partitions that it is assigned; offsets come from the
//! shards. Reading threads read the source, and one counting loop per assigned partition counts what they read.

pub mod units;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use platform::kafka::{Membership, Topics};
use platform::registry::Registry;
use platform::settings::Settings;
use platform::shutdown::Shutdown;
use platform::task::joined;
use platform::telemetry::error_text;
use shared_logic::version::CountUnit;
use storage::{FollowedVersions, Schemas, ShardClient, Storage};
use tokio::sync::{Mutex, OnceCell, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use self::units::{Unit, Units, wanted};
use crate::assigned::{follow, leave};
use crate::batch_side::BatchSide;
use crate::count::compiled::CompiledMetrics;
use crate::count::pace::Pace;
use crate::count::source::Shared;
use crate::count::{self, active_lag, aggregate, expire};
use crate::error::{SourceError, SpeedError};
use crate::log::ends::{Ends, watch_ends};
use crate::log::identity::LogIdentity;
use crate::read::threads::ReadingThreads;
use crate::stream::memory::Memory;
use crate::{index, stream, table};

/// What alerts look at, which may never have happened.
const TROUBLES: [&str; 3] =
    ["braid_speed_back_pressure_total", "braid_speed_refused_total", "braid_speed_truncated_total"];

/// How often the ends of the assigned partitions are asked for.
const ENDS_EVERY: Duration = Duration::from_millis(500);

/// Counts every source that has metrics, writes the streams, and keeps the tables, of all versions that are counted, until the shutdown is
/// requested or this worker is superseded.
///
/// # Errors
/// If Redis is unusable (too old, or it evicts), or if Kafka's settings are not usable, or another worker counts other definitions, for
/// the active version. What fails of another version is tried again, and ends nothing.
pub async fn run(settings: &Settings, versions: FollowedVersions, shutdown: Shutdown) -> Result<(), SpeedError> {
    platform::telemetry::begin(&TROUBLES);
    let mut redis = platform::redis::connect(&settings.redis).await?;
    platform::redis::check(&mut redis).await?;
    let stop = shutdown.token().child_token();
    let memory = Memory::new(settings.streams.state.as_usize());
    let worker = Arc::new(Worker { settings: settings.clone(), versions: versions.clone(), memory });
    let all = keep_units(worker, versions, stop);
    platform::shutdown::run_until(&shutdown, "speed workers", settings.speed.shutdown.get(), all).await?
}

/// Runs the units that the pointer asks for until `stop`, or until one of the active version fails.
async fn keep_units(
    worker: Arc<Worker>,
    mut versions: FollowedVersions,
    stop: CancellationToken,
) -> Result<(), SpeedError> {
    let mut units = Units::new(worker.settings.speed.retry_backoff.get());
    let mut running = JoinSet::new();
    let mut outcome = Ok(());
    while !stop.is_cancelled() && outcome.is_ok() {
        let now = versions.now();
        for (unit, stop) in
            units.towards(wanted(&now, worker.settings.search.is_named()), now.active_name(), Instant::now(), &stop)
        {
            info!(unit = unit.name(), "begins");
            let worker = Arc::clone(&worker);
            // Each unit has its own connections: a long script of one does not hold up the others.
            running.spawn(async move {
                let ended = worker.run(&unit, stop).await;
                (unit, ended)
            });
        }
        let retry = units.next_try();
        tokio::select! {
            _ = versions.changed() => {}
            Some(ended) = running.join_next() => {
                let (unit, ended) = joined(ended);
                outcome = units.ended(&unit, ended, versions.now().active_name(), Instant::now());
            }
            () = until(retry) => {}
            () = stop.cancelled() => {}
        }
    }
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        let (unit, ended) = joined(ended);
        outcome = outcome.and(units.ended(&unit, ended, versions.now().active_name(), Instant::now()));
    }
    if let Err(error) = &outcome {
        error!(error = error_text(error), "a worker ended");
    }
    outcome
}

/// Waits until that moment; for ever without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What the units of a process share.
struct Worker {
    settings: Settings,
    versions: FollowedVersions,
    /// The memory of all lanes.
    memory: Arc<Memory>,
}

impl Worker {
    async fn run(&self, unit: &Unit, stop: CancellationToken) -> Result<(), SourceError> {
        match unit {
            Unit::Count(unit) => self.count(unit, stop).await,
            Unit::Lanes(unit) => {
                let source = unit.catalog.sources[&unit.source].clone();
                let (memory, versions) = (Arc::clone(&self.memory), self.versions.clone());
                stream::run(&self.settings, &unit.catalog, source, memory, versions, stop).await
            }
            Unit::Rows(unit) => {
                table::run(&self.settings, &unit.catalog, &unit.catalog.tables[&unit.table], stop).await
            }
            Unit::Index(unit) => index::run(&self.settings, unit, stop).await,
        }
    }

    /// Counts one source for one version until `stop`.
    async fn count(&self, unit: &CountUnit, stop: CancellationToken) -> Result<(), SourceError> {
        let (settings, catalog) = (&self.settings, &*unit.catalog);
        let source = catalog.sources[&unit.source].clone();
        let metrics = Arc::new(CompiledMetrics::new(catalog, &source));
        let topics = Topics::new(&settings.kafka)?;
        let deployment = &catalog.deployment;
        // Names may hold hyphens but no dots, so no two deployments share a group and with it their partitions.
        let group = format!("braid.{}.{}.{}", deployment.name, deployment.version, source.name);
        let storage = Storage::new(&settings.store, deployment)?;
        let schemas = Schemas::new(&storage, &source.name, &Registry::new(&settings.registry));
        let (publish_ends, ends) = watch::channel(Ends::default());
        let (publish_pace, pace) = watch::channel(Pace::FULL);
        let shape = metrics.shape(settings.speed.max_counters);
        let mut threads =
            ReadingThreads::of_source(&settings.kafka, &settings.speed, &source, shape, schemas, ends.clone())?;
        let membership = Membership::join(&settings.kafka, &group, &source.topic)?;
        let batch_side = BatchSide::new(&storage, catalog, &source);
        let shared = Arc::new(Shared {
            catalog: Arc::clone(&unit.catalog),
            versions: self.versions.clone(),
            metrics,
            settings: settings.speed.clone(),
            replays: settings.versions.clone(),
            pace,
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
        let beside = platform::redis::connect(&settings.redis).await?;
        background.spawn(active_lag::follow(Arc::clone(&shared), beside.clone(), publish_pace, stop.clone()));
        background.spawn(expire::run(Arc::clone(&shared), beside, stop.clone()));
        let redis = platform::redis::connect(&settings.redis).await?;
        let count = |partition, reader, stop| count::run(Arc::clone(&shared), redis.clone(), reader, partition, stop);
        let ended = follow(&shared.metrics.source.topic, &mut threads, assigned, &stop, count).await;
        // The counting loops have applied what they held.
        drop(shared);
        leave(background, membership, threads).await?;
        Ok(ended?)
    }
}
