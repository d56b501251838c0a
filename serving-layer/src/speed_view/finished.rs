//! A cache for the counters of finished slices, within `serving.slice_memory`.
//!
//! Entries have two generations. What is added or found goes into the young one. When the young one has half of the memory, it
//! replaces the old one, whose entries are forgotten. So entries that are in use stay, and no order has to be kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::speed_view::{Counters, Instance};
use shared_logic::group_key::GroupKey;
use shared_logic::measure::Value;

/// About how many bytes one entry takes besides its texts and counters.
const ENTRY_BYTES: usize = 160;

/// The counters of one group key in one finished slice.
pub(super) struct SliceId<'a> {
    /// The shard's key, which names log and partition.
    pub(super) shard: String,
    pub(super) instance: Instance,
    pub(super) begin: i64,
    pub(super) end: i64,
    pub(super) definition: &'a DefinitionHash,
    pub(super) key: &'a GroupKey,
}

/// The cache.
pub(super) struct FinishedSlices {
    half_bytes: usize,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Id, Arc<Counters>>,
    young_bytes: usize,
    old: HashMap<Id, Arc<Counters>>,
}

type Id = (String, Instance, i64, i64, DefinitionHash, GroupKey);

impl FinishedSlices {
    pub(super) fn new(limit_bytes: usize) -> FinishedSlices {
        FinishedSlices { half_bytes: limit_bytes / 2, generations: Mutex::default() }
    }

    pub(super) fn get(&self, slice: &SliceId<'_>) -> Option<Arc<Counters>> {
        let id = slice.id();
        let mut generations = self.lock();
        if let Some(found) = generations.young.get(&id) {
            return Some(Arc::clone(found));
        }
        let found = generations.old.remove(&id)?;
        generations.put(id, Arc::clone(&found), self.half_bytes);
        Some(found)
    }

    pub(super) fn keep(&self, slice: &SliceId<'_>, counters: &Arc<Counters>) {
        self.lock().put(slice.id(), Arc::clone(counters), self.half_bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn put(&mut self, id: Id, counters: Arc<Counters>, half_bytes: usize) {
        let bytes =
            ENTRY_BYTES + id.0.len() + id.5.as_str().len() + counters.capacity() * size_of::<(i64, usize, Value)>();
        if self.young.contains_key(&id) || bytes > half_bytes {
            return;
        }
        if self.young_bytes + bytes > half_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(id, counters);
    }
}

impl SliceId<'_> {
    fn id(&self) -> Id {
        (self.shard.clone(), self.instance, self.begin, self.end, self.definition.clone(), self.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_logic::group_key::{KeyPart, KeyValue};

    #[test]
    fn memory_is_bounded_and_entries_in_use_stay() {
        let definition: DefinitionHash = "00000000000000aa".parse().expect("16 digits");
        let keys: Vec<GroupKey> = (0..100).map(|n| GroupKey::new(&[KeyPart::Value(KeyValue::Int(n))])).collect();
        let instance = Instance::new(1);
        let slice = |n: usize| {
            let (shard, definition, key) = ("s".to_owned(), &definition, &keys[n]);
            SliceId { shard, instance, begin: 0, end: 10, definition, key }
        };
        let finished = FinishedSlices::new(20 * 300);
        for n in 0..100 {
            finished.keep(&slice(n), &Arc::new(vec![(n as i64, 0, Value::Int(1))]));
            let favourite = finished.get(&slice(0)).expect("it is asked for all the time");
            assert_eq!(favourite[0].0, 0);
        }
        let kept = (0..100).filter(|n| finished.get(&slice(*n)).is_some()).count();
        assert!((2..=20).contains(&kept), "{kept} are kept");
        assert!(finished.get(&SliceId { end: 11, ..slice(0) }).is_none(), "another slice");
        let other = SliceId { instance: Instance::new(2), ..slice(0) };
        assert!(finished.get(&other).is_none(), "another shard of the partition");
    }
}
