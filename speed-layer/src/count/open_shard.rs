//! Makes a partition's shard ready to be counted into: it exists, counts this catalog's definitions, and its cursor is
//! an offset that the log still holds.

use std::sync::Arc;
use std::time::Duration;

use platform::kafka::{Bound, KafkaError};
use platform::redis::Connection;
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Shard, ShardKeys};
use shared_logic::log::{Check, PartitionId};
use shared_logic::version::Stage;
use storage::{ShardError, VersionsError};
use tracing::{error, info, warn};

use super::source::Shared;
use crate::log::opening::{LogNotOpen, archived_ahead, bound, new_instance};

/// A shard that can be counted into.
#[derive(Debug)]
pub struct OpenShard {
    /// The partition, and the log that its topic is now.
    pub id: PartitionId,
    /// The shard's keys.
    pub keys: ShardKeys,
    /// The shard's positions.
    pub shard: Shard,
    /// The first offset that may warm the deduplication window: the log still holds it, and the archive has it too. The
    /// batch layer does not know records before the archive's start (`start = "latest"`). If they counted as earlier
    /// copies here, the layers would disagree.
    pub warm_start: i64,
    /// R12: how the log is compared with the archive's position, where that lies ahead of the cursor.
    pub ahead: Option<Check>,
    /// R12: how the log is compared with the cursor's position, if its witness is known and was not deleted by
    /// retention.
    pub check: Option<Check>,
}

