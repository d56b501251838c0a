//! Keys that lie in several partitions (T12): a lane sees the events of one partition, so such a key has a state in each.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

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
    named: Option<String>,
}

impl Default for SplitKeys {
    fn default() -> SplitKeys {
        SplitKeys { seen: HashMap::new(), keys_max: KEYS_MAX, bits: 0, count: 0, named: None }
    }
}

impl SplitKeys {
    /// Notes that an event of that key lies in that partition.
    pub fn see(&mut self, key: &[u8], partition: i32) {
        let hash = xxh3_64(key);
        if hash.trailing_zeros() < self.bits {
            return;
        }
        let known = self.seen.entry(hash).or_insert(Some(partition));
        if known.is_some_and(|known| known != partition) {
            *known = None;
            self.count += 1;
            self.named.get_or_insert_with(|| String::from_utf8_lossy(key).into_owned());
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

    /// One of them.
    pub fn named(&self) -> Option<&str> {
        self.named.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_two_partitions_is_counted_once_and_the_first_is_named() {
        let mut keys = SplitKeys::default();
        for (key, partition) in [("a", 0), ("b", 1), ("a", 0), ("b", 0), ("b", 1), ("b", 2), ("c", 2), ("a", 1)] {
            keys.see(key.as_bytes(), partition);
        }
        assert_eq!((keys.count(), keys.named()), (2, Some("b")));
        let mut apart = SplitKeys::default();
        (0..1_000_i32).for_each(|key| apart.see(&key.to_le_bytes(), key % 4));
        assert_eq!((apart.count(), apart.named()), (0, None));
    }

    #[test]
    fn memory_is_bounded_and_some_are_found_all_the_same() {
        let mut keys = SplitKeys { keys_max: 100, ..SplitKeys::default() };
        for partition in 0..2 {
            (0..5_000_u32).for_each(|key| keys.see(&key.to_le_bytes(), partition));
        }
        assert!(keys.seen.len() <= 100);
        assert!((20..5_000).contains(&keys.count()), "{}", keys.count());
    }
}
