//! What makes two records the same event.

/// The identity of an event: records of a source with equal identities are copies of one event.
///
/// 128 bits of XXH3 over event id and event time; two different events share one with a chance of about 1e-26 per pair
/// of a trillion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity(pub u64, pub u64);

impl Identity {
    /// The identity of an event with that id (its bytes as text) and event time.
    pub fn of(event_id: &[u8], event_time_us: i64) -> Identity {
        let hash = xxhash_rust::xxh3::xxh3_128_with_seed(event_id, event_time_us as u64);
        Identity((hash >> 64) as u64, hash as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_id_and_its_time() {
        assert_eq!(Identity::of(b"a", 1), Identity::of(b"a", 1));
        assert_ne!(Identity::of(b"a", 1), Identity::of(b"a", 2));
        assert_ne!(Identity::of(b"a", 1), Identity::of(b"b", 1));
    }
}
