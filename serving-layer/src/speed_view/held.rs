//! The counters that are kept in memory, within `serving.slice_memory`: of each group key and slice those that were read last.
//!
//! All slices of a key in one shard are one entry, so a question is looked up once for each shard. Entries have two generations.
//! What is added or found goes into the young one. When the young one has half of the memory, it replaces the old one, whose
//! entries are forgotten. So entries that are in use stay, and no order has to be kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared_logic::contracts::speed_view::{ChunkRange, Counters, Instance, Shard};
use shared_logic::log::Position;
use shared_logic::measure::Value;

use super::CountedKey;
use super::slices::Slice;

/// About how many bytes one entry takes besides its texts and slices.
const ENTRY_BYTES: usize = 160;
/// About how many bytes one slice takes besides its counters.
const SLICE_BYTES: usize = 160;

/// One group key, as one definition counts it, in one shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct HeldId {
    /// The shard's key, which names log and partition.
    pub(super) shard: Arc<str>,
    pub(super) key: Arc<CountedKey>,
}

/// What was read of one slice.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) instance: Instance,
    pub(super) begin: i64,
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
    young: HashMap<HeldId, Vec<Held>>,
    young_bytes: usize,
    old: HashMap<HeldId, Vec<Held>>,
}

impl HeldCounters {
    pub(super) fn new(limit_bytes: usize) -> HeldCounters {
        HeldCounters { half_bytes: limit_bytes / 2, generations: Mutex::default() }
    }

    /// For each of the slices, which are of that instance, its counters in those chunks, if they are kept.
    pub(super) fn get(
        &self,
        id: &HeldId,
        instance: Instance,
        slices: &[Slice],
        chunks: ChunkRange,
    ) -> Vec<Option<Arc<Counters>>> {
        let mut generations = self.lock();
        let entry = generations.entry(id, self.half_bytes);
        let found = |slice: &Slice| {
            let held = entry.iter().find(|held| held.is_of(instance, slice.begin))?;
            (held.upto == slice.upto && held.chunks.covers(chunks)).then(|| Arc::clone(&held.counters))
        };
        slices.iter().map(found).collect()
    }

