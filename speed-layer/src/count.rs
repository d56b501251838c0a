//! The counting loop of one assigned partition, from its shard's cursor to applied micro-batches.
//!
//! The loop opens the partition's shard and has the partition read from the shard's cursor. The micro-batches then pass
//! through two stages, so that the next one is aggregated while the last one is applied. When anything is not as expected
//! (the topic was created again, another worker moved the shard, Redis was restored), the loop drops what it holds, opens
//! the shard again and goes on from the shard's cursor: the cursor moves only together with the counters, so no record is
//! missed or counted twice. It waits before each new start, the longer the more starts in a row have applied nothing.
//!
//! Where the log does not hold any more what was counted, the shard is marked instead, and counts nothing more (R12). The loop
//! waits until the archive has begun another incarnation of the partition, and goes on there.
//!
//! In the order of the flow:
//!
//! - [`open_shard`]: makes the shard ready to be counted into;
//! - [`aggregate`]: the first stage leaves out [`copies`], and counts a micro-batch for all metrics ([`compiled`]), in [`parts`] if it
//!   has too many counters;
//! - [`apply`]: the second stage adds the result to the shard;
//! - [`expire`]: slices that every batch view holds are dropped, by a task beside the loops;
//! - [`pace`]: how long loops rest that replay, so that they do not slow down the active version; how far that is behind, another such
//!   task asks ([`active_lag`]).
//!
//! All of them use [`source`], what the loops of one source share.

pub mod active_lag;
pub mod aggregate;
pub mod apply;
pub mod compiled;
pub mod copies;
pub mod expire;
pub mod open_shard;
pub mod pace;
pub mod parts;
pub mod source;

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;

use metrics::counter;
use platform::redis::Connection;
use platform::task::Backoff;
use platform::telemetry::error_text;
use shared_logic::contracts::speed_view::{Instance, KnownFields, ShardKeys};
use shared_logic::dedup::RecentIdentities;
use shared_logic::log::PartitionId;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::apply::ApplyStage;
use self::open_shard::{OpenShard, open_shard};
use self::source::Shared;
use crate::error::Superseded;
use crate::read::{Assignment, Start};

/// How many micro-batches wait in front of each stage.
const STAGE_DEPTH: usize = 1;

/// Counts one partition until `stop`. `reader` tells the thread that reads it from where to.
///
/// # Errors
/// [`Superseded`].
pub async fn run(
    shared: Arc<Shared>,
    mut redis: Connection,
    reader: std_mpsc::Sender<Assignment>,
    partition: i32,
    stop: CancellationToken,
) -> Result<(), Superseded> {
    let mut backoff = Backoff::new(shared.settings.retry_backoff.get());
    while !stop.is_cancelled() {
        let opened = tokio::select! {
            opened = open_shard(&shared, &mut redis, partition) => opened,
            () = stop.cancelled() => break,
        };
        let wait = match opened {
            Ok(open) => {
                shared.starts_counting(open.id.clone());
                if count_into(open, &shared, &redis, &reader, &stop).await? {
                    backoff.reset();
                }
                let wait = backoff.wait();
                if !stop.is_cancelled() {
                    warn!(partition, wait_ms = wait.as_millis(), "counting was interrupted; starting again");
                }
                wait
            }
            Err(not_open) => {
                let wait = backoff.wait();
                not_open.report(partition, wait);
                wait
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => break,
        }
    }
    shared.stops_counting(partition);
    Ok(())
}

/// Passes micro-batches through both stages until one cannot be applied, or the loop is stopped. Returns whether any was
/// applied by then.
async fn count_into(
    open: OpenShard,
    shared: &Shared,
    redis: &Connection,
    reader: &std_mpsc::Sender<Assignment>,
    stop: &CancellationToken,
) -> Result<bool, Superseded> {
    let (id, cursor) = (&open.id, open.shard.cursor);
    let window = RecentIdentities::new(shared.metrics.source.dedup_window);
    let warms = !shared.metrics.source.event_id.is_empty();
    let warm_from = if warms { window.warm_from(cursor).max(open.warm_start) } else { cursor };
    info!(%id, cursor, warm_from, "counting");
    let (to_loop, handed) = mpsc::channel(STAGE_DEPTH);
    let (aggregated, to_apply) = mpsc::channel(STAGE_DEPTH);
    let (tell, mut truncated) = oneshot::channel();
    let start = Start {
        partition: id.partition,
        warm_from,
        cursor,
        witness: open.shard.witness(),
        ahead: open.ahead,
        check: open.check,
        seal_at: None,
        truncated: tell,
        to_loop,
    };
    let (marked, keys, instance) = (id.clone(), open.keys.clone(), open.shard.instance);
    if reader.send(Assignment::Start(Box::new(start))).is_err() {
        // The reading thread has ended, which it does only when the process stops.
        stop.cancelled().await;
        return Ok(false);
    }
    let known = KnownFields::new(shared.settings.slice_memory.as_usize());
    let apply = ApplyStage { shared, redis: redis.clone(), open, known, stop };
    let ((), applied) = tokio::join!(aggregate::run(shared, window, handed, aggregated), apply.run(to_apply));
    if let Ok(at) = truncated.try_recv() {
        tokio::select! {
            () = mark(shared, redis.clone(), &marked, &keys, instance, at) => {}
            () = stop.cancelled() => {}
        }
    }
    applied
}

/// R12: marks the shard, because the log holds another record at that offset than what was counted or archived; unless what was
/// read belongs to another topic of that name (R7). If that fails, the loop finds the same again.
async fn mark(shared: &Shared, mut redis: Connection, id: &PartitionId, keys: &ShardKeys, instance: Instance, at: i64) {
    if !shared.identity.ask().is_still(id.topic()).await {
        return;
    }
    error!(%id, at, "the log lost its tail: it holds another record here than what was read before; the shard counts nothing more");
    counter!("braid_speed_truncated_total").increment(1);
    if let Err(error) = shared.shards.mark(&mut redis, keys, instance, at).await {
        warn!(%id, error = error_text(&error), "cannot mark the shard; trying again");
    }
}
