//! Why a partition has no rows.

use std::time::Duration;

use platform::kafka::KafkaError;
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::log::PartitionId;
use storage::TableRowsError;
use tracing::{error, info, warn};

use crate::log::opening::LogNotOpen;

/// Waiting longer than this for the archive is worth a warning.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why there are no rows yet. The task waits and tries again.
#[derive(Debug, thiserror::Error)]
pub enum NotOpen {
    /// The log cannot be gone on with.
    #[error(transparent)]
    Log(#[from] LogNotOpen),
    /// B3: nothing that is at hand holds all changes.
    #[error(
        "the log of {id} is compacted, or no longer holds all changes, and the table was not materialised up to there yet: the next \
         reconcile does that, or `batch-layer table materialise`"
    )]
    NotMaterialised {
        /// The partition.
        id: PartitionId,
    },
    /// Another process fills or keeps the rows at the same time.
    #[error("another process fills or keeps the rows of {id} at the same time")]
    Raced {
        /// The partition.
        id: PartitionId,
    },
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Redis did not answer, or the rows cannot be understood.
    #[error(transparent)]
    Rows(#[from] TableRowsError),
    /// The archive or the materialised table cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotOpen {
    /// Logs it: as an error what an operator has to mend, otherwise as a warning or a notice.
    pub fn report(&self, table: &str, partition: i32, wait: Duration) {
        let (wait_ms, text) = (wait.as_millis(), error_text(self));
        match self {
            NotOpen::Log(LogNotOpen::BeyondTheEnd { .. }) | NotOpen::Rows(TableRowsError::Unreadable { .. }) => {
                error!(table, partition, wait_ms, "{text}");
            }
            // Every first start begins with them.
            NotOpen::Log(LogNotOpen::NotArchived { .. } | LogNotOpen::NoTopic { .. })
            | NotOpen::NotMaterialised { .. }
                if wait < PATIENCE =>
            {
                info!(table, partition, "{text}; waiting for it");
            }
            _ => warn!(table, partition, wait_ms, "{text}; trying again"),
        }
    }
}
