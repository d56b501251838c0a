//! What was read beyond a log's end is given up, because an operator says that the log will not be whole again (R12).
//!
//! A log that ends below a position is waited for. It may be a leader that lags, and no end proves that a tail is lost: only
//! another record at an offset that was read does. If no producer writes to the partition, there will be none, and archive
//! and speed wait for ever.
//!
//! Here the operator's word stands for that record. The archive begins another incarnation where the log ends, and shards
//! that have counted further are marked. The next reconcile settles both, as after any lost tail. If records below the end
//! differ as well, the archiver finds that out when it compares the record before the new beginning.

use std::collections::BTreeMap;
use std::fmt;

use platform::redis::RedisError;
use platform::settings;
use shared_logic::catalog::Deployment;
use shared_logic::contracts::speed_view::ShardKeys;
use shared_logic::log::PartitionId;
use storage::{Archive, FactsNotChanged, ShardClient, ShardError};

use crate::archive_rows::lives::Lives;
use crate::rows::RowsError;

/// A position that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The partition.
    pub id: PartitionId,
    /// Whose position it was.
    pub by: Layer,
    /// The position: the first offset that was not archived, or counted.
    pub reached: i64,
    /// Where the log ends.
    pub end: i64,
}

/// The layers whose positions can be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The archive.
    Archive,
    /// The speed layer.
    Speed,
}

/// Why not everything was given up. What was stays so; to try again is safe.
#[derive(Debug, thiserror::Error)]
pub enum GiveUpError {
    /// The archive could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The archive could not begin another incarnation.
    #[error(transparent)]
    Facts(#[from] FactsNotChanged),
    /// Redis could not be reached.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// A shard could not be read or marked.
    #[error(transparent)]
    Shard(#[from] ShardError),
}

/// Gives up every position of a source that lies beyond `ends`, where the partitions of its topic `log` end. Positions that
/// do not lie beyond stay as they are, so a repetition changes nothing. Returns what was given up.
///
/// # Errors
/// [`GiveUpError`].
pub async fn give_up(
    archive: &mut Archive,
    redis: &settings::Redis,
    deployment: &Deployment,
    source: &str,
    log: &str,
    ends: &BTreeMap<i32, i64>,
) -> Result<Vec<GivenUp>, GiveUpError> {
    let mut redis = platform::redis::connect(redis).await?;
    let mut given_up = Vec::new();
    for (partition, end) in ends {
        let id = archive.facts().current(log, *partition);
        given_up.extend(give_up_archive(archive, id, *end).await?);
    }
    let (facts, client) = (archive.facts(), ShardClient::default());
    for (partition, end) in ends {
        // A shard of an earlier incarnation may wait for offsets, too, before it is settled.
        for id in facts.incarnations(log, *partition).into_iter().filter(|id| !facts.is_settled(id)) {
            let keys = ShardKeys::new(deployment, source, &id);
            let Some(shard) = client.positions(&mut redis, &keys).await? else { continue };
            if shard.cursor > *end && shard.truncated.is_none() {
                client.mark(&mut redis, &keys, shard.instance, *end).await?;
                given_up.push(GivenUp { id, by: Layer::Speed, reached: shard.cursor, end: *end });
            }
        }
    }
    Ok(given_up)
}

async fn give_up_archive(archive: &mut Archive, id: PartitionId, end: i64) -> Result<Option<GivenUp>, GiveUpError> {
    let facts = archive.facts();
    let Some(next) = facts.partition(&id).map(|known| known.next).filter(|next| *next > end) else { return Ok(None) };
    let before = Lives::of(&facts, &id).witness(archive, end).await?;
    let begun = archive.change("GIVE UP", |facts| facts.give_up(&id, next, end, before)).await?;
    Ok(begun.map(|_| GivenUp { id, by: Layer::Archive, reached: next, end }))
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GivenUp { id, by, reached, end } = self;
        let read = match by {
            Layer::Archive => "archived",
            Layer::Speed => "counted",
        };
        write!(f, "{id} was {read} up to {reached}, and its log ends at {end}")
    }
}
