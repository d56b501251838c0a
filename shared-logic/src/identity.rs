//! What makes two records the same event.

use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

/// The identity of an event: records of a source with equal identities are copies of one event.
///
/// 128 bits of XXH3 over event id and event time; two different events share one with a chance of about 1e-26 per pair
/// of a trillion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity(pub u64, pub u64);

impl Identity {
    /// The identity of an event with that event time and the values of the fields that its source's event id consists of, in
    /// their order: a text's bytes, or an integer's eight. There is at least one.
    ///
    /// Several are hashed with their lengths, so that `a` and `bc` are not `ab` and `c`.
    pub fn of<V: AsRef<[u8]>>(
        event_id: impl IntoIterator<Item = V, IntoIter: ExactSizeIterator>,
        event_time_us: i64,
    ) -> Identity {
        let (mut values, seed) = (event_id.into_iter(), event_time_us as u64);
        if values.len() == 1
            && let Some(only) = values.next()
        {
            return Identity::of_hash(xxh3_128_with_seed(only.as_ref(), seed));
        }
        let mut hash = Xxh3::with_seed(seed);
        for value in values {
            let value = value.as_ref();
            hash.update(&(value.len() as u64).to_le_bytes());
            hash.update(value);
        }
        Identity::of_hash(hash.digest128())
    }

    fn of_hash(hash: u128) -> Identity {
        Identity((hash >> 64) as u64, hash as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_id_and_its_time() {
        assert_eq!(Identity::of([b"a"], 1), Identity::of([b"a"], 1));
        assert_ne!(Identity::of([b"a"], 1), Identity::of([b"a"], 2));
        assert_ne!(Identity::of([b"a"], 1), Identity::of([b"b"], 1));
    }

    #[test]
    fn the_identity_of_one_value_is_the_hash_of_its_bytes() {
        let hash = xxh3_128_with_seed(b"e-1", 7);
        assert_eq!(Identity::of([b"e-1"], 7), Identity((hash >> 64) as u64, hash as u64));
    }

    #[test]
    fn several_values_do_not_run_into_each_other() {
        let of = |values: &[&str]| Identity::of(values, 1);
        let all = [
            of(&["a", "bc"]),
            of(&["ab", "c"]),
            of(&["abc", ""]),
            of(&["", "abc"]),
            of(&["abc"]),
            of(&["bc", "a"]),
            of(&["a", "b", "c"]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{at}");
        }
        assert_eq!(of(&["a", "bc"]), of(&["a", "bc"]));
        assert_ne!(Identity::of(["a", "bc"], 1), Identity::of(["a", "bc"], 2), "the time is a part of it");
    }
}
