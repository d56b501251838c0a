//! The counters that are kept in memory, within `serving.slice_memory`: of each group key and slice those that were read last.
//!
//! Entries have two generations. What is added or found goes into the young one. When the young one has half of the memory, it
//! replaces the old one, whose entries are forgotten. So entries that are in use stay, and no order has to be kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::speed_view::{ChunkRange, Counters, Instance};
use shared_logic::group_key::GroupKey;
use shared_logic::log::Position;
use shared_logic::measure::Value;

/// About how many bytes one entry takes besides its texts and counters.
const ENTRY_BYTES: usize = 240;

/// The counters of one group key in one slice of one shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SliceId {
    /// The shard's key, which names log and partition.
    pub(super) shard: Arc<str>,
    pub(super) instance: Instance,
    pub(super) begin: i64,
    pub(super) definition: DefinitionHash,
    pub(super) key: GroupKey,
}

/// What was read of them.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Up to where the slice was counted then: if it is counted up to there now, these are its counters.
    pub(super) upto: Position,
    /// The chunks that were read.
    pub(super) chunks: ChunkRange,
    pub(super) counters: Arc<Counters>,
}

/// The cache.
pub(super) struct HeldCounters {
    half_bytes: usize,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<SliceId, Held>,
    young_bytes: usize,
    old: HashMap<SliceId, Held>,
}

impl HeldCounters {
    pub(super) fn new(limit_bytes: usize) -> HeldCounters {
        HeldCounters { half_bytes: limit_bytes / 2, generations: Mutex::default() }
    }

    /// What is kept of a slice, if it covers those chunks.
    pub(super) fn get(&self, id: &SliceId, chunks: ChunkRange) -> Option<Held> {
        let mut generations = self.lock();
        let held = match generations.young.get(id) {
            Some(held) => held.clone(),
            None => {
                let held = generations.old.remove(id)?;
                generations.put(id.clone(), held.clone(), self.half_bytes);
                held
            }
        };
        Some(held).filter(|held| held.chunks.covers(chunks))
    }

    /// Keeps what was read, in place of what was read before, unless that holds more chunks as of the same position.
    pub(super) fn keep(&self, id: SliceId, held: Held) {
        let mut generations = self.lock();
        let before = generations.young.get(&id);
        if before.is_none_or(|before| before.upto != held.upto || !before.chunks.covers(held.chunks)) {
            generations.put(id, held, self.half_bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn put(&mut self, id: SliceId, held: Held, half_bytes: usize) {
        let added = bytes(&id, &held);
        if let Some(before) = self.young.remove(&id) {
            self.young_bytes -= bytes(&id, &before);
        }
        if added > half_bytes {
            return;
        }
        if self.young_bytes + added > half_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += added;
        self.young.insert(id, held);
    }
}

fn bytes(id: &SliceId, held: &Held) -> usize {
    let counters = held.counters.capacity() * size_of::<(i64, usize, Value)>();
    ENTRY_BYTES + id.shard.len() + id.key.as_str().len() + counters
}

#[cfg(test)]
mod tests {
    use shared_logic::group_key::{KeyPart, KeyValue};

    use super::*;

    const ALL: ChunkRange = ChunkRange { first: -100, last: 100 };

    fn slice(n: i64) -> SliceId {
        SliceId {
            shard: "s".into(),
            instance: Instance::new(1),
            begin: 0,
            definition: "00000000000000aa".parse().expect("16 digits"),
            key: GroupKey::new(&[KeyPart::Value(KeyValue::Int(n))]),
        }
    }

    fn held(upto: i64, chunks: ChunkRange, count: i128) -> Held {
        Held { upto: upto.into(), chunks, counters: Arc::new(vec![(0, 0, Value::Int(count))]) }
    }

    /// Up to where, and how many.
    fn found(kept: &HeldCounters, id: &SliceId, chunks: ChunkRange) -> Option<(i64, Value)> {
        kept.get(id, chunks).map(|held| (held.upto.offset, held.counters[0].2.clone()))
    }

    #[test]
    fn memory_is_bounded_and_entries_in_use_stay() {
        let kept = HeldCounters::new(20 * 400);
        for n in 0..100 {
            kept.keep(slice(n), held(10, ALL, n.into()));
            assert_eq!(found(&kept, &slice(0), ALL), Some((10, Value::Int(0))), "it is asked for all the time");
        }
        let left = (0..100).filter(|n| found(&kept, &slice(*n), ALL).is_some()).count();
        assert!((2..=20).contains(&left), "{left} are kept");
        let other = SliceId { instance: Instance::new(2), ..slice(0) };
        assert!(found(&kept, &other, ALL).is_none(), "another shard of the partition");
        // What replaces an entry takes no memory besides it.
        let kept = HeldCounters::new(4 * 400);
        for upto in 0..100 {
            kept.keep(slice(1), held(upto, ALL, upto.into()));
            kept.keep(slice(2), held(upto, ALL, upto.into()));
            assert_eq!(found(&kept, &slice(1), ALL), Some((upto, Value::Int(upto.into()))));
        }
    }

    #[test]
    fn what_was_read_last_is_held_for_the_chunks_that_were_read() {
        let kept = HeldCounters::new(1_000_000);
        let some = ChunkRange { first: 3, last: 7 };
        kept.keep(slice(1), held(10, some, 5));
        assert_eq!(found(&kept, &slice(1), ALL), None);
        assert_eq!(found(&kept, &slice(1), ChunkRange { first: 4, last: 4 }), Some((10, Value::Int(5))));
        kept.keep(slice(1), held(10, ALL, 9));
        kept.keep(slice(1), held(10, some, 5));
        assert_eq!(found(&kept, &slice(1), some), Some((10, Value::Int(9))), "more chunks as of the same position");
        kept.keep(slice(1), held(11, some, 6));
        assert_eq!(found(&kept, &slice(1), some), Some((11, Value::Int(6))));
    }
}
