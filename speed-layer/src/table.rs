//! Tables in Redis: the last change of each key, for lookups and for whoever asks for a row (B3).
//!
//! A table's topic is read as any other. Each assigned partition has a task, which keeps the rows of that partition under a cursor: it
//! moves only together with the rows, in one script (R2). So no change is missed, and a change that is applied twice changes nothing.
//! Partitions that go on no more, because their topic was created again or their log lost its tail, are filled once.
//!
//! In the order of the flow:
//!
//! - [`open`]: finds the rows of a partition as they are, or has them filled ([`refill`]);
//! - `crate::read` reads and decodes changes;
//! - [`apply`]: writes the last of each key;
//! - [`ended`]: the partitions that go on no more.
//!
//! [`lookup`] is for lanes, which read what is kept here. [`source`] is what the tasks of one table share, and [`error`] says why a partition
//! has no rows.

pub mod apply;
pub mod ended;
pub mod error;
pub mod lookup;
pub mod open;
pub mod refill;
pub mod source;

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use platform::kafka::{Membership, Topics};
use platform::redis::Connection;
use platform::registry::Registry;
use platform::settings::Settings;
use platform::task::Backoff;
use shared_logic::catalog::{Catalog, Source, Table};
use shared_logic::contracts::archive::Facts;
use storage::{Schemas, Storage, TableRowsClient};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::open::{OpenRows, open_rows};
use self::source::Shared;
use crate::assigned::{follow, leave};
use crate::error::{SourceError, Superseded};
use crate::log::ends::{Ends, watch_ends};
use crate::log::identity::LogIdentity;
use crate::read::micro_batch::Shape;
use crate::read::threads::ReadingThreads;
use crate::read::{Assignment, Start};

/// How often the ends of the assigned partitions are asked for.
const ENDS_EVERY: Duration = Duration::from_millis(500);
/// How many micro-batches wait to be applied.
const DEPTH: usize = 2;

/// Keeps the rows of one table until `stop`.
///
/// # Errors
/// If Kafka's or the store's settings are not usable, Redis cannot be reached, or another worker keeps the table by another definition.
pub async fn run(
    settings: &Settings,
    catalog: &Catalog,
    table: &Table,
    stop: CancellationToken,
) -> Result<(), SourceError> {
    let source: Source = catalog.sources[&table.name].clone();
    let topics = Topics::new(&settings.kafka)?;
    let deployment = &catalog.deployment;
    let group = format!("braid.{}.{}.{}", deployment.name, deployment.table_generation(&table.name), table.name);
    let storage = Storage::new(&settings.store, deployment)?;
    let schemas = Schemas::new(&storage, &source.name, &Registry::new(&settings.registry));
    let (publish_ends, ends) = watch::channel(Ends::default());
    let shape = Shape { wanted: Vec::new(), mark_every: usize::MAX, lane: None, is_of_table: true };
    let mut threads =
        ReadingThreads::of_source(&settings.kafka, &settings.speed, &source, shape, schemas, ends.clone())?;
    let membership = Membership::join(&settings.kafka, &group, &source.topic)?;
    let shared = Arc::new(Shared {
        deployment: deployment.clone(),
        definition: catalog.table_definition(table),
        settings: settings.speed.clone(),
        identity: LogIdentity::start(topics.clone(), source.topic.clone()),
        topics: topics.clone(),
        rows: TableRowsClient::default(),
        archive: Mutex::new(storage.follow_archive(&source.name)),
        materialised: Mutex::new(storage.follow_table(&table.name)),
        facts: watch::channel(Arc::<Facts>::default()).0,
        source,
    });
    let mut background = JoinSet::new();
    let assigned = membership.assigned();
    let topic = shared.source.topic.clone();
    background.spawn(watch_ends(topics, topic.clone(), assigned.clone(), ENDS_EVERY, publish_ends, stop.clone()));
    let filling = platform::redis::connect(&settings.redis).await?;
    background.spawn(ended::run(Arc::clone(&shared), filling, assigned.clone(), stop.clone()));
    let redis = platform::redis::connect(&settings.redis).await?;
    let keep = |partition, reader, stop| keep(Arc::clone(&shared), redis.clone(), reader, partition, stop);
    let ended = follow(&topic, &mut threads, assigned, &stop, keep).await;
    drop(shared);
    leave(background, membership, threads).await?;
    Ok(ended?)
}

/// Keeps the rows of one partition until `stop`. After whatever goes wrong it goes on from what Redis holds.
async fn keep(
    shared: Arc<Shared>,
    mut redis: Connection,
    reader: std_mpsc::Sender<Assignment>,
    partition: i32,
    stop: CancellationToken,
) -> Result<(), Superseded> {
    let mut backoff = Backoff::new(shared.settings.retry_backoff.get());
    while !stop.is_cancelled() {
        let opened = tokio::select! {
            opened = open_rows(&shared, &mut redis, partition) => opened,
            () = stop.cancelled() => break,
        };
        let wait = match opened {
            Ok(open) => {
                if apply_to(open, &shared, &mut redis, &reader, &stop).await? {
                    backoff.reset();
                }
                let wait = backoff.wait();
                if !stop.is_cancelled() {
                    let table = &shared.source.name;
                    warn!(
                        table,
                        partition,
                        wait_ms = wait.as_millis(),
                        "keeping a table was interrupted; starting again"
                    );
                }
                wait
            }
            Err(not_open) => {
                let wait = backoff.wait();
                not_open.report(&shared.source.name, partition, wait);
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

/// Applies micro-batches until one cannot be applied, or it is to stop. Returns whether any was applied by then.
async fn apply_to(
    open: OpenRows,
    shared: &Shared,
    redis: &mut Connection,
    reader: &std_mpsc::Sender<Assignment>,
    stop: &CancellationToken,
) -> Result<bool, Superseded> {
    let (id, cursor) = (open.id.clone(), open.held.cursor);
    info!(%id, table = shared.source.name, cursor, "keeping a table");
    let (to_loop, handed) = mpsc::channel(DEPTH);
    let (tell, mut truncated) = oneshot::channel();
    let start = Start {
        partition: id.partition,
        warm_from: cursor,
        cursor,
        witness: open.held.witness,
        ahead: open.ahead,
        check: open.check,
        seal_at: None,
        truncated: tell,
        to_loop,
    };
    if reader.send(Assignment::Start(Box::new(start))).is_err() {
        // The reading thread has ended, which it does only when the process stops.
        stop.cancelled().await;
        return Ok(false);
    }
    let applied = apply::run(&id, open.held, shared, redis, handed, stop).await;
    if let Ok(at) = truncated.try_recv() {
        warn!(%id, at, "the log of a table lost its tail; waiting until the archive has begun another incarnation");
    }
    applied
}
