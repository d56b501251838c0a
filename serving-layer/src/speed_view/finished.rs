//! Counters of finished slices, within `serving.slice_memory`.
//!
//! Two generations: what is kept or found goes into the young one, and when that has half of the memory, the old one is
//! forgotten and the young one takes its place. So what is asked for stays, and nothing has to be ordered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::speed_view::Counters;
use shared_logic::group_key::GroupKey;
use shared_logic::measure::Value;

/// What one entry takes beside its texts and counters, about.
const ENTRY_BYTES: usize = 160;

/// The counters of one group key in one finished slice.
pub(super) struct SliceId<'a> {
    /// The shard's key; it names log and partition.
    pub(super) shard: String,
    pub(super) begin: i64,
    pub(super) end: i64,
    pub(super) definition: &'a DefinitionHash,
    pub(super) key: &'a GroupKey,
}

pub(super) struct Finished {
    half_bytes: usize,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Id, Arc<Counters>>,
    young_bytes: usize,
    old: HashMap<Id, Arc<Counters>>,
}

type Id = (String, i64, i64, DefinitionHash, GroupKey);

impl Finished {
    pub(super) fn new(limit_bytes: usize) -> Finished {
        Finished { half_bytes: limit_bytes / 2, generations: Mutex::default() }
    }

    pub(super) fn get(&self, slice: &SliceId<'_>) -> Option<Arc<Counters>> {
        let id = slice.id();
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(&id) {
            return Some(Arc::clone(found));
        }
        let found = generations.old.remove(&id)?;
        generations.put(id, Arc::clone(&found), self.half_bytes);
        Some(found)
    }

    pub(super) fn keep(&self, slice: &SliceId<'_>, counters: &Arc<Counters>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.put(slice.id(), Arc::clone(counters), self.half_bytes);
    }
}

impl Generations {
    fn put(&mut self, id: Id, counters: Arc<Counters>, half_bytes: usize) {
        let bytes =
            ENTRY_BYTES + id.0.len() + id.4.as_str().len() + counters.capacity() * size_of::<(i64, usize, Value)>();
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
        (self.shard.clone(), self.begin, self.end, self.definition.clone(), self.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_logic::group_key::KeyValue;

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays() {
        let definition: DefinitionHash = "00000000000000aa".parse().expect("16 digits");
        let keys: Vec<GroupKey> = (0..100).map(|n| GroupKey::new(&[Some(KeyValue::Int(n))])).collect();
        let slice =
            |n: usize| SliceId { shard: "s".to_owned(), begin: 0, end: 10, definition: &definition, key: &keys[n] };
        let finished = Finished::new(20 * 300);
        for n in 0..100 {
            finished.keep(&slice(n), &Arc::new(vec![(n as i64, 0, Value::Int(1))]));
            let favourite = finished.get(&slice(0)).expect("asked for all the time");
            assert_eq!(favourite[0].0, 0);
        }
        let kept = (0..100).filter(|n| finished.get(&slice(*n)).is_some()).count();
        assert!((2..=20).contains(&kept), "{kept} are kept");
        assert!(finished.get(&SliceId { end: 11, ..slice(0) }).is_none(), "another slice");
    }
}
