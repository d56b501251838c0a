//! Finds the rows of a partition ready to be kept: as of a cursor that the log still holds, by this definition.
//!
//! Of a compacted log, deletes may be gone that lie behind the cursor, if nobody has kept the rows for long. So rows that are behind the
//! materialised table are filled again from that, which has seen these deletes.

use platform::kafka::Bound;
use platform::redis::Connection;
use shared_logic::contracts::table_rows::{Basis, Held, Slot};
use shared_logic::log::{Check, PartitionId, Position};
use tracing::warn;

use super::error::NotOpen;
use super::refill::{LogBounds, refill};
use super::source::Shared;
use crate::log::opening::{Comparisons, LogNotOpen, bound, comparisons};

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

/// Finds the rows of a partition, or fills them; each step is safe to repeat.
///
/// # Errors
/// [`NotOpen`]: wait and try again.
pub async fn open_rows(shared: &Shared, redis: &mut Connection, partition: i32) -> Result<OpenRows, NotOpen> {
    let topic = &shared.source.topic;
    let described = shared.topics.describe(topic).await?.ok_or_else(|| LogNotOpen::NoTopic { topic: topic.clone() })?;
    let facts = shared.newest_facts().await?;
    let id = facts.current(&described.log, partition);
    let start = bound(&shared.topics, topic, partition, Bound::Start).await?;
    let end = bound(&shared.topics, topic, partition, Bound::End).await?;
    let (slot, basis) = (shared.rows.slot(redis, &shared.key(&id)).await?, shared.basis(&facts));
    let is_compacted = shared.is_compacted().await?;
    let table = if is_compacted { shared.materialised(&facts).await? } else { None };
    let complete_from = table.and_then(|table| table.note()?.next.get(&id)).map_or(start, |next| next.max(start));
    let held = match slot.rows() {
        // What is kept as it is to be, and the log goes on there.
        Some(held) if goes_on(held, &basis, complete_from) => held.clone(),
        _ => {
            if let Slot::Rows(held) = &slot {
                let cursor = held.cursor;
                warn!(%id, cursor, start, complete_from, "the rows are of another definition, of before an erasure, or behind what the log is sure to hold; filling them again");
            }
            let begin = facts.partition(&id).map(|known| known.begin);
            let begin = begin.ok_or_else(|| LogNotOpen::NotArchived { id: id.clone() })?;
            refill(shared, redis, &facts, &id, slot.rows(), Some(LogBounds { begin, start })).await?
        }
    };
    let from = Position { offset: held.cursor, witness: held.witness };
    let Comparisons { ahead, check } = comparisons(&facts, &id, from, start..end, is_compacted)?;
    Ok(OpenRows { id, held, ahead, check })
}

/// Whether changes can be applied to rows that are there. `complete_from`: from that offset on, the log is sure to hold every last change.
fn goes_on(held: &Held, basis: &Basis, complete_from: i64) -> bool {
    held.basis == *basis && held.cursor >= complete_from
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::speed_view::Instance;

    use super::*;

    #[test]
    fn rows_that_are_behind_what_the_log_is_sure_to_hold_are_filled_again() {
        let basis = |text: &str| text.parse::<Basis>().expect("a basis");
        let own = basis("00000000000000aa.2");
        let held = Held { cursor: 70, instance: Instance::new(1), basis: own.clone(), witness: None };
        assert!(goes_on(&held, &own, 0) && goes_on(&held, &own, 70));
        assert!(!goes_on(&held, &own, 71), "the delete of a row may be gone that the table has seen");
        assert!(!goes_on(&held, &basis("00000000000000ab.2"), 0) && !goes_on(&held, &basis("00000000000000aa.3"), 0));
    }
}
