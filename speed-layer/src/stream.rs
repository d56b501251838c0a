//! Lanes: what streams are decided and written by (T1 to T13).
//!
//! A lane belongs to one partition of a source that streams read. It reads by itself, with a cursor of its own, so that counting and
//! streams never wait for each other. What it remembers is a function of the log (T2), and so are its outputs (T1). They are
//! written to Kafka in one transaction with how far that was (T3). So whatever happens, a lane that starts again goes on behind
//! the last output that was published.
//!
//! In the order of the flow:
//!
//! - [`open`]: asks how far the lane was published, from which follows where it goes on ([`open_at`]), and loads a snapshot or has the past read
//!   again ([`warm`]); the topics that it writes get its partition, if that is new ([`topics`]);
//! - `crate::read` reads and decodes, with a thread and a client of its own;
//! - [`operate`]: has the operators of `shared_logic::stream` decide, in bounded steps;
//! - [`publish`]: writes what is decided, and progress with it;
//! - [`snapshot`]: keeps the state, to save time at the next start;
//! - [`look_up`]: waits for the tables that streams look into;
//! - [`stopped`]: notes why a lane does not go on;
//! - [`grown`]: watches for partitions that are added to topics.
//!
//! All lanes of a process share a [`memory`].

pub mod grown;
pub mod look_up;
pub mod memory;
pub mod open;
pub mod open_at;
pub mod operate;
pub mod parcel;
pub mod progress;
pub mod publish;
pub mod snapshot;
pub mod source;
pub mod stopped;
pub mod topics;
pub mod warm;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use platform::kafka::{Membership, Topics};
use platform::registry::Registry;
use platform::settings::{Settings, Speed};
use platform::task::Backoff;
use platform::telemetry::error_text;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::stream::LanePlan;
use shared_logic::stream_topics::written_topics;
use storage::{FollowedVersions, Schemas, Storage};
use tokio::sync::{Mutex, OnceCell, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::grown::watch_partitions;
use self::memory::Memory;
use self::open::open_lane;
use self::source::Shared;
use self::stopped::StopNote;
use crate::assigned::{follow, leave};
use crate::error::{SourceError, Superseded};
use crate::log::ends::{Ends, watch_ends};
use crate::log::identity::LogIdentity;
use crate::read::Assignment;
use crate::read::micro_batch::{LaneShape, Shape};
use crate::read::threads::ReadingThreads;
use crate::table::lookup::LookedInto;

/// How often the ends of the assigned partitions are asked for.
const ENDS_EVERY: Duration = Duration::from_millis(500);
/// How often it is asked whether a broker knows transactions.
const CLUSTER_WITHIN: Duration = Duration::from_secs(5);

/// Writes all streams over one source until `stop`, which are those of one generation (see [`Catalog::lanes`]). All lanes of the process share
/// the memory.
///
/// # Errors
/// If Kafka's or the store's settings are not usable, or no thread can be started.
pub async fn run(
    settings: &Settings,
    catalog: &Catalog,
    source: Source,
    memory: Arc<Memory>,
    versions: FollowedVersions,
    stop: CancellationToken,
) -> Result<(), SourceError> {
    if !knows_transactions(settings, &source, &stop).await? {
        return Ok(());
    }
    let plan = Arc::new(LanePlan::new(catalog, &source));
    let topics = Topics::new(&settings.kafka)?;
    let deployment = &catalog.deployment;
    let group = format!("braid.{}.{}.{}.streams", deployment.name, deployment.version, source.name);
    let storage = Storage::new(&settings.store, deployment)?;
    let schemas = Schemas::new(&storage, &source.name, &Registry::new(&settings.registry));
    let (publish_ends, ends) = watch::channel(Ends::default());
    let (publish_partitions, partitions) = watch::channel(BTreeMap::new());
    let speed =
        Speed { max_rows: settings.streams.max_rows, linger: settings.streams.linger, ..settings.speed.clone() };
    let lane = LaneShape { originals: plan.keeps_originals(), rekeyed: source.rekeyed };
    let shape = Shape { wanted: plan.columns().to_vec(), mark_every: usize::MAX, lane: Some(lane), is_of_table: false };
    let mut threads = ReadingThreads::of_source(&settings.kafka, &speed, &source, shape, schemas, ends.clone())?;
    let membership = Membership::join(&settings.kafka, &group, &source.topic)?;
    let looked_into = looked_into(settings, catalog, &plan, &storage, &topics).await?;
    let shared = Arc::new(Shared {
        versions,
        deployment: deployment.clone(),
        definitions: plan.streams().iter().map(|stream| (stream.name.clone(), stream.definition.clone())).collect(),
        written: written_topics(catalog, &source.name),
        plan,
        settings: settings.streams.clone(),
        memory,
        kafka: settings.kafka.clone(),
        compacted: OnceCell::new(),
        identity: LogIdentity::start(topics.clone(), source.topic.clone()),
        topics: topics.clone(),
        ends,
        partitions,
        archive: Mutex::new(storage.follow_archive(&source.name)),
        looked_into,
        source,
    });
    let mut background = JoinSet::new();
    let assigned = membership.assigned();
    let topic = shared.source.topic.clone();
    let names = may_grow(&shared);
    background.spawn(watch_partitions(topics.clone(), names, ENDS_EVERY, publish_partitions, stop.clone()));
    background.spawn(watch_ends(topics, topic.clone(), assigned.clone(), ENDS_EVERY, publish_ends, stop.clone()));
    let lane = |partition, reader, stop| run_lane(Arc::clone(&shared), reader, partition, stop);
    let ended = follow(&topic, &mut threads, assigned, &stop, lane).await;
    drop(shared);
    leave(background, membership, threads).await?;
    Ok(ended?)
}

/// The topics of which lanes have to know if they gain partitions: each partition of a re-keyed one gets marks, and groups of events may need
/// all of what is read to lie in one (T12).
fn may_grow(shared: &Shared) -> Vec<String> {
    let streams = shared.plan.streams();
    let rekeyed = streams.iter().filter(|stream| stream.rekeys).map(|stream| stream.topic.clone());
    let source = streams.iter().any(|stream| !stream.groups_meet).then(|| shared.source.topic.clone());
    rekeyed.chain(source).collect()
}

/// The tables that the streams look into, with a connection to Redis of their own; `None` if they look into none.
async fn looked_into(
    settings: &Settings,
    catalog: &Catalog,
    plan: &Arc<LanePlan>,
    storage: &Storage,
    topics: &Topics,
) -> Result<Option<Arc<LookedInto>>, SourceError> {
    if plan.lookups().is_empty() {
        return Ok(None);
    }
    let redis = platform::redis::connect(&settings.redis).await?;
    Ok(Some(Arc::new(LookedInto::of(catalog, Arc::clone(plan), storage, topics.clone(), redis))))
}

/// Waits until the brokers say who they are. The in-process broker knows no transactions, so that nothing could be written exactly
/// once: then there are no lanes. Returns false as well if it is to stop.
async fn knows_transactions(
    settings: &Settings,
    source: &Source,
    stop: &CancellationToken,
) -> Result<bool, SourceError> {
    loop {
        let asked = tokio::select! {
            asked = platform::kafka::cluster(&settings.kafka, CLUSTER_WITHIN) => asked?,
            () = stop.cancelled() => return Ok(false),
        };
        match asked {
            Some(cluster) if cluster.is_in_process() => {
                warn!(
                    source = source.name,
                    "the in-process broker knows no transactions; streams over this source are not written"
                );
                return Ok(false);
            }
            Some(_) => return Ok(true),
            None => {}
        }
    }
}

/// Runs one lane until `stop`. After whatever goes wrong it starts again, from what was published.
async fn run_lane(
    shared: Arc<Shared>,
    reader: std_mpsc::Sender<Assignment>,
    partition: i32,
    stop: CancellationToken,
) -> Result<(), Superseded> {
    let mut backoff = Backoff::new(shared.settings.retry_backoff.get());
    let mut note = StopNote::new(Arc::clone(&shared), partition);
    while !stop.is_cancelled() {
        let opened = tokio::select! {
            opened = open_lane(&shared, partition) => opened,
            () = stop.cancelled() => break,
        };
        let wait = match opened {
            Ok(open) => {
                info!(id = %open.id, source = shared.source.name, cursor = open.lane.cursor(), "writing streams");
                note.opened().await;
                let (id, ended) = (open.id.clone(), operate::run(open, &shared, &reader, &stop).await);
                if ended.has_published {
                    backoff.reset();
                    note.published();
                }
                let wait = ended.why.wait().unwrap_or_else(|| backoff.wait());
                if !stop.is_cancelled() {
                    warn!(%id, wait_ms = wait.as_millis(), error = error_text(&ended.why), "a lane was interrupted; it starts again");
                    note.failed(true, ended.why.cause(), error_text(&ended.why)).await;
                }
                wait
            }
            Err(not_open) => {
                let wait = backoff.wait();
                not_open.report(&shared.source.name, partition, wait);
                note.failed(false, not_open.cause(), error_text(&not_open)).await;
                wait
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => break,
        }
    }
    Ok(())
}
