//! Duplicates: records of a source with the same event id and event time are copies of one event, and the first counts.
//!
//! Both rules depend on the log alone. The batch layer removes every later copy (`copies`). The speed layer removes a
//! copy if an earlier one lies at most `dedup_window` offsets back in the same partition ([`RecentIdentities`]); it counts
//! other copies until the next reconcile. Which ones it counts follows from where copies lie, so the batch layer can tell (`seen`).

mod copies;
mod seen;

use std::collections::VecDeque;

use crate::hash_index::HashIndex;
use crate::identity::Identity;

pub use self::copies::{FirstCopies, Place, Verdict, verdict};
pub use self::seen::OlderCopies;

/// Stands for an offset without an event. It is not in the index, so it is mistaken for no identity.
const NO_EVENT: Identity = Identity(0, 0);

/// How many events are judged after one look ahead. What they need fits into a processor's first cache, and is more than it
/// loads at a time.
const AT_ONCE: usize = 32;

/// An event that was read: who it is, and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The event's identity.
    pub identity: Identity,
    /// The record's offset.
    pub offset: i64,
}

/// The identities in the last `window` offsets of one partition.
///
/// Its answers depend only on the events of those offsets, not on where a process started to read: see
/// [`RecentIdentities::warm_from`]. It takes 34 bytes for each offset of the window if that is 500,000, and 32 to 64 bytes in
/// general; less as long as it was not filled.
#[derive(Debug)]
pub struct RecentIdentities {
    window: i64,
    /// The offset of the first of `identities`.
    first: i64,
    /// The identities, one per offset.
    identities: VecDeque<Identity>,
    /// Where each identity stands last. A position is the lower half of an offset, which no window is long enough to repeat.
    last_seen: HashIndex,
}

impl RecentIdentities {
    /// Knows no identity yet; `window` is how many offsets back an earlier copy counts, less than 2^32.
    pub fn new(window: u64) -> RecentIdentities {
        let window = u32::try_from(window).unwrap_or(u32::MAX).into();
        RecentIdentities { window, first: 0, identities: VecDeque::new(), last_seen: HashIndex::default() }
    }

    /// The first offset whose event has to be added before an empty window can judge the one at `cursor`.
    pub fn warm_from(&self, cursor: i64) -> i64 {
        cursor.saturating_sub(self.window).max(0)
    }

    /// Adds events in the order of their offsets, and tells of each whether it is a copy of an earlier one.
    ///
    /// Offsets must not decrease, from one call to the next either. An offset that is added twice is not a copy of itself.
    pub fn judge(&mut self, sightings: &[Sighting]) -> Vec<bool> {
        let mut copies = Vec::with_capacity(sightings.len());
        for some in sightings.chunks(AT_ONCE) {
            self.look_ahead(some);
            copies.extend(some.iter().map(|sighting| self.is_copy(*sighting)));
        }
        copies
    }

    /// Touches what judging these events will read and write: where they belong in the index, and where those stand that are
    /// forgotten for them. The index is larger than a processor's cache, and each event would wait for it twice.
    fn look_ahead(&self, sightings: &[Sighting]) {
        let Some(last) = sightings.last() else { return };
        let forgotten = usize::try_from(last.offset - self.window - self.first).unwrap_or(0);
        let forgotten = self.identities.iter().take(forgotten.min(AT_ONCE));
        let added = sightings.iter().map(|sighting| &sighting.identity);
        self.last_seen.touch(added.chain(forgotten).map(|identity| hash_of(*identity)));
    }

    fn is_copy(&mut self, Sighting { identity, offset }: Sighting) -> bool {
        if offset < self.first + self.identities.len() as i64 {
            return false;
        }
        self.forget_before(offset - self.window);
        if self.identities.is_empty() {
            self.first = offset;
        }
        // Offsets without an event lie between the last one and this.
        self.identities.resize((offset - self.first) as usize, NO_EVENT);
        let hash = hash_of(identity);
        let earlier = self.last_seen.get(hash, |position| self.at(position) == Some(identity));
        if let Some(earlier) = earlier {
            self.last_seen.remove(hash, earlier);
        }
        self.last_seen.insert(hash, position_of(offset));
        self.identities.push_back(identity);
        earlier.is_some()
    }

