//! What deltalake has read of a table's log.
//!
//! A process knows what it has committed, so a commit is not read back: that would take the longer the more files there are. It is read
//! once something asks for what deltalake alone knows, such as the files or a note.

use std::sync::{Mutex, MutexGuard, PoisonError};

use deltalake::DeltaTable;

/// The newest version that deltalake has read. It may be older than the table's.
#[derive(Debug)]
pub(super) struct Reading(Mutex<DeltaTable>);

impl Reading {
    pub(super) fn new(delta: DeltaTable) -> Reading {
        Reading(Mutex::new(delta))
    }

    /// What was read so far.
    pub(super) fn so_far(&self) -> DeltaTable {
        self.read().clone()
    }

    /// Keeps what was read since, so that it is read once.
    pub(super) fn keep(&self, newer: DeltaTable) {
        *self.read() = newer;
    }

    fn read(&self) -> MutexGuard<'_, DeltaTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Reading {
    fn clone(&self) -> Reading {
        Reading::new(self.so_far())
    }
}
