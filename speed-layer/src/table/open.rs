//! Finds the rows of a partition ready to be kept: as of a cursor that the log still holds, by this definition.

use platform::kafka::Bound;
use platform::redis::Connection;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::table_rows::{Held, Slot};
use shared_logic::log::{Check, PartitionId, Witness};
use tracing::warn;

use super::error::NotOpen;
use super::refill::{LogBounds, refill};
use super::source::Shared;

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