    fn forget_before(&mut self, oldest: i64) {
        while self.first < oldest
            && let Some(identity) = self.identities.pop_front()
        {
            // Where a later copy was seen, the index knows that one.
            self.last_seen.remove(hash_of(identity), position_of(self.first));
            self.first += 1;
        }
    }

    fn at(&self, position: u32) -> Option<Identity> {
        let back = position.wrapping_sub(position_of(self.first));
        self.identities.get(back as usize).copied()
    }
}

fn hash_of(identity: Identity) -> u32 {
    // An identity is a hash itself.
    identity.1 as u32
}

fn position_of(offset: i64) -> u32 {
    // The lower half.
    offset as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(n: u64) -> Identity {
        Identity::of([n.to_le_bytes()], 0)
    }

    fn is_copy(recent: &mut RecentIdentities, identity: Identity, offset: i64) -> bool {
        recent.judge(&[Sighting { identity, offset }]) == [true]
    }

    #[test]
    fn an_earlier_copy_counts_only_inside_the_window() {
        let mut recent = RecentIdentities::new(10);
        assert!(!is_copy(&mut recent, event(1), 100));
        assert!(is_copy(&mut recent, event(1), 110));
        assert!(is_copy(&mut recent, event(1), 120), "a copy renews the window, for it is an earlier record too");
        assert!(!is_copy(&mut recent, event(1), 131));
        assert!(!is_copy(&mut recent, event(1), 131), "the same record again is not its own copy");
    }

    #[test]
    fn a_window_never_forgets_what_lies_inside_and_holds_nothing_else() {
        let mut recent = RecentIdentities::new(5_000);
        let of_offset = |offset: i64| Sighting { identity: event(offset as u64), offset };
        for first in (0..50_000).step_by(1_000) {
            let sightings: Vec<_> = (first..first + 1_000).map(of_offset).collect();
            assert_eq!(recent.judge(&sightings), [false; 1_000]);
            for back in first.max(4_000) - 4_000..first + 1_000 {
                let known = of_offset(back).identity;
                let at = recent.last_seen.get(hash_of(known), |at| recent.at(at) == Some(known));
                assert_eq!(at, Some(position_of(back)));
            }
        }
        assert_eq!(recent.identities.len(), 5_001);
    }

    #[test]
    fn nothing_is_judged_as_nothing() {
        assert!(RecentIdentities::new(5).judge(&[]).is_empty());
    }

    proptest! {
        /// Offsets beyond 32 bits, holes between them, few identities, and one that is written like an offset without an event.
        /// However they are split, and also where more is forgotten and added at once than is looked ahead for.
        #[test]
        fn a_copy_is_what_a_look_back_finds(
            window in 0..60_i64,
            steps in prop::collection::vec((prop_oneof![0..4_i64, 0..100_i64], 0..40_u64), 0..300),
            identities in 1..40_u64,
            far in prop::sample::select(vec![0, i64::from(u32::MAX) - 100]),
            portion in 1..100_usize,
        ) {
            let identity = |n: u64| if n == 0 { NO_EVENT } else { event(n) };
            let (mut sightings, mut seen, mut expected) = (Vec::new(), Vec::new(), Vec::new());
            let mut offset = far;
            for (step, n) in steps {
                offset += step;
                // An offset is added again only with its own event.
                let again = seen.last().filter(|_| step == 0).map(|(_, last)| *last);
                let n = again.unwrap_or(n % identities);
                let is_copy = |(earlier, same): &(i64, u64)| *same == n && offset - earlier <= window;
                expected.push(again.is_none() && seen.iter().any(is_copy));
                seen.push((offset, n));
                sightings.push(Sighting { identity: identity(n), offset });
            }
            let (mut recent, mut one_by_one) = (RecentIdentities::new(window as u64), RecentIdentities::new(window as u64));
            let (mut found, mut found_one_by_one) = (Vec::new(), Vec::new());
            for some in sightings.chunks(portion) {
                found.extend(recent.judge(some));
                prop_assert!(recent.identities.len() as i64 <= window + 1);
                found_one_by_one.extend(some.iter().map(|sighting| one_by_one.is_copy(*sighting)));
            }
            prop_assert_eq!(&found, &expected, "{:?}", sightings);
            prop_assert_eq!(&found_one_by_one, &expected, "{:?}", sightings);
        }
    }
}