    /// Keeps what was read of a shard's slices, in place of what was read of them before, unless that holds more chunks as of the
    /// same position. `shard` is the shard as it was then: slices that it does not list go.
    pub(super) fn keep(&self, id: HeldId, shard: &Shard, read: Vec<Held>) {
        let mut generations = self.lock();
        let mut entry = generations.entry(&id, self.half_bytes).to_vec();
        entry.retain(|held| held.instance == shard.instance && shard.slices.contains(&held.begin));
        for held in read {
            match entry.iter_mut().find(|before| before.is_of(held.instance, held.begin)) {
                Some(before) if before.upto == held.upto && before.chunks.covers(held.chunks) => {}
                Some(before) => *before = held,
                None => entry.push(held),
            }
        }
        generations.put(id, entry, self.half_bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is_of(&self, instance: Instance, begin: i64) -> bool {
        (self.instance, self.begin) == (instance, begin)
    }
}

impl Generations {
    /// What is kept under an id. If it is of the old generation, it becomes one of the young.
    fn entry(&mut self, id: &HeldId, half_bytes: usize) -> &[Held] {
        if !self.old.is_empty()
            && !self.young.contains_key(id)
            && let Some(entry) = self.old.remove(id)
        {
            self.put(id.clone(), entry, half_bytes);
        }
        self.young.get(id).map_or(&[][..], Vec::as_slice)
    }

    fn put(&mut self, id: HeldId, entry: Vec<Held>, half_bytes: usize) {
        if let Some(before) = self.young.remove(&id) {
            self.young_bytes -= bytes(&id, &before);
        }
        let added = bytes(&id, &entry);
        if entry.is_empty() || added > half_bytes {
            return;
        }
        if self.young_bytes + added > half_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += added;
        self.young.insert(id, entry);
    }
}

fn bytes(id: &HeldId, entry: &[Held]) -> usize {
    let of_slice = |held: &Held| {
        let sketches: usize = held.counters.iter().map(|(.., value)| value.memory()).sum();
        SLICE_BYTES + held.counters.capacity() * size_of::<(i64, usize, Value)>() + sketches
    };
    ENTRY_BYTES + id.shard.len() + id.key.key.as_str().len() + entry.iter().map(of_slice).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use shared_logic::group_key::{GroupKey, KeyPart, KeyValue};

    use super::*;

    const ALL: ChunkRange = ChunkRange { first: -100, last: 100 };

    fn id(n: i64) -> HeldId {
        let definition = "00000000000000aa".parse().expect("16 digits");
        let key = GroupKey::new(&[KeyPart::Value(KeyValue::Int(n))]);
        HeldId { shard: "s".into(), key: Arc::new(CountedKey { definition, key }) }
    }

    fn own() -> Instance {
        Instance::new(1)
    }

    /// A shard with slices that begin at these offsets.
    fn shard(slices: &[i64], cursor: i64) -> Shard {
        let witnesses = vec![None; slices.len() + 1];
        let (slices, definitions) = (slices.to_vec(), Default::default());
        Shard { cursor, slices, definitions, instance: own(), witnesses, truncated: None }
    }

    fn held(begin: i64, upto: i64, chunks: ChunkRange, count: i128) -> Held {
        let counters = Arc::new(vec![(0, 0, Value::Int(count))]);
        Held { instance: own(), begin, upto: upto.into(), chunks, counters }
    }

    /// Keeps a count of the only slice, which begins at 0.
    fn keep(kept: &HeldCounters, n: i64, upto: i64, chunks: ChunkRange, count: i128) {
        kept.keep(id(n), &shard(&[0], upto), vec![held(0, upto, chunks, count)]);
    }

    /// The count of a slice that is counted up to there.
    fn found(kept: &HeldCounters, n: i64, (begin, upto): (i64, i64), chunks: ChunkRange) -> Option<Value> {
        let slice = Slice { begin, upto: upto.into() };
        let found = kept.get(&id(n), own(), &[slice], chunks).remove(0);
        found.map(|counters| counters[0].2.clone())
    }

    #[test]
    fn memory_is_bounded_and_entries_in_use_stay() {
        let kept = HeldCounters::new(20 * 400);
        for n in 0..100 {
            keep(&kept, n, 10, ALL, n.into());
            assert_eq!(found(&kept, 0, (0, 10), ALL), Some(Value::Int(0)), "it is asked for all the time");
        }
        let left = (0..100).filter(|n| found(&kept, *n, (0, 10), ALL).is_some()).count();
        assert!((2..=20).contains(&left), "{left} are kept");
        // What replaces an entry takes no memory besides it.
        let kept = HeldCounters::new(4 * 400);
        for upto in 0..100 {
            keep(&kept, 1, upto, ALL, upto.into());
            keep(&kept, 2, upto, ALL, upto.into());
            assert_eq!(found(&kept, 1, (0, upto), ALL), Some(Value::Int(upto.into())));
        }
    }

    #[test]
    fn what_was_read_last_is_held_for_the_chunks_that_were_read() {
        let kept = HeldCounters::new(1_000_000);
        let some = ChunkRange { first: 3, last: 7 };
        keep(&kept, 1, 10, some, 5);
        assert_eq!(found(&kept, 1, (0, 10), ALL), None);
        assert_eq!(found(&kept, 1, (0, 10), ChunkRange { first: 4, last: 4 }), Some(Value::Int(5)));
        keep(&kept, 1, 10, ALL, 9);
        keep(&kept, 1, 10, some, 5);
        assert_eq!(found(&kept, 1, (0, 10), some), Some(Value::Int(9)), "more chunks as of the same position");
        keep(&kept, 1, 11, some, 6);
        assert_eq!(found(&kept, 1, (0, 11), some), Some(Value::Int(6)));
        assert_eq!(found(&kept, 1, (0, 10), some), None, "the cursor was there before");
    }

    #[test]
    fn slices_are_kept_as_long_as_their_shard_lists_them() {
        let kept = HeldCounters::new(1_000_000);
        let both = vec![held(0, 10, ALL, 1), held(10, 20, ALL, 2)];
        kept.keep(id(1), &shard(&[0, 10], 20), both);
        let slice = |(begin, upto): (i64, i64)| Slice { begin, upto: upto.into() };
        let slices = [(0, 10), (10, 20), (20, 30)].map(slice);
        let of = |instance| kept.get(&id(1), instance, &slices, ALL).iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(of(own()), [true, true, false]);
        assert_eq!(of(Instance::new(2)), [false; 3], "another shard of the partition");
        kept.keep(id(1), &shard(&[10, 20], 30), vec![held(20, 30, ALL, 3)]);
        assert_eq!(of(own()), [false, true, true], "the first one was dropped");
        let reopened = Shard { instance: Instance::new(2), ..shard(&[10], 20) };
        kept.keep(id(1), &reopened, Vec::new());
        assert_eq!(of(own()), [false; 3]);
    }
}
