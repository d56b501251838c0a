//! One assigned partition, from its shard's position to applied micro-batches.
//!
//! A lane makes its shard ready, has the partition read from the shard's cursor, and pumps micro-batches through two
//! stages, so that the next one is aggregated while the last one is applied. Whatever is not as expected ends the pump:
//! the lane drops what it holds and starts again from what the shard says (design, section 7).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc as commands;

use metrics::{counter, gauge, histogram};
use platform::kafka::Topics;
use platform::redis::Connection;
use platform::settings::Speed;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::speed_view::{Addition, Definitions, Refusal, Shard, ShardKeys};
use shared_logic::dedup::RecentIdentities;
use shared_logic::log::PartitionId;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::aggregate::Metrics;
use crate::apply::{Apply, NotApplied, Scripts};
use crate::boundary::Batch;
use crate::consume::{Command, Start};
use crate::log_check::{LogCheck, Question};
use crate::log_end::{Ends, Unreached};
use crate::micro_batch::MicroBatch;
use crate::position::{self, Positioning, Ready};

/// How many sealed micro-batches wait in front of each stage of a lane.
const STAGE_DEPTH: usize = 1;

/// What the lanes of a source share.
pub struct Shared {
    /// The catalog.
    pub catalog: Catalog,
    /// The source's metrics, compiled.
    pub metrics: Arc<Metrics>,
    /// The worker's settings.
    pub settings: Speed,
    /// Kafka's topics.
    pub topics: Topics,
    /// Asks the topic's id.
    pub log_check: LogCheck,
    /// The ends of the assigned partitions.
    pub ends: watch::Receiver<Ends>,
    /// The scripts.
    pub scripts: Scripts,
    /// The batch side.
    pub batch: Mutex<Batch>,
    /// The partitions whose shards this worker counts into, with their logs.
    pub owned: watch::Sender<BTreeSet<PartitionId>>,
    /// Tells the consumer what to read.
    pub consumer: commands::Sender<Command>,
}

/// Other definitions were adopted while this worker ran: it has to start again with the current catalog.
#[derive(Debug, thiserror::Error)]
#[error(
    "another worker counts other definitions into {id}: this worker's catalog is not the newest one; start it again"
)]
pub struct Superseded {
    /// Where it was noticed.
    pub id: PartitionId,
}

/// Runs the lane of one partition until `stop`.
///
/// # Errors
/// [`Superseded`].
pub async fn run(
    shared: Arc<Shared>,
    mut redis: Connection,
    partition: i32,
    stop: CancellationToken,
) -> Result<(), Superseded> {
    let backoff = shared.settings.retry_backoff.get();
    let mut wait = backoff;
    while !stop.is_cancelled() {
        let ready = tokio::select! {
            ready = make_ready(&shared, &mut redis, partition) => ready,
            () = stop.cancelled() => break,
        };
        match ready {
            Ok(ready) => {
                wait = backoff;
                let id = ready.id.clone();
                shared.owned.send_modify(|owned| {
                    owned.retain(|other| other.partition != partition);
                    owned.insert(id);
                });
                pump(&shared, &redis, ready, &stop).await?;
            }
            Err(not_ready) => {
                position::log(&not_ready, partition, wait);
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(backoff * 32),
                    () = stop.cancelled() => break,
                }
            }
        }
    }
    shared.owned.send_modify(|owned| owned.retain(|other| other.partition != partition));
    Ok(())
}

async fn make_ready(shared: &Shared, redis: &mut Connection, partition: i32) -> Result<Ready, position::NotReady> {
    let source = &shared.metrics.source;
    let positioning = Positioning {
        keys_of: &|id| ShardKeys::new(&shared.catalog.deployment, &source.name, id),
        topic: &source.topic,
        hashes: &shared.metrics.hashes(),
        topics: &shared.topics,
        scripts: &shared.scripts,
        batch: &shared.batch,
    };
    positioning.ready(redis, partition).await
}

/// A micro-batch that is aggregated.
struct Aggregated {
    from: i64,
    to: i64,
    records: usize,
    opened: std::time::Instant,
    additions: Vec<Addition>,
    question: Question,
}

