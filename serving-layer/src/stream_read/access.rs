//! What the readers of all streams share: clients of Kafka, and how much is read at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::log_client::LogClient;
use crate::topics::TopicClient;
use crate::watchers::Watchers;

/// How many questions read archives at the same time; others wait.
const ARCHIVE_READS: usize = 2;
/// How many clients read ranges of logs at the same time, each with a thread of its own; others wait.
const LOG_READS: usize = 4;

/// What the readers of all streams share.
pub(crate) struct Access {
    pub(super) topics: Arc<dyn TopicClient>,
    pub(super) logs: Arc<dyn LogClient>,
    /// How long Kafka may tell nothing although something is due (`kafka.stalled_after`).
    pub(super) silence: Duration,
    pub(super) archive_reads: Semaphore,
    pub(super) log_reads: Semaphore,
    /// All clients that watch.
    pub(crate) watchers: Arc<Watchers>,
}

impl Access {
    /// Nothing is read yet.
    pub(crate) fn new(
        topics: Arc<dyn TopicClient>,
        logs: Arc<dyn LogClient>,
        silence: Duration,
        watchers: Arc<Watchers>,
    ) -> Access {
        Access {
            topics,
            logs,
            silence,
            archive_reads: Semaphore::new(ARCHIVE_READS),
            log_reads: Semaphore::new(LOG_READS),
            watchers,
        }
    }
}
