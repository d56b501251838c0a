//! The connections of a consumer that broke: what comes afterwards may be of another copy of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The connections of one consumer that broke.
#[derive(Debug)]
pub struct Losses {
    counted: Arc<AtomicU64>,
    seen: u64,
}

impl Losses {
    /// Follows that counter from its start on.
    pub(super) fn of(counted: Arc<AtomicU64>) -> Losses {
        Losses { counted, seen: 0 }
    }

    /// Whether a connection broke since [`Losses::take`] was called last, or since the consumer was started.
    pub fn is_new(&self) -> bool {
        self.counted.load(Ordering::Relaxed) != self.seen
    }

    /// As [`Losses::is_new`], and forgets them.
    pub fn take(&mut self) -> bool {
        let is_new = self.is_new();
        self.seen = self.counted.load(Ordering::Relaxed);
        is_new
    }
}