/// Pumps micro-batches until one is not applied, or the lane is stopped.
async fn pump(
    shared: &Arc<Shared>,
    redis: &Connection,
    ready: Ready,
    stop: &CancellationToken,
) -> Result<(), Superseded> {
    let Ready { id, keys, shard, warm_start } = ready;
    let window = RecentIdentities::new(shared.metrics.source.dedup_window);
    let warms = shared.metrics.source.event_id.is_some();
    let warm_from = if warms { window.warm_from(shard.cursor).max(warm_start) } else { shard.cursor };
    info!(%id, cursor = shard.cursor, warm_from, "counting");
    let (batches, sealed) = mpsc::channel(STAGE_DEPTH);
    let (aggregated, to_apply) = mpsc::channel(STAGE_DEPTH);
    let start = Start { partition: id.partition, warm_from, cursor: shard.cursor, batches };
    if shared.consumer.send(Command::Start(start)).is_err() {
        // The consumer's thread is gone only because the process stops.
        stop.cancelled().await;
        return Ok(());
    }
    let first = aggregate(Arc::clone(shared), sealed, aggregated);
    let second = apply(shared, redis.clone(), &id, &keys, shard, to_apply, stop);
    let ((), superseded) = tokio::join!(first, second);
    superseded
}

/// Stage one: runs the plans, and puts the question of R7.
async fn aggregate(shared: Arc<Shared>, mut sealed: mpsc::Receiver<MicroBatch>, aggregated: mpsc::Sender<Aggregated>) {
    loop {
        let batch = tokio::select! {
            batch = sealed.recv() => match batch { Some(batch) => batch, None => return },
            () = aggregated.closed() => return,
        };
        let question = shared.log_check.ask();
        let metrics = Arc::clone(&shared.metrics);
        let started = Instant::now();
        let work = tokio::task::spawn_blocking(move || metrics.aggregate(&batch).map(|additions| (batch, additions)));
        let (batch, additions) = match work.await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => {
                error!(%error, "a plan failed on a micro-batch; reading it again");
                return;
            }
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        histogram!("braid_speed_aggregate_seconds").record(started.elapsed());
        let MicroBatch { from, to, records, opened, .. } = batch;
        if aggregated.send(Aggregated { from, to, records, opened, additions, question }).await.is_err() {
            return;
        }
    }
}

/// Stage two: applies in order; returns when something is not as expected.
async fn apply(
    shared: &Shared,
    mut redis: Connection,
    id: &PartitionId,
    keys: &ShardKeys,
    mut shard: Shard,
    mut to_apply: mpsc::Receiver<Aggregated>,
    stop: &CancellationToken,
) -> Result<(), Superseded> {
    let mut ends = Unreached::new(id.clone(), shared.ends.clone());
    let backoff = shared.settings.retry_backoff.get();
    while let Some(batch) = to_apply.recv().await {
        let still = tokio::select! {
            still = batch.question.is_still(&id.log) => still,
            () = stop.cancelled() => return Ok(()),
        };
        if !still {
            warn!(%id, "the topic was created again or deleted; what was read is not of this log");
            return Ok(());
        }
        if batch.from != shard.cursor {
            debug!(%id, from = batch.from, cursor = shard.cursor, "a micro-batch of an earlier position");
            return Ok(());
        }
        let as_of_us = ends.as_of(batch.to);
        let additions = batch.additions.into();
        let apply = Apply { keys, expected: shard.expected(), to: batch.to, as_of_us, additions };
        match apply.send(&shared.scripts, &mut redis, backoff, stop).await {
            Ok(now) => {
                report(shared, id, &now, batch.records, batch.opened);
                shard = now;
            }
            Err(NotApplied::Stopped) => return Ok(()),
            Err(NotApplied::Refused(Refusal::Differs(now))) if !same_hashes(&now.definitions, &shard.definitions) => {
                return Err(Superseded { id: id.clone() });
            }
            Err(error) => {
                counter!("braid_speed_refused_total").increment(1);
                warn!(%id, error = format!("{error:#}"), "a micro-batch was not applied; going on from what the shard says");
                return Ok(());
            }
        }
    }
    Ok(())
}

fn same_hashes(a: &Definitions, b: &Definitions) -> bool {
    a.keys().eq(b.keys())
}

fn report(shared: &Shared, id: &PartitionId, shard: &Shard, records: usize, opened: std::time::Instant) {
    let labels = [("source", shared.metrics.source.name.clone()), ("partition", id.partition.to_string())];
    counter!("braid_speed_records_total", &labels[..1]).increment(records as u64);
    gauge!("braid_speed_cursor", &labels).set(shard.cursor as f64);
    gauge!("braid_speed_slices", &labels).set(shard.slices.len() as f64);
    if records > 0 {
        histogram!("braid_speed_read_to_applied_seconds").record(opened.elapsed());
    }
}
