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
    /// The key at hand.
    bytes: Vec<u8>,
}

impl SplitKeys {
    /// One of so many that share the memory.
    pub fn sharing(among: usize) -> SplitKeys {
        let keys_max = (KEYS_MAX / among.max(1)).max(1);
        SplitKeys { seen: HashMap::new(), keys_max, bits: 0, count: 0, named: None, bytes: Vec::new() }
    }

    /// Notes that an event of that key lies in that partition. `key` are the values of some columns; one that is absent is a value, too.
    pub fn see(&mut self, key: &[Option<&str>], partition: i32) {
        self.bytes.clear();
        for value in key {
            // No text begins with a length that is another's, so no two keys have the same bytes.
            self.bytes.extend(value.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            self.bytes.extend(value.unwrap_or_default().as_bytes());
        }
        let hash = xxh3_64(&self.bytes);
        if hash.trailing_zeros() < self.bits {
            return;
        }
        let known = self.seen.entry(hash).or_insert(Some(partition));
        if known.is_some_and(|known| known != partition) {
            *known = None;
            self.count += 1;
            self.named
                .get_or_insert_with(|| key.iter().map(|value| value.unwrap_or("null")).collect::<Vec<_>>().join(", "));
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
        let mut keys = SplitKeys::sharing(1);
        for (key, partition) in [("a", 0), ("b", 1), ("a", 0), ("b", 0), ("b", 1), ("b", 2), ("c", 2), ("a", 1)] {
            keys.see(&[Some(key)], partition);
        }
        assert_eq!((keys.count(), keys.named()), (2, Some("b")));
        let mut apart = SplitKeys::sharing(1);
        (0..1_000_i32).for_each(|key| apart.see(&[Some(key.to_string().as_str())], key % 4));
        assert_eq!((apart.count(), apart.named()), (0, None));
    }

    #[test]
    fn a_key_is_the_values_of_all_columns_and_an_absent_one_is_a_value() {
        let mut keys = SplitKeys::sharing(1);
        for (key, partition) in [
            ([Some("a"), Some("bc")], 0),
            ([Some("ab"), Some("c")], 1),
            ([Some("a"), None], 2),
            ([Some("a"), Some("")], 3),
        ] {
            keys.see(&key, partition);
        }
        assert_eq!(keys.count(), 0, "they are four keys");
        keys.see(&[Some("a"), None], 0);
        assert_eq!((keys.count(), keys.named()), (1, Some("a, null")));
    }

    #[test]
    fn memory_is_bounded_and_some_are_found_all_the_same() {
        let mut keys = SplitKeys { keys_max: 100, ..SplitKeys::sharing(1) };
        for partition in 0..2 {
            (0..5_000_u32).for_each(|key| keys.see(&[Some(key.to_string().as_str())], partition));
        }
        assert!(keys.seen.len() <= 100);
        assert!((20..5_000).contains(&keys.count()), "{}", keys.count());
        assert_eq!(SplitKeys::sharing(4).keys_max, KEYS_MAX / 4);
    }
}
