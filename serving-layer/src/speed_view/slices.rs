//! Slices as ranges of offsets, and the slices that each shard had when it was last read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shared_logic::contracts::speed_view::{Instance, Shard, ShardKeys};

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

/// What was known of a shard when it was last read.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) instance: Instance,
    /// The begins of its slices.
    pub(super) begins: Vec<i64>,
}

impl Known {
    pub(super) fn of(shard: &Shard) -> Known {
        Known { instance: shard.instance, begins: shard.slices.clone() }
    }
}

/// Per shard, what was known of it when it was last read.
#[derive(Default)]
pub(super) struct KnownSlices {
    by_shard: Mutex<HashMap<String, Known>>,
}

impl KnownSlices {
    pub(super) fn get(&self, keys: &ShardKeys) -> Option<Known> {
        self.lock().get(&keys.shard()).cloned()
    }

    pub(super) fn set(&self, keys: &ShardKeys, now: &Known) {
        let mut known = self.lock();
        if known.len() >= MAX_SHARDS {
            known.clear();
        }
        known.insert(keys.shard(), now.clone());
    }

    pub(super) fn remove(&self, keys: &ShardKeys) {
        self.lock().remove(&keys.shard());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.by_shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
