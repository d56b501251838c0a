//! The batch layer's rule: of all copies of an event, the first one stands, wherever the others lie.
//!
//! A reconcile adds *new* events to a view that counts older ones. What becomes of a new event depends on two places: its own,
//! and that of the first older copy ([`verdict`]). So a view to which events were added counts what one counted at once does.

use std::iter;

use crate::identity::Identity;

/// Where a record lies. Of the copies of an event, the one with the smallest place stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The log's number, in the order in which the archive first saw the logs.
    pub log: u32,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// What becomes of a new event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is counted: there is no older copy.
    Added,
    /// It is left out: an older copy stands.
    LeftOut,
    /// It stands, and an older copy that was counted has to go: whatever holds that one is counted anew.
    Recounted,
}

/// Judges the first of an identity's new events by the first of the older ones. Its other new copies are left out.
pub fn verdict(new: Place, older: Option<Place>) -> Verdict {
    match older {
        None => Verdict::Added,
        Some(older) if older < new => Verdict::LeftOut,
        Some(_) => Verdict::Recounted,
    }
}

/// About how many events lie in a bucket while they are sorted.
const IN_BUCKET: usize = 4;

/// The identity of an event, its place and its row.
type EventCopy = (Identity, Place, usize);

/// The first copy of each of some events.
#[derive(Debug)]
pub struct FirstCopies {
    /// Identity, place and row, in the order of the identities.
    pub(super) firsts: Vec<EventCopy>,
    /// All other copies: the number of the identity, place and row, in this order.
    pub(super) others: Vec<(usize, Place, usize)>,
    pub(super) rows: usize,
}

impl FirstCopies {
    /// Of events in any order, with their identities and places row by row.
    pub fn of(identities: &[Identity], places: &[Place]) -> FirstCopies {
        let (mut firsts, mut others, mut number) = (sorted(identities, places), Vec::new(), 0);
        firsts.dedup_by(|copy, first| {
            let is_copy = copy.0 == first.0;
            if is_copy {
                others.push((number, copy.1, copy.2));
            } else {
                number += 1;
            }
            is_copy
        });
        FirstCopies { firsts, others, rows: identities.len() }
    }

    /// How many events there are, each copy for itself.
    pub fn events(&self) -> usize {
        self.rows
    }

    /// The identities in order, each once.
    pub fn identities(&self) -> Vec<Identity> {
        self.firsts.iter().map(|(identity, ..)| *identity).collect()
    }

    /// Every copy: the identities in order, and of each the places in order.
    pub fn copies(&self) -> impl Iterator<Item = (Identity, Place)> + '_ {
        let (mut number, mut others) = (0, self.others.as_slice());
        iter::from_fn(move || {
            // Those of the identity before come first.
            if let Some(((of, place, _), rest)) = others.split_first().filter(|((of, ..), _)| of + 1 == number) {
                others = rest;
                return Some((self.firsts[*of].0, *place));
            }
            let (identity, place, _) = self.firsts.get(number)?;
            number += 1;
            Some((*identity, *place))
        })
    }

    /// Whether each row is a first copy.
    pub fn mask(&self) -> Vec<bool> {
        self.mask_of(|_| true)
    }

    /// Judges each first copy, given the first older copy of each of the [`identities`](FirstCopies::identities). Returns whether
    /// each row is added, and the rows for which an older copy has to go.
    pub fn judge(&self, older: &[Option<Place>]) -> (Vec<bool>, Vec<usize>) {
        let verdict_of = |at: usize| verdict(self.firsts[at].1, older.get(at).copied().flatten());
        let recounted = (0..self.firsts.len()).filter(|at| verdict_of(*at) == Verdict::Recounted);
        let recounted = recounted.map(|at| self.firsts[at].2).collect();
        (self.mask_of(|at| verdict_of(at) == Verdict::Added), recounted)
    }

    /// Whether each row stands, given the first older copies as for [`judge`](FirstCopies::judge): those that are added, and those
    /// that take the place of an older copy.
    pub fn standing(&self, older: &[Option<Place>]) -> Vec<bool> {
        self.mask_of(|at| verdict(self.firsts[at].1, older.get(at).copied().flatten()) != Verdict::LeftOut)
    }

    /// Whether each row is a first copy that `accepts` by its number among them.
    fn mask_of(&self, accepts: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut mask = vec![false; self.rows];
        for (at, (_, _, row)) in self.firsts.iter().enumerate() {
            mask[*row] = accepts(at);
        }
        mask
    }
}

