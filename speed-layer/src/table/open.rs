//! Finds the rows of a partition ready to be kept: as of a cursor that the log still holds, by this definition.

use std::time::Duration;

use platform::kafka::{Bound, KafkaError};
use platform::redis::Connection;
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::table_rows::{Held, Slot};
use shared_logic::log::{Check, PartitionId, Witness};
use storage::TableRowsError;
use tracing::{error, info, warn};

use super::refill::{LogBounds, refill};
use super::source::Shared;

/// Waiting longer than this for the archive is worth a warning.
const PATIENCE: Duration = Duration::from_secs(1);

/// Rows that changes can be applied to.
#[derive(Debug)]
pub struct OpenRows {
    /// The partition, and the log that its topic is now.
    pub id: PartitionId,
    /// As of when they are.
    pub held: Held,
    /// R12: how the log is compared with the archive's position, where that lies ahead of the cursor.
    pub ahead: Option<Check>,
    /// R12: how the log is compared with the cursor's position, if its witness is known.
    pub check: Option<Check>,
}

/// Why there are no rows yet. The task waits and tries again.
#[derive(Debug, thiserror::Error)]
pub enum NotOpen {
    /// The topic does not exist.
    #[error("topic {topic} does not exist; create it, or run `batch-layer archive`, which creates it")]
    NoTopic {
        /// The topic's name.
        topic: String,
    },
    /// The archive does not know the partition yet.
    #[error("the archive has not begun {id}; is `batch-layer archive` running?")]
    NotArchived {
        /// The partition.
        id: PartitionId,
    },
    /// B3: nothing that is at hand holds all changes.
    #[error(
        "the log of {id} is compacted, or no longer holds all changes, and the table was not materialised up to there yet: the next \
         reconcile does that, or `batch-layer table materialise`"
    )]
    NotMaterialised {
        /// The partition.
        id: PartitionId,
    },
    /// The cursor, or the archive's position, lies beyond the log's end.
    #[error(
        "the position {position} of {id} lies beyond the log's end {end}: the broker lost data; nothing is skipped; if the data will \
         not come back, see `braid lost give-up`"
    )]
    BeyondTheEnd {
        /// The partition.
        id: PartitionId,
        /// Where the rows or the archive stand.
        position: i64,
        /// Where the log ends.
        end: i64,
    },
    /// Another process fills or keeps the rows at the same time.
    #[error("another process fills or keeps the rows of {id} at the same time")]
    Raced {
        /// The partition.
        id: PartitionId,
    },
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Redis did not answer, or the rows cannot be understood.
    #[error(transparent)]
    Rows(#[from] TableRowsError),
    /// The archive or the materialised table cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotOpen {
    /// Logs it: as an error what an operator has to mend, otherwise as a warning or a notice.
    pub fn report(&self, table: &str, partition: i32, wait: Duration) {
        let (wait_ms, text) = (wait.as_millis(), error_text(self));
        match self {
            NotOpen::BeyondTheEnd { .. } | NotOpen::Rows(TableRowsError::Unreadable { .. }) => {
                error!(table, partition, wait_ms, "{text}");
            }
            // Every first start begins with them.
            NotOpen::NotArchived { .. } | NotOpen::NoTopic { .. } | NotOpen::NotMaterialised { .. }
                if wait < PATIENCE =>
            {
                info!(table, partition, "{text}; waiting for it");
            }
            _ => warn!(table, partition, wait_ms, "{text}; trying again"),
        }
    }
}

/// Finds the rows of a partition, or fills them; each step is safe to repeat.
///
/// # Errors
/// [`NotOpen`]: wait and try again.
pub async fn open_rows(shared: &Shared, redis: &mut Connection, partition: i32) -> Result<OpenRows, NotOpen> {
    let topic = &shared.source.topic;
    let described = shared.topics.describe(topic).await?.ok_or_else(|| NotOpen::NoTopic { topic: topic.clone() })?;
    let facts = shared.newest_facts().await?;
    let id = facts.current(&described.log, partition);
    let start = bound(shared, partition, Bound::Start).await?;
    let end = bound(shared, partition, Bound::End).await?;
    let (slot, basis) = (shared.rows.slot(redis, &shared.key(&id)).await?, shared.basis(&facts));
    let held = match slot.rows() {
        // What is kept as it is to be, and the log goes on there.
        Some(held) if held.basis == basis && held.cursor >= start => held.clone(),
        _ => {
            let known = slot.rows().map(|held| held.instance);
            if let Slot::Rows(held) = &slot {
                warn!(%id, cursor = held.cursor, start, "the rows are of another definition, or of before an erasure, or the log no longer holds their cursor; filling them again");
            }
            let begin = facts.partition(&id).map(|known| known.begin);
            let begin = begin.ok_or_else(|| NotOpen::NotArchived { id: id.clone() })?;
            refill(shared, redis, &facts, &id, known, Some(LogBounds { begin, start })).await?
        }
    };
    let ahead = archived_ahead(&facts, &id, &held);
    let position = ahead.map_or(held.cursor, |(_, next)| next.max(held.cursor));
    if position > end {
        return Err(NotOpen::BeyondTheEnd { id, position, end });
    }
    let witnesses = [ahead, held.witness.map(|witness| (witness, held.cursor))];
    let [ahead, check] = witnesses.map(|known| known.filter(|(witness, _)| witness.offset >= start));
    let has_holes = if ahead.or(check).is_some() { shared.is_compacted().await? } else { false };
    let [ahead, check] = [ahead, check].map(|known| known.map(|(witness, at)| Check::new(witness, at, has_holes)));
    Ok(OpenRows { id, held, ahead, check })
}

/// R12: the archive's position, if the log has to be compared with it, as for shards.
fn archived_ahead(facts: &Facts, id: &PartitionId, held: &Held) -> Option<(Witness, i64)> {
    let archived = facts.partition(id).filter(|known| known.next > held.cursor || held.witness.is_none())?;
    Some((archived.witness?, archived.next))
}

async fn bound(shared: &Shared, partition: i32, which: Bound) -> Result<i64, NotOpen> {
    let offsets = shared.topics.offsets(&shared.source.topic, &[partition], which).await?;
    Ok(offsets.get(&partition).copied().unwrap_or_default())
}
