//! Slices as ranges of positions, and the positions that each shard had when it was last read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared_logic::contracts::speed_view::{Shard, ShardKeys};
use shared_logic::log::Position;

/// How many shards' positions are remembered. Beyond, all are forgotten and read again.
const MAX_SHARDS: usize = 100_000;

/// One slice at the time at which its shard was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) begin: i64,
    /// Up to where it was counted: where the next slice begins, or the cursor. With the same shard, slice and position, counters
    /// are the same.
    pub(super) upto: Position,
    /// Whether it is the newest slice, which still grows.
    pub(super) is_newest: bool,
}

/// The slices of a shard that begin at the offset `from` or later.
pub(super) fn slices(shard: &Shard, from: i64) -> impl Iterator<Item = Slice> {
    let newest = shard.last_slice();
    let all = shard.positions().zip(shard.positions().skip(1));
    let all = all.map(move |(begin, upto)| Slice { begin: begin.offset, upto, is_newest: begin.offset == newest });
    all.filter(move |slice| slice.begin >= from)
}

/// Per shard, its positions when it was last read.
#[derive(Default)]
pub(super) struct KnownShards {
    by_key: Mutex<HashMap<String, Arc<Shard>>>,
}

impl KnownShards {
    pub(super) fn get(&self, keys: &ShardKeys) -> Option<Arc<Shard>> {
        self.lock().get(&keys.shard()).cloned()
    }

    pub(super) fn set(&self, keys: &ShardKeys, now: &Arc<Shard>) {
        let mut known = self.lock();
        if known.len() >= MAX_SHARDS {
            known.clear();
        }
        known.insert(keys.shard(), Arc::clone(now));
    }

    pub(super) fn remove(&self, keys: &ShardKeys) {
        self.lock().remove(&keys.shard());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Shard>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::speed_view::Instance;

    use super::*;

    #[test]
    fn a_slice_is_counted_up_to_the_next_one_or_the_cursor() {
        let shard = Shard {
            cursor: 30,
            slices: vec![0, 10, 20],
            definitions: Default::default(),
            instance: Instance::new(1),
            witnesses: vec![None; 4],
            truncated: None,
        };
        let of = |from: i64| -> Vec<(i64, i64, bool)> {
            slices(&shard, from).map(|slice| (slice.begin, slice.upto.offset, slice.is_newest)).collect()
        };
        assert_eq!(of(0), [(0, 10, false), (10, 20, false), (20, 30, true)]);
        assert_eq!(of(10), of(0)[1..]);
        assert_eq!(of(21), []);
    }
}
