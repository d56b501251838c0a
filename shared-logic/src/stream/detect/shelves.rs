//! Bytes that are needed as long as a time is, and are then given back together.

use std::collections::BTreeMap;

use crate::time::{SECOND_US, bucket_index};

/// What is put beside each other begins at multiples of this.
const ALIGNED: usize = 8;
/// In how many parts a span of time is divided, unless they were shorter than a second. What is kept too long is one of them.
const PARTS: i64 = 16;

/// Bytes of events, on shelves by the events' times.
#[derive(Debug)]
pub(super) struct Shelves {
    width_us: i64,
    /// By the number of the shelf, which is a bucket of time.
    shelves: BTreeMap<i64, Vec<u8>>,
}

impl Shelves {
    /// For bytes that are needed for about that long.
    pub(super) fn new(span_us: i64) -> Shelves {
        Shelves { width_us: (span_us / PARTS).max(SECOND_US), shelves: BTreeMap::new() }
    }

    /// Puts the bytes of an event of that time down; gives their place.
    ///
    /// # Panics
    /// If a shelf would hold more than 32 GiB, which is more than a lane may.
    pub(super) fn put(&mut self, time_us: i64, bytes: &[u8]) -> u32 {
        let shelf = self.shelves.entry(bucket_index(time_us, self.width_us)).or_default();
        let begin = shelf.len().next_multiple_of(ALIGNED);
        let needed = begin + bytes.len() - shelf.len();
        if shelf.capacity() - shelf.len() < needed {
            // By less than a vector grows by itself, which is twice.
            shelf.reserve_exact(needed.max(shelf.len() / 4));
        }
        shelf.resize(begin, 0);
        let place = u32::try_from(shelf.len() / ALIGNED).expect("the state of a lane is bounded");
        shelf.extend_from_slice(bytes);
        place
    }

    /// The bytes that were put at that place, and whatever lies behind them. Nothing if they are gone.
    pub(super) fn get(&self, time_us: i64, place: u32) -> &[u8] {
        let shelf = self.shelves.get(&bucket_index(time_us, self.width_us));
        shelf.and_then(|shelf| shelf.get(place as usize * ALIGNED..)).unwrap_or_default()
    }

    /// Gives back what belongs to times before that one, as far as whole shelves go.
    pub(super) fn forget_before(&mut self, time_us: i64) {
        while let Some(shelf) = self.shelves.first_entry()
            && (*shelf.key() + 1).saturating_mul(self.width_us) <= time_us
        {
            shelf.remove();
        }
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.shelves.values().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_there_until_their_time_is_over() {
        let mut shelves = Shelves::new(160 * SECOND_US);
        let time = |n: u8| i64::from(n) * SECOND_US;
        let places: Vec<u32> = (0..100).map(|n| shelves.put(time(n), &[n; 3])).collect();
        for (n, place) in (0..100).zip(&places) {
            assert_eq!(shelves.get(time(n), *place)[..3], [n; 3]);
        }
        shelves.forget_before(time(55));
        for (n, place) in (0..100).zip(&places) {
            let kept = shelves.get(time(n), *place);
            assert_eq!(kept.is_empty(), n < 50, "{n}: shelves are 10 s wide");
        }
        shelves.forget_before(i64::MIN);
        assert_eq!(shelves.get(-1, 0), b"");
        shelves.put(-1, b"a");
        assert_eq!(shelves.get(-1, 0), b"a");
        shelves.forget_before(time(200));
        assert_eq!(shelves.bytes(), 0);
    }
}
