//! Finds a lane ready to write: the progress that the server has of it, in a build that is still what the state says (I2).

use std::slice;
use std::time::Instant;

use platform::kafka::Bound;
use shared_logic::contracts::index::REFUSED_MAX;
use shared_logic::log::{PartitionId, Position};

use super::alone::Alone;
use super::error::{Lost, NotOpen};
use super::refused::RefusedIds;
use super::shared::{COMPARED_FOR, Shared};
use crate::log::opening::{Comparisons, LogNotOpen, bound, comparisons};

/// A lane that can write.
pub(super) struct OpenLane {
    /// The partition, and the log that its topic is now.
    pub(super) id: PartitionId,
    /// The first offset whose change may not be in the build.
    pub(super) from: Position,
    /// R12: how the log is compared with what was read before.
    pub(super) comparisons: Comparisons,
    /// When it was asked for the progress.
    pub(super) alone: Alone,
    /// What the server has refused of the build.
    pub(super) refused: RefusedIds,
}

/// Finds a lane ready to write, or gives the build up where it cannot be gone on with; each step is safe to repeat.
///
/// # Errors
/// [`NotOpen`]: wait and try again.
pub(super) async fn open_lane(shared: &Shared, partition: i32) -> Result<OpenLane, NotOpen> {
    let Shared { topic, number, .. } = shared;
    let described = shared.topics.describe(topic).await?.ok_or_else(|| LogNotOpen::NoTopic { topic: topic.clone() })?;
    let facts = shared.check(COMPARED_FOR).await?;
    let id = facts.current(&described.log, partition);
    if shared.build.base.get(&id).is_none() {
        return Err(NotOpen::NotInBuild { number: *number, id });
    }
    let alone = Alone::since(Instant::now());
    let progress = shared.client.progress(&shared.index, *number, slice::from_ref(&id)).await?;
    let Some(progress) = progress.into_iter().next().flatten() else {
        return Err(NotOpen::Lost(shared.give_up(Lost::Progress { id }).await?));
    };
    let (cursor, witness) = (progress.cursor, progress.witness);
    let start = bound(&shared.topics, topic, partition, Bound::Start).await?;
    let end = bound(&shared.topics, topic, partition, Bound::End).await?;
    // The topic is still that log: otherwise these offsets are another one's, and the build may be as it should be.
    if shared.topics.describe(topic).await?.is_none_or(|now| now.log != described.log) {
        return Err(LogNotOpen::NoTopic { topic: topic.clone() }.into());
    }
    if cursor < start {
        return Err(NotOpen::Lost(shared.give_up(Lost::Log { id, cursor, start }).await?));
    }
    let from = Position { offset: cursor, witness };
    let is_compacted = shared.topics.is_compacted(topic).await?;
    let comparisons = comparisons(&facts, &id, from, start..end, is_compacted)?;
    let refused = known_refused(shared).await?;
    Ok(OpenLane { id, from, comparisons, alone, refused })
}

/// I3: what the server has refused of the build, if that is not too much.
async fn known_refused(shared: &Shared) -> Result<RefusedIds, NotOpen> {
    let (client, index, number) = (&shared.client, &shared.index, shared.number);
    let count = client.count_refused(index, number).await?;
    if count > REFUSED_MAX {
        return Err(NotOpen::TooManyRefused { count, number });
    }
    if count == 0 {
        return Ok(RefusedIds::default());
    }
    let (refused, count) = client.refused_ids(index, number, REFUSED_MAX + 1).await?;
    if count > REFUSED_MAX {
        return Err(NotOpen::TooManyRefused { count, number });
    }
    Ok(RefusedIds::new(refused))
}