/// Events in the order of their identities, and copies in that of their places.
///
/// Identities are hashes, so their first bits divide events evenly into buckets of a few, and no event is compared with those of
/// other buckets. Where they do not, as most events are copies of one, a bucket takes longer to sort, and nothing else happens.
fn sorted(identities: &[Identity], places: &[Place]) -> Vec<EventCopy> {
    let bits = (identities.len() / IN_BUCKET).max(1).ilog2();
    let bucket = |identity: &Identity| identity.0.checked_shr(u64::BITS - bits).unwrap_or(0) as usize;
    let mut ends = vec![0; 1 << bits];
    identities.iter().for_each(|identity| ends[bucket(identity)] += 1);
    let mut begin = 0;
    for end in &mut ends {
        let count = *end;
        *end = begin;
        begin += count;
    }
    // Each of these is the place of the bucket's next event now, and its end at last.
    let nothing = (Identity(0, 0), Place { log: 0, partition: 0, offset: 0 }, 0);
    let mut sorted: Vec<EventCopy> = vec![nothing; identities.len()];
    for (row, (identity, place)) in identities.iter().zip(places).enumerate() {
        let next: &mut usize = &mut ends[bucket(identity)];
        sorted[*next] = (*identity, *place, row);
        *next += 1;
    }
    let mut begin = 0;
    for end in ends {
        sorted[begin..end].sort_unstable();
        begin = end;
    }
    sorted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Identities of which many begin alike, and copies.
        #[test]
        fn events_are_sorted_however_their_identities_are_divided(
            rows in prop::collection::vec((0..9_u64, 0..3_u32, 0..100_i64), 0..200),
            spread in 0..64_u32,
        ) {
            let identity = |of: u64| Identity(of.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> spread, of);
            let identities: Vec<Identity> = rows.iter().map(|(of, ..)| identity(*of)).collect();
            let places: Vec<Place> = rows.iter().map(|(_, log, offset)| at(*log, 0, *offset)).collect();
            let all = identities.iter().zip(&places).enumerate();
            let mut expected: Vec<EventCopy> = all.map(|(row, (identity, place))| (*identity, *place, row)).collect();
            expected.sort_unstable();
            prop_assert_eq!(sorted(&identities, &places), expected);
        }
    }

    fn at(log: u32, partition: i32, offset: i64) -> Place {
        Place { log, partition, offset }
    }

    /// Three events: copies of the first in two logs and two partitions, one of the second, two of the third.
    fn copies() -> (Vec<Identity>, Vec<Place>) {
        let rows = [
            (3, at(0, 1, 5)),
            (1, at(1, 0, 0)),
            (1, at(0, 1, 2)),
            (2, at(0, 0, 9)),
            (1, at(0, 0, 7)),
            (3, at(0, 1, 4)),
            (1, at(0, 0, 8)),
        ];
        rows.iter().map(|(id, place)| (Identity(*id, 0), *place)).unzip()
    }

    #[test]
    fn the_first_copy_is_the_one_with_the_smallest_log_partition_and_offset() {
        let (identities, places) = copies();
        let firsts = FirstCopies::of(&identities, &places);
        assert_eq!(firsts.identities(), [1, 2, 3].map(|id| Identity(id, 0)));
        assert_eq!(firsts.mask(), [false, false, false, true, true, true, false]);
        let mut all: Vec<(Identity, Place)> = identities.into_iter().zip(places).collect();
        all.sort_unstable();
        assert!(firsts.copies().eq(all));
    }

    #[test]
    fn an_older_copy_leaves_new_ones_out_unless_it_comes_after_them() {
        let new = at(0, 1, 5);
        assert_eq!(verdict(new, None), Verdict::Added);
        for before in [at(0, 1, 4), at(0, 0, 99)] {
            assert_eq!(verdict(new, Some(before)), Verdict::LeftOut);
        }
        for after in [at(0, 1, 6), at(0, 2, 0), at(1, 0, 0)] {
            assert_eq!(verdict(new, Some(after)), Verdict::Recounted);
        }
    }

    #[test]
    fn of_new_copies_at_most_the_first_is_added() {
        let (identities, places) = copies();
        let firsts = FirstCopies::of(&identities, &places);
        let (added, recounted) = firsts.judge(&[Some(at(0, 0, 8)), None, Some(at(0, 1, 3))]);
        assert_eq!(added, [false, false, false, true, false, false, false]);
        assert_eq!(recounted, [4], "the event's older copy lies behind the new one");
    }
}
