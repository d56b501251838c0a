//! Keys that lie in several partitions (T12): a lane sees the events of one partition, so such a key has a state in each.
//!
//! A key may name a person, who can be erased from the archive. What is kept for longer than that, and logged, is the place of a record.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::log::PartitionId;

/// How many keys are remembered. At more, every second one is forgotten, by its hash, and never looked at again.
const KEYS_MAX: usize = 1 << 20;

/// Where keys were seen.
#[derive(Debug)]
pub struct SplitKeys {
    /// By their hashes, the partition of each; `None` once it was seen in two.
    seen: HashMap<u64, Option<i32>>,
    keys_max: usize,
    /// Of the hashes, the last so many bits of those that are looked at are zero.
    bits: u32,
    count: u64,
    /// The partition and the offset of a record.
    found: Option<(PartitionId, i64)>,
}

impl Default for SplitKeys {
    fn default() -> SplitKeys {
        SplitKeys { seen: HashMap::new(), keys_max: KEYS_MAX, bits: 0, count: 0, found: None }
    }
}

impl SplitKeys {
    /// Notes that an event of that key lies in that partition, at that offset.
    pub fn see(&mut self, key: &[u8], id: &PartitionId, offset: i64) {
        let (hash, partition) = (xxh3_64(key), id.partition);
        if hash.trailing_zeros() < self.bits {
            return;
        }
        let known = self.seen.entry(hash).or_insert(Some(partition));
        if known.is_some_and(|known| known != partition) {
            *known = None;
            self.count += 1;
            self.found.get_or_insert_with(|| (id.clone(), offset));
        }
        while self.seen.len() > self.keys_max {
            self.bits += 1;
            let bits = self.bits;
            self.seen.retain(|hash, _| hash.trailing_zeros() >= bits);
        }
    }

    /// How many keys were seen in several partitions, among those that were remembered.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A record of one of them, `log/partition/offset`: the one by which it was noticed.
    pub fn record(&self) -> Option<String> {
        self.found.as_ref().map(|(id, offset)| format!("{id}/{offset}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(partition: i32) -> PartitionId {
        PartitionId::new("log", partition)
    }

    #[test]
    fn a_key_in_two_partitions_is_counted_once_and_the_record_that_shows_it_is_named() {
        let mut keys = SplitKeys::default();
        let seen = [("a", 0), ("b", 1), ("a", 0), ("b", 0), ("b", 1), ("b", 2), ("c", 2), ("a", 1)];
        for (offset, (key, partition)) in (100..).zip(seen) {
            keys.see(key.as_bytes(), &id(partition), offset);
        }
        assert_eq!((keys.count(), keys.record().as_deref()), (2, Some("log/0/103")));
        let mut apart = SplitKeys::default();
        (0..1_000_i32).for_each(|key| apart.see(&key.to_le_bytes(), &id(key % 4), key.into()));
        assert_eq!((apart.count(), apart.record()), (0, None));
    }

    #[test]
    fn memory_is_bounded_and_some_are_found_all_the_same() {
        let mut keys = SplitKeys { keys_max: 100, ..SplitKeys::default() };
        for partition in 0..2 {
            (0..5_000_u32).for_each(|key| keys.see(&key.to_le_bytes(), &id(partition), key.into()));
        }
        assert!(keys.seen.len() <= 100);
        assert!((20..5_000).contains(&keys.count()), "{}", keys.count());
    }
}
