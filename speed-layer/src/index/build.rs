//! One build of an index: its consumer group, its reading threads, and a lane for each assigned partition.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use platform::kafka::{Membership, Topics};
use platform::registry::Registry;
use platform::settings::Settings;
use platform::task::Backoff;
use platform::telemetry::error_text;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::index::{Build, build_name};
use shared_logic::version::IndexUnit;
use storage::{Pace, Schemas, SearchClient, Storage};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::changes::Changes;
use super::error::{Interrupted, Logged};
use super::open::{OpenLane, open_lane};
use super::shared::{Shared, watch_build};
use super::write::{self, Ended};
use crate::assigned::{follow, leave};
use crate::error::{SourceError, Superseded};
use crate::log::ends::{Ends, watch_ends};
use crate::log::identity::LogIdentity;
use crate::read::threads::ReadingThreads;
use crate::read::{Assignment, Start};

/// How often the ends of the assigned partitions are asked for.
const ENDS_EVERY: Duration = Duration::from_millis(500);
/// How many micro-batches wait to be written.
const DEPTH: usize = 2;

/// Writes the documents of one build, given with its number, until `stop`.
///
/// # Errors
/// If Kafka's or the store's settings are not usable, or no thread can be started.
pub(super) async fn run(
    settings: &Settings,
    client: SearchClient,
    unit: &IndexUnit,
    (number, build): (u64, Build),
    stop: CancellationToken,
) -> Result<(), SourceError> {
    let catalog = &*unit.catalog;
    let (deployment, source) = (&catalog.deployment, catalog.sources[&unit.source].clone());
    let changes = Changes::new(catalog, &catalog.indexes[&unit.index]);
    let topics = Topics::new(&settings.kafka)?;
    let group = format!("braid.{}.{}.{number}.index", deployment.name, unit.index);
    let storage = Storage::new(&settings.store, deployment)?;
    let schemas = Schemas::new(&storage, &source.name, &Registry::new(&settings.registry));
    let (publish_ends, ends) = watch::channel(Ends::default());
    let mut threads =
        ReadingThreads::of_source(&settings.kafka, &settings.speed, &source, changes.shape(), schemas, ends)?;
    let membership = Membership::join(&settings.kafka, &group, &source.topic)?;
    info!(index = unit.index, build = number, stage = build.stage.name(), "a build of an index is followed");
    let shared = Arc::new(Shared {
        client,
        index: unit.index.clone(),
        number,
        build,
        name: build_name(deployment, &unit.index, number),
        topic: source.topic.clone(),
        changes,
        settings: settings.speed.clone(),
        identity: LogIdentity::start(topics.clone(), source.topic.clone()),
        topics: topics.clone(),
        archive: Mutex::new(storage.follow_archive(&source.name)),
        facts: watch::channel(Arc::<Facts>::default()).0,
        compared: Mutex::new(None),
        is_given_up: AtomicBool::new(false),
    });
    let mut background = JoinSet::new();
    let (assigned, topic) = (membership.assigned(), source.topic);
    background.spawn(watch_ends(topics, topic.clone(), assigned.clone(), ENDS_EVERY, publish_ends, stop.clone()));
    background.spawn(watch_build(Arc::clone(&shared), stop.clone()));
    let keep = |partition, reader, stop| keep(Arc::clone(&shared), reader, partition, stop);
    let ended = follow(&topic, &mut threads, assigned, &stop, keep).await;
    drop(shared);
    leave(background, membership, threads).await?;
    Ok(ended?)
}

/// Writes one partition's changes until `stop`. After whatever goes wrong it goes on from the progress that the server has.
async fn keep(
    shared: Arc<Shared>,
    reader: std_mpsc::Sender<Assignment>,
    partition: i32,
    stop: CancellationToken,
) -> Result<(), Superseded> {
    let mut backoff = Backoff::new(shared.settings.retry_backoff.get());
    let (mut pace, mut logged) = (Pace::new(shared.client.settings().max_bulk.as_usize()), Logged::default());
    let index = shared.index.as_str();
    while !stop.is_cancelled() {
        let opened = tokio::select! {
            opened = open_lane(&shared, partition) => opened,
            () = stop.cancelled() => break,
        };
        let wait = match opened {
            Ok(open) => {
                logged.forget();
                let id = open.id.clone();
                let ended = write_from(open, &shared, &mut pace, &reader, &stop).await;
                if ended.has_moved {
                    backoff.reset();
                }
                let wait = backoff.wait();
                if !stop.is_cancelled() {
                    let (build, wait_ms, error) = (shared.number, wait.as_millis(), error_text(&ended.why));
                    warn!(index, build, %id, wait_ms, error, "writing an index was interrupted; starting again");
                }
                wait
            }
            Err(not_open) => {
                not_open.report(index, partition, &mut logged, Instant::now());
                not_open.wait().unwrap_or_else(|| backoff.wait())
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => break,
        }
    }
    Ok(())
}

/// Has the partition read from where the lane stands, and writes what is read.
async fn write_from(
    open: OpenLane,
    shared: &Arc<Shared>,
    pace: &mut Pace,
    reader: &std_mpsc::Sender<Assignment>,
    stop: &CancellationToken,
) -> Ended {
    let (id, cursor) = (open.id.clone(), open.from.offset);
    info!(%id, index = shared.index, build = shared.number, cursor, "writing an index");
    let (to_loop, handed) = mpsc::channel(DEPTH);
    let (tell, mut truncated) = oneshot::channel();
    let start = Start {
        partition: id.partition,
        warm_from: cursor,
        cursor,
        witness: open.from.witness,
        ahead: open.comparisons.ahead,
        check: open.comparisons.check,
        seal_at: None,
        truncated: tell,
        to_loop,
    };
    if reader.send(Assignment::Start(Box::new(start))).is_err() {
        // The reading thread has ended, which it does only when the process stops.
        stop.cancelled().await;
        return Ended { has_moved: false, why: Interrupted::Stopped };
    }
    let mut ended = write::run(open, shared, pace, handed, stop).await;
    if let Ok(at) = truncated.try_recv() {
        ended.why = Interrupted::Truncated { id, at };
    }
    ended
}
