//! The second stage of a counting loop: writes what a micro-batch adds into the shard (R2).
//!
//! The stage reads the fields that the micro-batch adds to, unless it has written them itself, merges, and writes them back in one
//! script that also moves the cursor. The script names the cursor, last slice, definitions and instance that it expects, and changes
//! nothing if one of them differs, so it never overwrites another worker's counts. If the reply of a script is lost, the script
//! may have run. The next try then finds the cursor where this micro-batch would move it, and adds nothing a second
//! time.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use platform::redis::{Connection, is_back_pressure};
use platform::task::{self, Backoff};
use platform::telemetry::error_text;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Addition, Definitions, Expected, KnownFields, Refusal, Shard};
use shared_logic::log::Position;
use storage::ShardError;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::aggregate::Aggregated;
use super::open_shard::OpenShard;
use super::pace;
use super::source::Shared;
use crate::error::Superseded;
use crate::log::ends::PendingEnds;

/// Applies micro-batches to one shard.
pub struct ApplyStage<'a> {
    /// What the tasks of the source share.
    pub shared: &'a Shared,
    /// The connection to Redis.
    pub redis: Connection,
    /// The shard, kept as it is after each micro-batch.
    pub open: OpenShard,
    /// What the last slice is known to hold.
    pub known: KnownFields,
    /// Ends the stage, also while it waits for Redis.
    pub stop: &'a CancellationToken,
}

/// Why a micro-batch was not applied. Nothing was added then.
#[derive(Debug, thiserror::Error)]
pub enum NotApplied {
    /// The shard no longer exists.
    #[error("the shard no longer exists")]
    Missing,
    /// Another process has changed the shard, which is now like this.
    #[error(
        "another process has changed the shard: its cursor is {}, its last slice begins at {} and its instance is {}",
        .0.cursor,
        .0.last_slice(),
        .0.instance
    )]
    Differs(Shard),
    /// Redis refused for a reason that waiting does not mend, or the shard cannot be understood.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The loop was stopped while it waited.
    #[error("stopped while waiting for redis")]
    Stopped,
}

/// One micro-batch on its way into the shard.
struct Change {
    /// What the shard must be like.
    expected: Expected,
    /// Where its cursor goes.
    to: Position,
    /// The latest moment at which the log's end is known to have been at or below `to`.
    as_of_us: Option<i64>,
    /// What is added.
    additions: Arc<[Addition]>,
}

