//! What the speed layer counts of some events, as the batch layer can tell from where their copies lie: all but those with an earlier
//! copy at most the window's offsets back in the same partition.
//!
//! [`RecentIdentities`](super::RecentIdentities) decides the same while it reads a partition from front to back. Here the events are
//! those between two cuts, in any order, and of what lies below the first cut only older copies are known ([`OlderCopies`]).

use std::collections::{BTreeMap, BTreeSet};

use super::copies::{FirstCopies, Place};

/// The older copies of identities, which are named by their number among the [`FirstCopies`] of some events.
#[derive(Debug, Clone, Default)]
pub struct OlderCopies {
    /// Per partition, the last offset at which one is known to lie, below all of the events.
    last: BTreeMap<(usize, u32, i32), i64>,
    /// The partitions in which a copy is known that is not older than all of the events. Where copies are known by the first and the
    /// last one, it may stand for the last older one.
    above: BTreeSet<(usize, u32, i32)>,
}

impl OlderCopies {
    /// Notes an older copy of the identity with that number.
    pub fn note(&mut self, identity: usize, place: Place) {
        let last = self.last.entry((identity, place.log, place.partition)).or_insert(place.offset);
        *last = (*last).max(place.offset);
    }

    /// Notes a copy that lies above the first of the events in its partition.
    pub fn note_above(&mut self, identity: usize, place: Place) {
        self.above.insert((identity, place.log, place.partition));
    }

    /// The last older one that is known in the partition of that place.
    fn in_partition_of(&self, identity: usize, place: Place) -> Option<i64> {
        self.last.get(&(identity, place.log, place.partition)).copied()
    }

    /// Whether one is known there that is not older.
    fn is_above(&self, identity: usize, place: Place) -> bool {
        self.above.contains(&(identity, place.log, place.partition))
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

    /// The identities, by their numbers, of which an older copy is known beyond the window, and another one may lie within it that is
    /// not known. In the partition of a place, the events begin at the offset `begin`, and where no copy is known above that, the last
    /// older one is known if it lies at or above `known_from`.
    pub fn unsure(
        &self,
        older: &OlderCopies,
        window: u64,
        begin: impl Fn(Place) -> i64,
        known_from: impl Fn(Place) -> i64,
    ) -> BTreeSet<usize> {
        let (mut unsure, window) = (BTreeSet::new(), offsets(window));
        self.each(older, |step| {
            let is_far = step.is_older && step.before.is_some_and(|before| step.place.offset - before > window);
            let begin = begin(step.place);
            let is_known = !older.is_above(step.identity, step.place);
            let unknown_below = if is_known { begin.min(known_from(step.place)) } else { begin };
            if is_far && step.place.offset.saturating_sub(window) < unknown_below {
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
        let unsure = |older: &OlderCopies, begin: i64| firsts.unsure(older, 10, |_| begin, |_| begin);
        // The events begin at 100. The window of the second one ends at 97, the third's does not reach below 100.
        assert_eq!(unsure(&older, 100), BTreeSet::from([0, 1]));
        older.note(0, at(0, 96));
        assert_eq!(unsure(&older, 100), BTreeSet::from([1]), "one is known within it");
        assert_eq!(unsure(&older, 97), BTreeSet::new());
    }

    #[test]
    fn where_the_last_older_copy_is_known_no_other_one_lies_within_the_window() {
        let firsts = firsts(&[(1, at(0, 105)), (2, at(1, 107))]);
        let mut older = OlderCopies::default();
        older.note(0, at(0, 90));
        older.note(1, at(1, 91));
        // The windows reach down to 95 and 97.
        let unsure = |older: &OlderCopies, known_from: i64| firsts.unsure(older, 10, |_| 100, |_| known_from);
        assert_eq!(unsure(&older, 95), BTreeSet::new());
        assert_eq!(unsure(&older, 96), BTreeSet::from([0]), "below that, the first one alone is known");
        assert_eq!(unsure(&older, i64::MAX), BTreeSet::from([0, 1]));
        older.note_above(1, at(0, 120));
        assert_eq!(unsure(&older, 0), BTreeSet::new(), "it lies in another partition");
        older.note_above(1, at(1, 120));
        assert_eq!(unsure(&older, 0), BTreeSet::from([1]), "the last one that is known is not older");
    }

    #[test]
    fn the_copy_that_stood_before_gives_way_and_later_ones_do_not() {
        let rows = [(1, at(0, 9)), (1, at(1, 3)), (1, at(1, 4)), (2, at(0, 1)), (2, at(1, 5)), (3, at(1, 9))];
        let counted = |place: Place| place.partition == 1 || place.offset < 5;
        assert_eq!(firsts(&rows).replaced(counted), [false, true, false, false, false, false]);
    }
}
