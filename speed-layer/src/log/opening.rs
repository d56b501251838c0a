//! What has to be known of a partition's log before a shard, rows of a table, or documents of an index go on from a cursor in it.

use std::ops::Range;

use platform::kafka::{Bound, KafkaError, Topics};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::speed_view::Instance;
use shared_logic::log::{Check, PartitionId, Position, Witness};
use uuid::Uuid;

/// Why a log cannot be gone on with yet.
#[derive(Debug, thiserror::Error)]
pub enum LogNotOpen {
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
    /// The cursor, or the archive's position, lies beyond the log's end.
    #[error(
        "the position {position} of {id} lies beyond the log's end {end}: the broker lost data; nothing is skipped; if the data will \
         not come back, see `braid lost give-up`"
    )]
    BeyondTheEnd {
        /// The partition.
        id: PartitionId,
        /// Where the cursor or the archive stands.
        position: i64,
        /// Where the log ends.
        end: i64,
    },
}

/// R12: how the log is compared before it is gone on with.
#[derive(Debug)]
pub struct Comparisons {
    /// With the archive's position, where that lies ahead of the cursor.
    pub ahead: Option<Check>,
    /// With the cursor's position, if its witness is known.
    pub check: Option<Check>,
}

/// Where a partition of a topic begins or ends.
///
/// # Errors
/// If Kafka does not answer.
pub async fn bound(topics: &Topics, topic: &str, partition: i32, which: Bound) -> Result<i64, KafkaError> {
    let offsets = topics.offsets(topic, &[partition], which).await?;
    Ok(offsets.get(&partition).copied().unwrap_or_default())
}

/// R12: the archive's position, if the log has to be compared with it. Otherwise what is kept as of the cursor and the archive could be of
/// different records at the same offsets. If the archive is behind the cursor, and the cursor has a witness, comparing that witness is
/// enough.
pub fn archived_ahead(
    facts: &Facts,
    id: &PartitionId,
    cursor: i64,
    witness: Option<Witness>,
) -> Option<(Witness, i64)> {
    let archived = facts.partition(id).filter(|known| known.next > cursor || witness.is_none())?;
    Some((archived.witness?, archived.next))
}

/// R12: how a log that reaches over these offsets is compared before it is gone on with at `from`. `has_holes`: records may vanish from the
/// middle of the topic.
///
/// # Errors
/// [`LogNotOpen::BeyondTheEnd`].
pub fn comparisons(
    facts: &Facts,
    id: &PartitionId,
    from: Position,
    log: Range<i64>,
    has_holes: bool,
) -> Result<Comparisons, LogNotOpen> {
    let ahead = archived_ahead(facts, id, from.offset, from.witness);
    let position = ahead.map_or(from.offset, |(_, next)| next.max(from.offset));
    if position > log.end {
        return Err(LogNotOpen::BeyondTheEnd { id: id.clone(), position, end: log.end });
    }
    let witnesses = [ahead, from.witness.map(|witness| (witness, from.offset))];
    let [ahead, check] = witnesses.map(|known| {
        let (witness, at) = known.filter(|(witness, _)| witness.offset >= log.start)?;
        Some(Check::new(witness, at, has_holes))
    });
    Ok(Comparisons { ahead, check })
}

/// An instance that no shard and no rows ever had.
pub fn new_instance() -> Instance {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    // Each half has some bits that say what kind of number it is; together they are random throughout.
    Instance::new(high ^ low)
}
