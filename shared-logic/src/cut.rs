//! The cut: per partition, the first offset that the batch view does not hold (R1).
//!
//! A reconcile starts from the newest view's cut and may only raise it. A partition that a cut does not name has its
//! cut where the archive begins it. Any cut that the archive covers is safe; answers are complete only where a slice
//! begins at it. So a cut moves from slice to slice, and stays where it is while the archive does not reach the next
//! one (R13). A closed log's cut is its archived end, whatever a rotate returned, and so is that of an incarnation that
//! lost its tail (R12).

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use crate::contracts::archive::Facts;
use crate::contracts::speed_view::Shard;
use crate::log::{Offsets, PartitionId, Witness};

/// Per partition, the begins of its shard's slices as the rotate listed them, without those whose witness the archive
/// does not hold (R12). A partition without a shard is not named.
pub type Rotated = BTreeMap<PartitionId, Vec<i64>>;

/// Which cut a reconcile takes.
#[derive(Debug, Clone, PartialEq)]
pub enum CutPlan {
    /// The archive covers the cut.
    Ready(Offsets),
    /// What is known of the archive is older than the newest view: it has to reach these offsets first.
    Waiting(Vec<Behind>),
}

/// A partition whose archive does not reach an offset yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Which partition.
    pub partition: PartitionId,
    /// The archive has to reach this offset.
    pub wanted: i64,
    /// The first offset that is not archived.
    pub archived: i64,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Behind { partition, wanted, archived } = self;
        write!(f, "{partition} is archived up to {archived} instead of {wanted}")
    }
}

/// R1: the shards for whose last slices a reconcile waits, because the archive does not reach them yet. Closed logs are
/// not waited for.
pub fn behind(rotated: &Rotated, archive: &Facts) -> Vec<Behind> {
    let open = archive.entries().filter(|(log, _, facts)| !log.is_ended(facts));
    let last = |id: &PartitionId| rotated.get(id).and_then(|slices| slices.iter().copied().max());
    let reached = open.filter_map(|(log, partition, facts)| {
        let id = PartitionId::new(log.log.clone(), partition);
        let wanted = last(&id)?;
        Some(Behind { partition: id, wanted, archived: facts.next })
    });
    reached.filter(|reached| reached.wanted > reached.archived).collect()
}

/// R1, R13: plans a cut from the newest view's (`previous`), the slices of the shards, and the archive's facts.
///
/// The cut of a partition is the greatest begin among its slices that the archive covers and that is not below the
/// previous cut, else the previous cut. A partition without a shard takes the archive's next offset. If the previous
/// cut names something that the archive does not hold, the plan waits for it: the facts are older than the view, and a
/// view recomputed from them would lack those events.
pub fn plan(previous: Option<&Offsets>, rotated: &Rotated, archive: &Facts) -> CutPlan {
    let mut cut = previous.cloned().unwrap_or_default();
    let known: HashSet<(&str, i32)> = archive.entries().map(|(log, id, _)| (log.log.as_str(), id)).collect();
    let unknown = cut.iter().filter(|(id, _)| !known.contains(&(id.log.as_str(), id.partition)));
    let mut behind: Vec<Behind> =
        unknown.map(|(id, wanted)| Behind { partition: id.clone(), wanted, archived: 0 }).collect();
    for (log, partition, facts) in archive.entries() {
        let id = PartitionId::new(log.log.clone(), partition);
        let held = cut.get(&id).unwrap_or(facts.begin);
        if held > facts.next {
            behind.push(Behind { partition: id, wanted: held, archived: facts.next });
            continue;
        }
        let reached = match rotated.get(&id) {
            Some(slices) if !log.is_ended(facts) => {
                let covered = slices.iter().copied().filter(|begin| (held..=facts.next).contains(begin));
                covered.max().unwrap_or(held)
            }
            _ => facts.next,
        };
        cut.set(id, reached);
    }
    if behind.is_empty() { CutPlan::Ready(cut) } else { CutPlan::Waiting(behind) }
}

/// R12: the offsets `[from, to)` that are lost of what the shard of an incarnation without its tail had counted. They
/// begin at the last of its positions whose witness `is_archived`. `None`: the archive holds everything that the shard
/// counted.
pub fn lost_with_tail(shard: &Shard, is_archived: impl Fn(&Witness) -> bool) -> Option<(i64, i64)> {
    let begin = shard.slices.first().copied().unwrap_or(shard.cursor);
    let archived = shard.positions().filter(|position| position.witness.as_ref().is_some_and(&is_archived));
    let from = archived.map(|position| position.offset).max().unwrap_or(begin).max(begin);
    (from < shard.cursor).then_some((from, shard.cursor))
}

/// The cut of a partition that the archive has begun, as a view's cut names it or else its begin.
pub fn of_partition(cut: Option<&Offsets>, id: &PartitionId, archive: &Facts) -> Option<i64> {
    cut.and_then(|cut| cut.get(id)).or_else(|| archive.partition(id).map(|facts| facts.begin))
}

/// R6: where a shard is opened: at the smallest cut of the current catalog's views that name its partition, else at the
/// partition's begin; `None` where the archive has not begun it (wait).
pub fn opening<'a>(cuts: impl Iterator<Item = &'a Offsets>, id: &PartitionId, archive: &Facts) -> Option<i64> {
    cuts.filter_map(|cut| cut.get(id)).min().or_else(|| archive.partition(id).map(|facts| facts.begin))
}

/// R8: below which offset slices may be dropped: the smallest cut of the views that name the partition.
pub fn droppable<'a>(cuts: impl Iterator<Item = &'a Offsets>, id: &PartitionId) -> Option<i64> {
    cuts.filter_map(|cut| cut.get(id)).min()
}

/// R8: the partitions whose shards are no longer needed, with the offsets up to which these may have counted: they are
/// settled, and every view that names them holds everything that is archived of them. The shard of an incarnation that
/// lost its tail may have counted up to any offset: its witnesses, and not its end, have settled what is lost. A log that is
/// over has no shards.
pub fn deletable(cuts: &[Offsets], archive: &Facts) -> Vec<(PartitionId, i64)> {
    let settled = archive.entries().filter(|(log, _, facts)| !log.over && log.is_settled(facts));
    let settled = settled.map(|(log, partition, facts)| (PartitionId::new(log.log.clone(), partition), facts));
    let held = settled.filter(|(id, facts)| droppable(cuts.iter(), id).is_some_and(|cut| cut >= facts.next));
    held.map(|(id, facts)| (id, if facts.closed { i64::MAX } else { facts.next })).collect()
}

#[cfg(test)]
mod tests;
