//! The memory of all lanes of a process (T10): what their streams remember.
//!
//! A lane that is full takes no more records, and keeps what it remembers. Only records move its watermark, so it gives nothing back by
//! itself: others have to. Therefore half of the memory is divided among the lanes, and the other half is for whoever needs it. A lane
//! within its share always goes on. Beyond its share, it goes on while all shares have room that others have not used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A lane that was full goes on once one part in so many is free, so that it does not stop again at once.
const FREE: usize = 16;

/// What the lanes of a process remember, and how much they may.
#[derive(Debug)]
pub struct Memory {
    limit: usize,
    lanes: Mutex<Lanes>,
}

#[derive(Debug, Default)]
struct Lanes {
    next: u64,
    /// By lane, what each of its streams takes, in bytes.
    taken: BTreeMap<u64, Vec<(String, usize)>>,
}

/// A lane's part of the memory, until it is dropped.
#[derive(Debug)]
pub struct Share {
    memory: Arc<Memory>,
    lane: u64,
}

/// There is no room for more of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// The stream that takes the most, of all lanes.
    pub stream: String,
    /// What it takes in bytes.
    pub bytes: usize,
}

impl Memory {
    /// So many bytes, of which nothing is taken.
    pub fn new(limit: usize) -> Arc<Memory> {
        Arc::new(Memory { limit, lanes: Mutex::default() })
    }

    /// The share of another lane, which takes nothing yet.
    pub fn share(self: &Arc<Memory>) -> Share {
        let mut lanes = self.lanes();
        let lane = lanes.next;
        lanes.next += 1;
        lanes.taken.insert(lane, Vec::new());
        Share { memory: Arc::clone(self), lane }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Notes what each of the lane's streams takes by now, in bytes.
    pub fn takes<'a>(&self, streams: impl Iterator<Item = (&'a str, usize)>) {
        let taken = streams.map(|(stream, bytes)| (stream.to_owned(), bytes)).collect();
        self.memory.lanes().taken.insert(self.lane, taken);
    }

    /// Whether the lane has to stop; `was_full`: whether it has stopped.
    pub fn full(&self, was_full: bool) -> Option<Full> {
        let lanes = self.memory.lanes();
        let limit = if was_full { self.memory.limit - self.memory.limit / FREE } else { self.memory.limit };
        let all: Vec<usize> = lanes.taken.values().map(|streams| sum(streams)).collect();
        let own = lanes.taken.get(&self.lane).map_or(0, |streams| sum(streams));
        if may_take(limit, own, &all) {
            return None;
        }
        let mut streams: BTreeMap<&str, usize> = BTreeMap::new();
        for (stream, bytes) in lanes.taken.values().flatten() {
            *streams.entry(stream).or_default() += bytes;
        }
        let (stream, bytes) = streams.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        Some(Full { stream: stream.to_owned(), bytes })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.lanes().taken.remove(&self.lane);
    }
}

fn sum(streams: &[(String, usize)]) -> usize {
    streams.iter().map(|(_, bytes)| bytes).sum()
}

/// T10: whether a lane may take records whose state takes `own` bytes, where the states of `all` lanes take these, and all together may
/// take `limit`. Each lane has a share in half of that. What a lane has not used of its share is not for others.
fn may_take(limit: usize, own: usize, all: &[usize]) -> bool {
    let share = limit / (2 * all.len().max(1));
    own < share || all.iter().map(|bytes| (*bytes).max(share)).sum::<usize>() <= limit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn takes(share: &Share, stream: &str, bytes: usize) {
        share.takes([(stream, bytes)].into_iter());
    }

    #[test]
    fn a_lane_alone_has_all_of_it() {
        let memory = Memory::new(1_600);
        let lane = memory.share();
        for (bytes, full) in [(0, false), (1_600, false), (1_601, true)] {
            takes(&lane, "a", bytes);
            assert_eq!(lane.full(false).is_some(), full, "{bytes}");
        }
        takes(&lane, "a", 1_501);
        assert!(lane.full(false).is_none() && lane.full(true).is_some(), "it would stop again at once");
        takes(&lane, "a", 1_500);
        assert_eq!(lane.full(true), None);
    }

    #[test]
    fn a_full_lane_does_not_stop_those_within_their_shares_and_goes_on_when_they_give_back() {
        let memory = Memory::new(1_600);
        let (large, small) = (memory.share(), memory.share());
        takes(&large, "large", 1_100);
        takes(&small, "small", 501);
        assert_eq!(large.full(false), Some(Full { stream: "large".to_owned(), bytes: 1_100 }));
        assert!(small.full(false).is_some(), "beyond its share of 400");
        takes(&small, "small", 450);
        assert!(large.full(true).is_some(), "too little is free");
        takes(&small, "small", 399);
        assert_eq!((small.full(false), large.full(true)), (None, None));
        takes(&large, "large", 1_400);
        assert!(small.full(false).is_none() && large.full(false).is_some());
        drop(small);
        assert_eq!(large.full(true), None, "the other lane has ended");
    }

    #[test]
    fn the_stream_that_fills_it_is_named_wherever_its_lanes_are() {
        let memory = Memory::new(100);
        let lanes: Vec<Share> = (0..4).map(|_| memory.share()).collect();
        for lane in &lanes {
            lane.takes([("a", 20), ("b", 30)].into_iter());
        }
        assert_eq!(lanes[0].full(false), Some(Full { stream: "b".to_owned(), bytes: 120 }));
    }

    #[test]
    fn what_others_have_not_used_of_their_shares_is_theirs() {
        assert!(may_take(1_000, 750, &[750, 0]));
        assert!(!may_take(1_000, 751, &[751, 0]), "there have to be 250 for the other one");
        assert!(may_take(1_000, 249, &[900, 249]) && !may_take(1_000, 250, &[900, 250]));
    }

    proptest! {
        /// Lanes take and give back as they may. What one takes at a time comes on top.
        #[test]
        fn all_lanes_together_stay_within_the_limit_and_one_always_goes_on(
            steps in prop::collection::vec((0..5_usize, 0..40_usize, any::<bool>()), 0..300), limit in 500..2_000_usize,
        ) {
            let mut all = [0_usize; 5];
            for (lane, bytes, takes) in steps {
                if !takes {
                    all[lane] = all[lane].saturating_sub(bytes);
                } else if may_take(limit, all[lane], &all) {
                    all[lane] += bytes;
                }
                prop_assert!(all.iter().sum::<usize>() <= limit + 5 * 40, "{all:?}");
                let least = all.iter().min().copied().unwrap_or_default();
                prop_assert!(may_take(limit, least, &all) || least >= limit / 10, "{all:?} of {limit}");
            }
        }
    }
}
