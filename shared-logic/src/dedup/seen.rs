//! What the speed layer counts of some events, as the batch layer can tell from where their copies lie: all but those with an earlier
//! copy at most the window's offsets back in the same partition.
//!
//! [`RecentIdentities`](super::RecentIdentities) decides the same while it reads a partition from front to back. Here the events are
//! those between two cuts, in any order, and of what lies below the first cut only older copies are known ([`OlderCopies`]).

use std::collections::{BTreeMap, BTreeSet};

use super::copies::{FirstCopies, Place};

/// For identities by their number among the [`FirstCopies`] of some events: per partition, the last offset at which an older copy is
/// known to lie, below all of the events.
#[derive(Debug, Clone, Default)]
pub struct OlderCopies(BTreeMap<(usize, u32, i32), i64>);

impl OlderCopies {
    /// Notes an older copy of the identity with that number.
    pub fn note(&mut self, identity: usize, place: Place) {
        let last = self.0.entry((identity, place.log, place.partition)).or_insert(place.offset);
        *last = (*last).max(place.offset);
    }

    /// The last one that is known in the partition of that place.
    fn in_partition_of(&self, identity: usize, place: Place) -> Option<i64> {
        self.0.get(&(identity, place.log, place.partition)).copied()
    }
}

/// An event and the copy before it in its partition.
struct Step {
    identity: usize,
    row: usize,
    place: Place,
    /// Where the last earlier copy lies that is known.
    before: Option<i64>,
    /// Whether that one is older than all of the events.
    is_older: bool,
}

impl FirstCopies {
    /// Whether the speed layer counts each row, with a window of so many offsets. Of identities that
    /// [`unsure`](FirstCopies::unsure) names, every older copy within the window has to be known.
    pub fn seen(&self, older: &OlderCopies, window: u64) -> Vec<bool> {
        let (mut mask, window) = (vec![true; self.rows], offsets(window));
        self.each(older, |step| mask[step.row] = step.before.is_none_or(|before| step.place.offset - before > window));
        mask
    }

    /// The identities, by their numbers, of which an older copy is known beyond the window, so that others may lie within it, where
    /// it reaches below the events: `begin` is the first offset of these in the partition of a place.
    pub fn unsure(&self, older: &OlderCopies, window: u64, begin: impl Fn(Place) -> i64) -> BTreeSet<usize> {
        let (mut unsure, window) = (BTreeSet::new(), offsets(window));
        self.each(older, |step| {
            let is_far = step.is_older && step.before.is_some_and(|before| step.place.offset - before > window);
            if is_far && step.place.offset.saturating_sub(window) < begin(step.place) {
                unsure.insert(step.identity);
            }
        });
        unsure
    }

    /// Whether each row is a copy that stood as long as only the rows that `was_counted` were known, and that gives way to another
    /// one now that all are.
    pub fn replaced(&self, was_counted: impl Fn(Place) -> bool) -> Vec<bool> {
        let mut mask = vec![false; self.rows];
        let mut stood: BTreeSet<usize> = BTreeSet::new();
        for (identity, place, row) in &self.others {
            let is_first = was_counted(*place) && !was_counted(self.firsts[*identity].1);
            mask[*row] = is_first && stood.insert(*identity);
        }
        mask
    }

    /// The row of the first copy of the identity with that number.
    pub fn row(&self, identity: usize) -> usize {
        self.firsts[identity].2
    }

    /// Takes the copies of each identity in their order.
    fn each(&self, older: &OlderCopies, mut take: impl FnMut(Step)) {
        let mut others = self.others.as_slice();
        for (identity, (_, first, row)) in self.firsts.iter().enumerate() {
            let (own, left) = others.split_at(others.partition_point(|(of, ..)| *of <= identity));
            others = left;
            let mut last: Option<Place> = None;
            for (place, row) in [(*first, *row)].into_iter().chain(own.iter().map(|(_, place, row)| (*place, *row))) {
                let is_same = |last: &Place| (last.log, last.partition) == (place.log, place.partition);
                let near = last.filter(is_same).map(|last| last.offset);
                let before = near.or_else(|| older.in_partition_of(identity, place));
                take(Step { identity, row, place, before, is_older: near.is_none() });
                last = Some(place);
            }
        }
    }
}

fn offsets(window: u64) -> i64 {
    i64::try_from(window).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn at(partition: i32, offset: i64) -> Place {
        Place { log: 0, partition, offset }
    }

    fn firsts(rows: &[(u64, Place)]) -> FirstCopies {
        let (identities, places): (Vec<Identity>, Vec<Place>) =
            rows.iter().map(|(id, place)| (Identity(*id, 0), *place)).unzip();
        FirstCopies::of(&identities, &places)
    }

    #[test]
    fn speed_misses_copies_that_lie_near_in_their_partition_and_no_others() {
        let rows =
            [(1, at(0, 100)), (1, at(0, 110)), (1, at(0, 121)), (1, at(1, 111)), (2, at(0, 105)), (1, at(1, 112))];
        let firsts = firsts(&rows);
        assert_eq!(firsts.seen(&OlderCopies::default(), 10), [true, false, true, true, true, false]);
        let mut older = OlderCopies::default();
        older.note(0, at(0, 90));
        older.note(0, at(0, 3));
        older.note(1, at(1, 99));
        assert_eq!(firsts.seen(&older, 10), [false, false, true, true, true, false], "the last older one is near");
    }

    #[test]
    fn where_a_far_older_copy_is_known_others_may_lie_within_the_window() {
        let firsts = firsts(&[(1, at(0, 105)), (2, at(0, 107)), (3, at(0, 120)), (4, at(0, 103))]);
        let mut older = OlderCopies::default();
        (0..3).for_each(|identity| older.note(identity, at(0, 94 + identity as i64)));
        // The events begin at 100. The window of the second one ends at 97, the third's does not reach below 100.
        assert_eq!(firsts.unsure(&older, 10, |_| 100), BTreeSet::from([0, 1]));
        older.note(0, at(0, 96));
        assert_eq!(firsts.unsure(&older, 10, |_| 100), BTreeSet::from([1]), "one is known within it");
        assert_eq!(firsts.unsure(&older, 10, |_| 97), BTreeSet::new());
    }

    #[test]
    fn the_copy_that_stood_before_gives_way_and_later_ones_do_not() {
        let rows = [(1, at(0, 9)), (1, at(1, 3)), (1, at(1, 4)), (2, at(0, 1)), (2, at(1, 5)), (3, at(1, 9))];
        let counted = |place: Place| place.partition == 1 || place.offset < 5;
        assert_eq!(firsts(&rows).replaced(counted), [false, true, false, false, false, false]);
    }
}
