//! Builds the segment of a month from the totals of its days.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::segment::{Origin, Pick, Segment, SegmentError};
use super::shelf::Shelf;

/// Builds the segment of the month that begins with the day `first`. Of `base`, an older segment of the month, the rows of all days
/// that have not changed are taken over, so that of these days nothing else is read.
///
/// # Errors
/// If it cannot be written, or one of the others cannot be read.
pub(super) fn build(
    shelf: &Shelf,
    first: i64,
    days: &BTreeMap<i64, Arc<Segment>>,
    base: Option<&Segment>,
    origin: Origin,
) -> Result<Arc<Segment>, SegmentError> {
    let is_in_base = |day: &Segment| base.is_some_and(|base| base.origin().sources.contains(day.digest()));
    let slots = days.iter().map(|(day, segment)| ((day - first) as u32, segment));
    let (kept, changed): (Vec<_>, Vec<_>) = slots.partition(|(_, segment)| is_in_base(segment));
    let kept: BTreeSet<u32> = kept.into_iter().map(|(slot, _)| slot).collect();
    let mut cursors = Vec::with_capacity(changed.len() + 1);
    if let Some(base) = base.filter(|_| !kept.is_empty()) {
        cursors.push(base.cursor(Pick::Slots(kept))?);
    }
    for (slot, segment) in changed {
        cursors.push(segment.cursor(Pick::TotalsAs(slot))?);
    }
    shelf.build(cursors, origin)
}