impl ApplyStage<'_> {
    /// Applies micro-batches in order; returns when one is not as expected, and whether any was applied by then.
    ///
    /// # Errors
    /// [`Superseded`].
    pub async fn run(mut self, mut aggregated: mpsc::Receiver<Aggregated>) -> Result<bool, Superseded> {
        let id = self.open.id.clone();
        let mut applied = false;
        let mut ends = PendingEnds::new(id.clone(), self.shared.ends.clone());
        let mut last_as_of_us = None;
        while let Some(batch) = aggregated.recv().await {
            let still = tokio::select! {
                still = batch.identity.is_still(id.topic()) => still,
                () = self.stop.cancelled() => return Ok(applied),
            };
            if !still {
                warn!(%id, "the topic was deleted or created again; what was read may not be of this log");
                return Ok(applied);
            }
            let expected = self.open.shard.expected();
            if batch.from != expected.cursor {
                debug!(%id, from = batch.from, cursor = expected.cursor, "a micro-batch of an earlier position");
                return Ok(applied);
            }
            if self.shared.goes_on_elsewhere(&id) {
                warn!(%id, "the archive has begun another incarnation of the partition; continuing there");
                return Ok(applied);
            }
            let (as_of_us, started) = (ends.as_of(batch.to.offset, batch.sealed), Instant::now());
            last_as_of_us = as_of_us.or(last_as_of_us);
            let change = Change { expected, to: batch.to, as_of_us, additions: batch.additions.into() };
            match self.apply(change).await {
                Ok(shard) => {
                    self.open.shard = shard;
                    applied = true;
                    self.report(batch.records, batch.opened);
                    // Others need it while this loop rests.
                    drop(batch.place);
                    if self.is_behind(last_as_of_us) {
                        pace::rest(batch.took + started.elapsed(), self.shared.pace.clone(), self.stop).await;
                    }
                }
                Err(NotApplied::Stopped) => return Ok(applied),
                Err(NotApplied::Differs(now)) if !same_hashes(&now.definitions, &self.open.shard.definitions) => {
                    return Err(Superseded { id });
                }
                Err(error) => {
                    self.report_refused(&error);
                    return Ok(applied);
                }
            }
        }
        Ok(applied)
    }

    /// Whether the loop is so far behind that it has to leave time to the active version, if it counts for another one (K4).
    fn is_behind(&self, as_of_us: Option<i64>) -> bool {
        let bound = self.shared.replays.replay_lag.get();
        as_of_us.is_none_or(|as_of_us| {
            let behind_us = platform::clock::now_us().saturating_sub(as_of_us);
            Duration::from_micros(u64::try_from(behind_us).unwrap_or(0)) > bound
        })
    }

    /// Tries until the change is applied or refused; waits while Redis is full, slow, read-only or away.
    async fn apply(&mut self, mut change: Change) -> Result<Shard, NotApplied> {
        let mut backoff = Backoff::new(self.shared.settings.retry_backoff.get());
        let from = change.expected.cursor;
        loop {
            let started = Instant::now();
            let tried = self.try_apply(&change).await;
            histogram!("braid_speed_apply_seconds").record(started.elapsed());
            match tried {
                Ok(shard) => {
                    platform::failpoints::pass("speed::after_apply");
                    return Ok(shard);
                }
                // An earlier try did run, and its reply was lost.
                Err(NotApplied::Differs(shard))
                    if change.to.offset > from
                        && (shard.cursor, shard.witness()) == (change.to.offset, change.to.witness)
                        && same_shard(&shard, &change.expected) =>
                {
                    return Ok(shard);
                }
                // Only a rotate came in between: the same change again, into the slice that it opened.
                Err(NotApplied::Differs(shard))
                    if (shard.cursor, shard.witness()) == (from, change.expected.witness)
                        && same_shard(&shard, &change.expected) =>
                {
                    change.expected.slice = shard.last_slice();
                }
                Err(NotApplied::Shard(ShardError::Redis { source: error, .. })) if is_back_pressure(&error) => {
                    counter!("braid_speed_back_pressure_total").increment(1);
                    let wait = backoff.wait();
                    warn!(%error, wait_ms = wait.as_millis(), "redis cannot take a micro-batch now; waiting");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.stop.cancelled() => return Err(NotApplied::Stopped),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the fields that the change adds to and that are not known, merges, and writes them back. What the slice holds is known
    /// afterwards only if the script says that it is done.
    async fn try_apply(&mut self, change: &Change) -> Result<Shard, NotApplied> {
        let (shards, keys) = (&self.shared.shards, &self.open.keys);
        let Change { expected, to, as_of_us, additions } = change;
        let (mut known, mut merged) = (self.known.lend(expected), Vec::new());
        if !additions.is_empty() {
            let (shard, held) = shards.held(&mut self.redis, keys, expected, additions, &known).await?;
            // The script decides. But where the shard differs already, merging would be in vain.
            Shard::apply(shard.as_ref(), expected, *to)?;
            let additions = Arc::clone(additions);
            let work = move || {
                let merged = additions.iter().zip(&held).map(|(addition, held)| addition.merged(&mut known, held));
                let merged = merged.collect::<Result<Vec<_>, _>>();
                (known, merged)
            };
            let (holds, fields) = task::blocking(work).await;
            (known, merged) = (holds, fields.map_err(|source| ShardError::unreadable(keys, source))?);
        }
        let merged = additions.iter().zip(merged);
        platform::failpoints::pass("speed::before_apply");
        match shards.apply(&mut self.redis, keys, expected, *to, *as_of_us, merged).await? {
            Reply::Done(shard) => {
                self.known = known;
                Ok(shard)
            }
            Reply::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// Reports a micro-batch that was not applied. An operator has to mend what keeps Redis from writing.
    fn report_refused(&self, error: &NotApplied) {
        counter!("braid_speed_refused_total").increment(1);
        let (id, cursor, text) = (&self.open.id, self.open.shard.cursor, error_text(error));
        if matches!(error, NotApplied::Shard(ShardError::Failed { .. })) {
            error!(%id, cursor, error = text, "a micro-batch was not applied, since redis cannot write it");
        } else {
            warn!(%id, cursor, error = text, "a micro-batch was not applied; going on from what the shard says");
        }
    }

    /// Reports a micro-batch that was applied, as telemetry.
    fn report(&self, records: usize, opened: std::time::Instant) {
        let (source, OpenShard { id, shard, .. }) = (&self.shared.metrics.source, &self.open);
        let version = self.shared.catalog.deployment.version.clone();
        let labels = [("source", source.name.clone()), ("version", version), ("partition", id.partition.to_string())];
        counter!("braid_speed_records_total", &labels[..2]).increment(records as u64);
        gauge!("braid_speed_cursor", &labels).set(shard.cursor as f64);
        gauge!("braid_speed_slices", &labels).set(shard.slices.len() as f64);
        if records > 0 {
            histogram!("braid_speed_read_to_applied_seconds").record(opened.elapsed());
        }
    }
}

impl From<Refusal> for NotApplied {
    fn from(refusal: Refusal) -> NotApplied {
        match refusal {
            Refusal::Missing => NotApplied::Missing,
            Refusal::Differs(shard) => NotApplied::Differs(shard),
        }
    }
}

/// Whether the shard has the expected counters, whatever its position, and they may be added to.
fn same_shard(shard: &Shard, expected: &Expected) -> bool {
    let is_same = shard.instance == expected.instance && shard.definitions == expected.definitions;
    is_same && shard.truncated.is_none()
}

fn same_hashes(a: &Definitions, b: &Definitions) -> bool {
    a.keys().eq(b.keys())
}
