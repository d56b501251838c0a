//! Slices as ranges of offsets, and the slices that each shard had when it was last read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shared_logic::contracts::speed_view::ShardKeys;

/// How many shards' slices are remembered. Beyond, all are forgotten and read again.
const MAX_SHARDS: usize = 100_000;

/// The offsets of one slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Slice {
    pub(super) begin: i64,
    /// `None` for the newest slice, which still grows.
    pub(super) end: Option<i64>,
}

/// The slices that begin at the offset `from` or later. `begins` are the begins of all slices of a shard, ascending.
pub(super) fn slices(begins: &[i64], from: i64) -> impl Iterator<Item = Slice> {
    let ends = begins.iter().skip(1).copied().map(Some).chain([None]);
    let all = begins.iter().copied().zip(ends).map(|(begin, end)| Slice { begin, end });
    all.filter(move |slice| slice.begin >= from)
}

/// Per shard, the begins of the slices that it had when it was last read.
#[derive(Default)]
pub(super) struct KnownSlices {
    by_shard: Mutex<HashMap<String, Vec<i64>>>,
}

impl KnownSlices {
    pub(super) fn get(&self, keys: &ShardKeys) -> Vec<i64> {
        self.lock().get(&keys.shard()).cloned().unwrap_or_default()
    }

    pub(super) fn set(&self, keys: &ShardKeys, begins: &[i64]) {
        let mut known = self.lock();
        if known.len() >= MAX_SHARDS {
            known.clear();
        }
        known.insert(keys.shard(), begins.to_vec());
    }

    pub(super) fn remove(&self, keys: &ShardKeys) {
        self.lock().remove(&keys.shard());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<i64>>> {
        self.by_shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