/// Why a shard cannot be counted into yet. The loop waits and tries again.
#[derive(Debug, thiserror::Error)]
pub enum NotOpen {
    /// The log cannot be gone on with.
    #[error(transparent)]
    Log(#[from] LogNotOpen),
    /// R12: the log lost its tail, and the archive has not begun another incarnation yet.
    #[error(
        "the log of {id} lost its tail at {at} or before; after the next reconcile the partition continues as another \
         incarnation"
    )]
    Truncated {
        /// The partition.
        id: PartitionId,
        /// Where another record was found.
        at: i64,
    },
    /// R12: the log lost its tail, and nothing is archived that another incarnation could go on from (K5).
    #[error(
        "the log of {id} lost its tail at {at} or before, and without an archive nobody knows which records that were; its counts are in no \
         answer any more: create another version, and replay it"
    )]
    TruncatedForGood {
        /// The partition.
        id: PartitionId,
        /// Where another record was found.
        at: i64,
    },
    /// The version is not counted any more, or not yet, so that its shards must not be opened.
    #[error("version {version} is not to be counted: no shard of {id} is opened")]
    NotCounted {
        /// The version.
        version: String,
        /// The partition.
        id: PartitionId,
    },
    /// It could not be asked which versions there are.
    #[error(transparent)]
    Versions(#[from] VersionsError),
    /// Another process changed the shard at the same time.
    #[error("another process changed the shard of {id} at the same time")]
    Raced {
        /// The partition.
        id: PartitionId,
    },
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Redis did not answer, or the shard cannot be understood.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The views or the archive cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens the shard of a partition, one step at a time; each step is safe to repeat.
///
/// # Errors
/// [`NotOpen`]: wait and try again.
pub async fn open_shard(shared: &Shared, redis: &mut Connection, partition: i32) -> Result<OpenShard, NotOpen> {
    let (topic, definitions) = (&shared.metrics.source.topic, shared.metrics.definitions());
    let described = shared.topics.describe(topic).await?.ok_or_else(|| LogNotOpen::NoTopic { topic: topic.clone() })?;
    let mut facts = newest_facts(shared).await?;
    let id = facts.current(&described.log, partition);
    let keys = shared.keys(&id);
    let mut shard = match shared.shards.positions(redis, &keys).await? {
        Some(shard) => shard,
        None => {
            platform::failpoints::pass("speed::before_opening");
            let opened = open_missing(shared, redis, &id, &keys, &definitions).await?;
            // The archive may have begun the partition only after the facts above were read.
            facts = newest_facts(shared).await?;
            opened
        }
    };
    if let Some(at) = shard.truncated {
        let keeps_archive = shared.catalog.deployment.keeps_archive;
        return Err(if keeps_archive { NotOpen::Truncated { id, at } } else { NotOpen::TruncatedForGood { id, at } });
    }
    if !shard.counts(&definitions) {
        info!(%id, cursor = shard.cursor, "the shard counts other definitions; adopting this catalog's");
        shard = changed(&id, shared.shards.adopt(redis, &keys, &definitions).await?)?;
    }
    let log_start = bound(&shared.topics, topic, partition, Bound::Start).await?;
    let end = bound(&shared.topics, topic, partition, Bound::End).await?;
    if shard.cursor < log_start {
        let cursor = shard.cursor;
        warn!(%id, cursor, log_start, "the log no longer holds the cursor; reopening the shard at the log's start");
        let reopened = shared.shards.reopen(redis, &keys, cursor, log_start, &definitions, new_instance()).await?;
        shard = changed(&id, reopened)?;
    }
    let ahead = archived_ahead(&facts, &id, shard.cursor, shard.witness());
    let position = ahead.map_or(shard.cursor, |(_, next)| next.max(shard.cursor));
    if position > end {
        return Err(LogNotOpen::BeyondTheEnd { id, position, end }.into());
    }
    let witnesses = [ahead, shard.witness().map(|witness| (witness, shard.cursor))];
    let [ahead, check] = witnesses.map(|known| known.filter(|(witness, _)| witness.offset >= log_start));
    // Asked only where there is something to compare.
    let has_holes = if ahead.or(check).is_some() { shared.is_compacted().await? } else { false };
    let [ahead, check] = [ahead, check].map(|known| known.map(|(witness, at)| Check::new(witness, at, has_holes)));
    let first = facts.incarnations(id.topic(), partition).into_iter().next();
    let archive_start = first.and_then(|first| facts.partition(&first)).map(|known| known.begin);
    let warm_start = archive_start.map_or(log_start, |start| start.max(log_start));
    Ok(OpenShard { id, keys, shard, warm_start, ahead, check })
}

/// The archive's newest facts, told to all tasks of the source.
async fn newest_facts(shared: &Shared) -> Result<Arc<Facts>, NotOpen> {
    let facts = shared.batch_side.lock().await.facts().await?.unwrap_or_default();
    shared.facts.send_replace(Arc::clone(&facts));
    Ok(facts)
}

/// Opens a shard that does not exist, where R6 says. What is known of the versions may be old, if this process was held up: a shard of a
/// version that is retired would stay for ever, so that is asked for anew.
async fn open_missing(
    shared: &Shared,
    redis: &mut Connection,
    id: &PartitionId,
    keys: &ShardKeys,
    definitions: &[DefinitionHash],
) -> Result<Shard, NotOpen> {
    let (versions, deployment) = (shared.versions.asked_anew().await?, &shared.catalog.deployment);
    if !versions.stage(&deployment.version).is_some_and(Stage::is_counted) {
        return Err(NotOpen::NotCounted { version: deployment.version.clone(), id: id.clone() });
    }
    let boundary = shared.batch_side.lock().await.boundary().await?;
    let log_start = if deployment.keeps_archive {
        None
    } else {
        Some(bound(&shared.topics, &shared.metrics.source.topic, id.partition, Bound::Start).await?)
    };
    let at = boundary.opening(id, log_start).ok_or_else(|| LogNotOpen::NotArchived { id: id.clone() })?;
    info!(%id, at = at.offset, "opening a shard");
    changed(id, shared.shards.open(redis, keys, at, definitions, new_instance()).await?)
}

fn changed(id: &PartitionId, reply: Reply) -> Result<Shard, NotOpen> {
    match reply {
        Reply::Done(shard) => Ok(shard),
        Reply::Refused(_) => Err(NotOpen::Raced { id: id.clone() }),
    }
}

/// Waiting longer than this for the archive is worth a warning.
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(1);

impl NotOpen {
    /// Logs it: as an error what an operator has to mend, otherwise as a warning or a notice.
    pub fn report(&self, partition: i32, wait: Duration) {
        let (wait_ms, text) = (wait.as_millis(), error_text(self));
        match self {
            NotOpen::Log(LogNotOpen::BeyondTheEnd { .. })
            | NotOpen::Truncated { .. }
            | NotOpen::TruncatedForGood { .. }
            | NotOpen::Shard(ShardError::Unreadable { .. }) => {
                error!(partition, wait_ms, "{text}");
            }
            // Every first start begins with it.
            NotOpen::Log(LogNotOpen::NotArchived { .. }) if wait < ARCHIVE_PATIENCE => {
                info!(partition, "{text}; waiting for it");
            }
            _ => warn!(partition, wait_ms, "{text}; trying again"),
        }
    }
}
