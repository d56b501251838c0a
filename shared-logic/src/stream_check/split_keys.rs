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
    /// The key at hand.
    bytes: Vec<u8>,
}

impl SplitKeys {
    /// One of so many that share the memory.
    pub fn sharing(among: usize) -> SplitKeys {
        let keys_max = (KEYS_MAX / among.max(1)).max(1);
        SplitKeys { seen: HashMap::new(), keys_max, bits: 0, count: 0, found: None, bytes: Vec::new() }
    }

    /// Notes that an event of that key lies in that partition, at that offset. `key` are the values of some columns; one that is absent is a
    /// value, too.
    pub fn see(&mut self, key: &[Option<&str>], id: &PartitionId, offset: i64) {
        self.bytes.clear();
        for value in key {
            // With their lengths, so that no two keys have the same bytes.
            self.bytes.extend(value.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            self.bytes.extend(value.unwrap_or_default().as_bytes());
        }
        let (hash, partition) = (xxh3_64(&self.bytes), id.partition);
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
        let mut keys = SplitKeys::sharing(1);
        let seen = [("a", 0), ("b", 1), ("a", 0), ("b", 0), ("b", 1), ("b", 2), ("c", 2), ("a", 1)];
        for (offset, (key, partition)) in (100..).zip(seen) {
            keys.see(&[Some(key)], &id(partition), offset);
        }
        assert_eq!((keys.count(), keys.record().as_deref()), (2, Some("log/0/103")));
        let mut apart = SplitKeys::sharing(1);
        (0..1_000_i32).for_each(|key| apart.see(&[Some(key.to_string().as_str())], &id(key % 4), key.into()));
        assert_eq!((apart.count(), apart.record()), (0, None));
    }

    #[test]
    fn a_key_is_the_values_of_all_columns_and_an_absent_one_is_a_value() {
        let mut keys = SplitKeys::sharing(1);
        let seen = [[Some("a"), Some("bc")], [Some("ab"), Some("c")], [Some("a"), None], [Some("a"), Some("")]];
        for (partition, key) in (0..).zip(seen) {
            keys.see(&key, &id(partition), 7);
        }
        assert_eq!(keys.count(), 0, "they are four keys");
        keys.see(&[Some("a"), None], &id(0), 8);
        assert_eq!((keys.count(), keys.record().as_deref()), (1, Some("log/0/8")));
    }

    #[test]
    fn memory_is_bounded_and_some_are_found_all_the_same() {
        let mut keys = SplitKeys { keys_max: 100, ..SplitKeys::sharing(1) };
        for partition in 0..2 {
            (0..5_000_u32).for_each(|key| keys.see(&[Some(key.to_string().as_str())], &id(partition), key.into()));
        }
        assert!(keys.seen.len() <= 100);
        assert!((20..5_000).contains(&keys.count()), "{}", keys.count());
        assert_eq!(SplitKeys::sharing(4).keys_max, KEYS_MAX / 4);
    }
}
