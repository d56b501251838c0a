//! What the readers of all streams share: clients of Kafka, and how much is read at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::log_client::LogClient;
use crate::topics::TopicClient;

/// How many questions read archives at the same time; others wait.
const ARCHIVE_READS: usize = 2;
/// How many clients read ranges of logs at the same time, each with a thread of its own; others wait.
const LOG_READS: usize = 4;
/// How many clients may watch streams at the same time. Each has a connection, and other requests need some, too.
pub(crate) const WATCHERS_MAX: usize = 256;

/// What the readers of all streams share.
pub(crate) struct Access {
    pub(super) topics: Arc<dyn TopicClient>,
    pub(super) logs: Arc<dyn LogClient>,
    /// How long Kafka may tell nothing although something is due (`kafka.stalled_after`).
    pub(super) silence: Duration,
    pub(super) archive_reads: Semaphore,
    pub(super) log_reads: Semaphore,
    watchers: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

impl Access {
    pub(crate) fn new(topics: Arc<dyn TopicClient>, logs: Arc<dyn LogClient>, silence: Duration) -> Access {
        Access {
            topics,
            logs,
            silence,
            archive_reads: Semaphore::new(ARCHIVE_READS),
            log_reads: Semaphore::new(LOG_READS),
            watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
            stop: watch::Sender::new(false),
        }
    }

    /// A place for one more watcher; `None` if all are taken.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.watchers).try_acquire_owned().ok()
    }

    /// Ends every watch.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Becomes true once the process stops.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }
}
