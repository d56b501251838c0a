//! What a stream has decided again, compared with what it published.
//!
//! Outputs come in any order. Of each, only its place and a hash of its content is in memory, and only until its counterpart was
//! met. Whoever compares much does so in rounds: of some offsets first everything that is decided, and then everything published.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use xxhash_rust::xxh3::Xxh3;

use crate::contracts::reconciliation::DifferenceKind;
use crate::stream::OutputPosition;

/// How many outputs are named that are not as they should be.
const NAMED: usize = 10;

/// The place of an output among all of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The lane that decides it: its number among those that are compared.
    pub lane: usize,
    /// Where it stands among those of this lane.
    pub position: OutputPosition,
}

/// What tells the content of an output from another: its record's key and payload.
pub fn content_hash(key: Option<&[u8]>, payload: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    // An absent key is not an empty one, and no key can reach into the payload.
    hash.update(&key.map_or(u64::MAX, |key| key.len() as u64).to_le_bytes());
    hash.update(key.unwrap_or_default());
    hash.update(payload);
    hash.digest()
}

/// A comparison under way.
#[derive(Debug, Default)]
pub struct Comparison {
    /// What was decided and has not been met yet, with its content.
    decided: HashMap<Place, u64>,
    lanes: BTreeMap<usize, Tally>,
}

/// What was found of one lane.
#[derive(Debug, Default)]
struct Tally {
    compared: u64,
    missing: u64,
    extra: u64,
    different: u64,
    /// The first of these.
    first: BTreeSet<(OutputPosition, DifferenceKind)>,
}

/// What a comparison has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many outputs are in both.
    pub compared: u64,
    /// How many were decided and not published.
    pub missing: u64,
    /// How many were published and not decided, or not so often.
    pub extra: u64,
    /// How many of those in both have another content.
    pub different: u64,
    /// The first of those that are not as they should be, by lane and position.
    pub first: Vec<(Place, DifferenceKind)>,
}

impl Comparison {
    /// Notes an output that was decided, with its [content](content_hash).
    pub fn decide(&mut self, place: Place, content: u64) {
        self.decided.insert(place, content);
    }

    /// Notes an output that was published. Without its content, nothing is said of that.
    pub fn publish(&mut self, place: Place, content: Option<u64>) {
        match self.decided.remove(&place) {
            Some(decided) => {
                self.tally(place).compared += 1;
                if content.is_some_and(|content| content != decided) {
                    self.note(place, DifferenceKind::Different);
                }
            }
            None => self.note(place, DifferenceKind::Extra),
        }
    }

    /// How many outputs were decided and have not been met yet.
    pub fn waiting(&self) -> usize {
        self.decided.len()
    }

    /// Ends a round: all that was published of what was decided so far has been noted.
    pub fn end_round(&mut self) {
        for place in std::mem::take(&mut self.decided).into_keys() {
            self.note(place, DifferenceKind::Missing);
        }
    }

    /// Forgets everything about a lane.
    pub fn exclude(&mut self, lane: usize) {
        self.decided.retain(|place, _| place.lane != lane);
        self.lanes.remove(&lane);
    }

    /// What was found. Ends the last round.
    pub fn finish(mut self) -> Found {
        self.end_round();
        let mut found = Found::default();
        for (lane, tally) in self.lanes {
            found.compared += tally.compared;
            found.missing += tally.missing;
            found.extra += tally.extra;
            found.different += tally.different;
            let first = tally.first.into_iter().map(|(position, kind)| (Place { lane, position }, kind));
            found.first.extend(first.take(NAMED - found.first.len()));
        }
        found
    }

    fn note(&mut self, place: Place, kind: DifferenceKind) {
        let tally = self.tally(place);
        match kind {
            DifferenceKind::Missing => tally.missing += 1,
            DifferenceKind::Extra => tally.extra += 1,
            DifferenceKind::Different => tally.different += 1,
        }
        tally.first.insert((place.position, kind));
        if tally.first.len() > NAMED {
            tally.first.pop_last();
        }
    }

