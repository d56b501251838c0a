//! The slices of a source's shards, and which of them the archive can vouch for (R12).
//!
//! A slice begins at an offset and after a record, its witness. A cut may move there only if the archive holds that
//! record at that offset. Otherwise speed and batch have read different records there, because one of them has not
//! noticed yet that the log lost its tail.

use std::collections::BTreeMap;

use shared_logic::contracts::archive::Facts;
use shared_logic::cut::Rotated;
use shared_logic::log::{OffsetRange, Offsets, PartitionId, Position, Witness};
use storage::Archive;
use tracing::warn;

use crate::archive_rows::witnesses::{self, Records};
use crate::rows::RowsError;

/// Per partition with a shard, the begins of its slices. Of a shard that is marked as truncated, none.
pub(super) type Slices = BTreeMap<PartitionId, Vec<Position>>;

/// How many slices of a shard are looked at, the newest first.
const LOOKED_AT: usize = 8;

/// The begins alone.
pub(super) fn begins(slices: &Slices) -> Rotated {
    slices.iter().map(|(id, begins)| (id.clone(), begins.iter().map(|begin| begin.offset).collect())).collect()
}

/// The begins above the cut `held` that the archive reaches and vouches for. `known` are the witnesses that were looked up
/// before; what lies at an offset of an incarnation never changes.
///
/// # Errors
/// If the archive cannot be read.
pub(super) async fn confirmed(
    archive: &Archive,
    slices: &Slices,
    held: Option<&Offsets>,
    known: &mut Records,
) -> Result<Rotated, RowsError> {
    let facts = archive.facts();
    let mut candidates: Vec<(&PartitionId, Position)> = Vec::new();
    for (id, begins) in slices {
        let above = held.and_then(|held| held.get(id)).unwrap_or(i64::MIN);
        let next = facts.partition(id).map_or(i64::MIN, |known| known.next);
        let reached = begins.iter().rev().filter(|begin| above < begin.offset && begin.offset <= next);
        candidates.extend(reached.take(LOOKED_AT).map(|begin| (id, *begin)));
    }
    let mut ranges: Vec<OffsetRange> = candidates.iter().filter_map(|(id, begin)| place(&facts, id, begin)).collect();
    ranges.retain(|range| !known.contains_key(&(range.id.log.clone(), range.id.partition, range.from)));
    if !ranges.is_empty() {
        known.extend(witnesses::archived(archive, &ranges).await?);
    }
    let mut confirmed: Rotated = slices.keys().map(|id| (id.clone(), Vec::new())).collect();
    for (id, begin) in candidates {
        let fits = place(&facts, id, &begin).zip(begin.witness).is_none_or(|(range, witness)| {
            let row = known.get(&(range.id.log, range.id.partition, range.from));
            row.is_some_and(|row| row.is_same(&witness))
        });
        if fits {
            confirmed.entry(id.clone()).or_default().push(begin.offset);
        } else {
            warn!(%id, offset = begin.offset, "speed and batch have read different records below this slice; no cut is taken there");
        }
    }
    Ok(confirmed)
}

/// Where the archive has to be searched for the witness of a begin. `None`: the witness is the last archived record, so
/// no search is needed; or the archive cannot have it, because there is no witness, or its record lies before the
/// archive's begin, was lost before it was archived, or may be retired.
fn place(facts: &Facts, id: &PartitionId, begin: &Position) -> Option<OffsetRange> {
    let witness = begin.witness?;
    let offset = witness.offset;
    if facts.partition(id)?.witness.is_some_and(|last| last.is_same(&witness)) {
        return None;
    }
    let mut lives = facts.lives(id).into_iter();
    let (id, _, _) = lives.rfind(|(_, from, to)| (*from..*to).contains(&offset))?;
    let is_lost = facts.partition(&id)?.lost.iter().any(|lost| (lost.from..lost.to).contains(&offset));
    (!is_lost && !facts.may_be_retired(&id, offset)).then(|| OffsetRange { id, from: offset, to: offset + 1 })
}

/// Which of these witnesses any incarnation of the partition holds as archived records.
///
/// # Errors
/// If the archive cannot be read.
pub(super) async fn archived_in_any(
    archive: &Archive,
    id: &PartitionId,
    wanted: &[Witness],
) -> Result<Vec<Witness>, RowsError> {
    let incarnations = archive.facts().incarnations(id.topic(), id.partition);
    let of_one = |id: &PartitionId| {
        let range = |witness: &Witness| OffsetRange { id: id.clone(), from: witness.offset, to: witness.offset + 1 };
        wanted.iter().map(range).collect::<Vec<_>>()
    };
    let ranges: Vec<OffsetRange> = incarnations.iter().flat_map(of_one).collect();
    let archived = if ranges.is_empty() { BTreeMap::new() } else { witnesses::archived(archive, &ranges).await? };
    let is_held = |witness: &&Witness| {
        incarnations.iter().any(|id| {
            let row = archived.get(&(id.log.clone(), id.partition, witness.offset));
            row.is_some_and(|row| row.is_same(witness))
        })
    };
    Ok(wanted.iter().filter(is_held).copied().collect())
}
