//! Duplicates: records of a source with the same event id and event time are copies of one event, and the first counts.
//!
//! Both rules depend on the log alone. The batch layer removes every later copy (`copies`). The speed layer removes a
//! copy if an earlier one lies at most `dedup_window` offsets back in the same partition ([`RecentIdentities`]); it counts
//! other copies until the next reconcile.

mod copies;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::identity::Identity;

pub use copies::{FirstCopies, Place, Verdict, verdict};

/// The identities in the last `window` offsets of one partition.
///
/// Its answers depend only on the events of those offsets, not on where a process started to read: see
/// [`RecentIdentities::warm_from`].
#[derive(Debug)]
pub struct RecentIdentities {
    window: i64,
    last_seen: HashMap<Identity, i64, BuildHasherDefault<AlreadyHashed>>,
    prune_at: usize,
}

impl RecentIdentities {
    /// Knows no identity yet; `window` is how many offsets back an earlier copy counts.
    pub fn new(window: u64) -> RecentIdentities {
        let window = i64::try_from(window).unwrap_or(i64::MAX);
        RecentIdentities { window, last_seen: HashMap::default(), prune_at: 1024 }
    }

    /// The first offset whose event has to be added before an empty window can judge the one at `cursor`.
    pub fn warm_from(&self, cursor: i64) -> i64 {
        cursor.saturating_sub(self.window).max(0)
    }

    /// Adds an event at its offset, and tells whether it is a copy of an earlier one.
    ///
    /// Offsets must not decrease. An offset that is added twice is not a copy of itself.
    pub fn is_duplicate(&mut self, identity: Identity, offset: i64) -> bool {
        let earlier = self.last_seen.insert(identity, offset);
        if self.last_seen.len() >= self.prune_at {
            let window = self.window;
            self.last_seen.retain(|_, seen| offset - *seen <= window);
            // At least half of the table is free again before the next walk over it, so walks cost O(1) per event.
            self.prune_at = (self.last_seen.len() * 2).max(1024);
        }
        earlier.is_some_and(|seen| seen < offset && offset - seen <= self.window)
    }

    /// Forgets everything, so that the window has to be filled again.
    pub fn clear(&mut self) {
        self.last_seen.clear();
    }
}

/// Hashes an identity, which is a hash itself, by mixing its halves.
#[derive(Debug, Default)]
pub struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only identities are hashed, and they are two u64")
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = self.0.rotate_left(32) ^ half;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u64) -> Identity {
        Identity::of([n.to_le_bytes()], 0)
    }

    #[test]
    fn an_earlier_copy_counts_only_inside_the_window() {
        let mut recent = RecentIdentities::new(10);
        assert!(!recent.is_duplicate(event(1), 100));
        assert!(recent.is_duplicate(event(1), 110));
        assert!(recent.is_duplicate(event(1), 120), "a copy renews the window, for it is an earlier record too");
        assert!(!recent.is_duplicate(event(1), 131));
        assert!(!recent.is_duplicate(event(1), 131), "the same record again is not its own copy");
    }

    #[test]
    fn pruning_never_forgets_what_lies_inside() {
        let mut recent = RecentIdentities::new(5_000);
        for offset in 0..50_000 {
            assert!(!recent.is_duplicate(event(offset), offset as i64));
            if offset >= 5_000 {
                let back = offset - 4_000;
                assert!(recent.last_seen.contains_key(&event(back)));
            }
        }
        assert!(recent.last_seen.len() <= 10_002);
    }
}