    fn tally(&mut self, place: Place) -> &mut Tally {
        self.lanes.entry(place.lane).or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(lane: usize, offset: i64, n: u32) -> Place {
        Place { lane, position: OutputPosition { offset, n } }
    }

    /// Compares outputs, each with its content, all of them in one round.
    fn compared(decided: &[(Place, u64)], published: &[(Place, u64)]) -> Found {
        let mut comparison = Comparison::default();
        decided.iter().for_each(|(place, content)| comparison.decide(*place, *content));
        published.iter().for_each(|(place, content)| comparison.publish(*place, Some(*content)));
        comparison.finish()
    }

    #[test]
    fn what_is_in_both_is_compared_and_nothing_else_is_as_it_should_be() {
        let decided = [(place(0, 1, 0), 7), (place(0, 1, 1), 8), (place(1, 1, 0), 9)];
        let same = compared(&decided, &decided);
        assert_eq!(same, Found { compared: 3, ..Found::default() });
        let published = [(place(1, 1, 0), 5), (place(0, 1, 1), 8), (place(0, 2, 0), 1), (place(0, 1, 1), 8)];
        let found = compared(&decided, &published);
        assert_eq!((found.compared, found.missing, found.extra, found.different), (2, 1, 2, 1));
        let first = [
            (place(0, 1, 0), DifferenceKind::Missing),
            (place(0, 1, 1), DifferenceKind::Extra),
            (place(0, 2, 0), DifferenceKind::Extra),
            (place(1, 1, 0), DifferenceKind::Different),
        ];
        assert_eq!(found.first, first, "an output that is there twice is extra");
    }

    #[test]
    fn a_round_ends_with_what_is_missing_of_it() {
        let mut comparison = Comparison::default();
        comparison.decide(place(0, 1, 0), 1);
        assert_eq!(comparison.waiting(), 1);
        comparison.end_round();
        // It comes too late.
        comparison.publish(place(0, 1, 0), Some(1));
        let found = comparison.finish();
        assert_eq!((found.missing, found.extra, found.compared), (1, 1, 0));
    }

    #[test]
    fn an_excluded_lane_says_nothing() {
        let mut comparison = Comparison::default();
        for at in [place(0, 1, 0), place(1, 1, 0)] {
            comparison.decide(at, 1);
        }
        comparison.publish(place(0, 9, 0), Some(1));
        comparison.exclude(0);
        let found = comparison.finish();
        assert_eq!((found.missing, found.extra, found.first.len()), (1, 0, 1));
    }

    #[test]
    fn without_its_content_an_output_is_compared_by_its_place_alone() {
        let mut comparison = Comparison::default();
        comparison.decide(place(0, 1, 0), 1);
        comparison.publish(place(0, 1, 0), None);
        assert_eq!(comparison.finish(), Found { compared: 1, ..Found::default() });
    }

    #[test]
    fn key_and_payload_are_told_apart() {
        let contents = [
            content_hash(None, b"ab"),
            content_hash(Some(b""), b"ab"),
            content_hash(Some(b"a"), b"b"),
            content_hash(Some(b"ab"), b""),
        ];
        assert_eq!(contents.iter().collect::<BTreeSet<_>>().len(), contents.len());
        assert_eq!(contents[2], content_hash(Some(b"a"), b"b"));
    }

    #[test]
    fn of_many_differences_the_first_are_named() {
        let decided: Vec<_> = (0..100).rev().map(|offset| (place(0, offset, 0), 1)).collect();
        let found = compared(&decided, &[]);
        let expected: Vec<_> = (0..NAMED as i64).map(|at| (place(0, at, 0), DifferenceKind::Missing)).collect();
        assert_eq!((found.missing, found.first), (100, expected));
    }

    proptest! {
        /// Whatever is removed, added or changed of what was decided is found, in any order, and nothing else is.
        #[test]
        fn whatever_differs_is_found(
            outputs in prop::collection::btree_map((0..3_usize, 0..20_i64, 0..3_u32), 0..4_u64, 0..40),
            removed in prop::collection::btree_set(0..1_000_usize, 0..5),
            changed in prop::collection::btree_set(0..1_000_usize, 0..5),
            added in prop::collection::btree_set((0..3_usize, 20..25_i64), 0..5),
            seed in any::<u64>(),
        ) {
            let decided: Vec<(Place, u64)> =
                outputs.into_iter().map(|((lane, offset, n), content)| (place(lane, offset, n), content)).collect();
            let chosen = |rows: &BTreeSet<usize>| -> BTreeSet<Place> {
                rows.iter().filter(|_| !decided.is_empty()).map(|row| decided[row % decided.len()].0).collect()
            };
            let removed = chosen(&removed);
            let changed: BTreeSet<Place> = chosen(&changed).difference(&removed).copied().collect();
            let mut published: Vec<(Place, u64)> = decided
                .iter()
                .filter(|(place, _)| !removed.contains(place))
                .map(|(place, content)| (*place, content + 10 * u64::from(changed.contains(place))))
                .collect();
            published.extend(added.iter().map(|(lane, offset)| (place(*lane, *offset, 0), 1)));
            published.sort_by_key(|(place, _)| content_hash(Some(&seed.to_le_bytes()), &place.position.offset.to_le_bytes()));
            let found = compared(&decided, &published);
            let counts = [removed.len(), added.len(), changed.len()].map(|count| count as u64);
            prop_assert_eq!([found.missing, found.extra, found.different], counts);
            prop_assert_eq!(found.compared, (decided.len() - removed.len()) as u64);
        }
    }
}
