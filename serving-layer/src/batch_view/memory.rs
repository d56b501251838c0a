//! The memory that all views of a version share.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A budget in bytes (`serving.view_memory`). When it is used up, each view keeps its newest days in memory, and requests read
/// the others from the store.
#[derive(Debug)]
pub(crate) struct Memory {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
}

impl Memory {
    pub(crate) fn new(limit_bytes: usize) -> Memory {
        Memory { limit_bytes, used_bytes: AtomicUsize::new(0) }
    }

    /// How much a view may use that uses `own_bytes` now.
    pub(super) fn room(&self, own_bytes: usize) -> usize {
        let others = self.used_bytes.load(Ordering::Relaxed).saturating_sub(own_bytes);
        self.limit_bytes.saturating_sub(others)
    }

    /// Replaces what a view uses.
    pub(super) fn replace(&self, before_bytes: usize, bytes: usize) {
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.used_bytes.fetch_sub(before_bytes, Ordering::Relaxed);
    }
}
