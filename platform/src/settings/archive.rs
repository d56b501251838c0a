//! The section `[archive]`.

use serde::{Deserialize, Serialize};

use super::bounds::at_least_one;
use super::{SettingsError, Size, Span};

/// The batch layer's archiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Archive {
    /// The most records in one commit. While one commit is written, as many are read for the next. Default 262,144.
    pub max_rows: usize,
    /// The most bytes of payloads and keys in one commit. If they compress so little that a quarter of this is encoded before, that
    /// ends the commit. Two commits are in memory at once, encoded. Default `64MiB`.
    pub max_bytes: Size,
    /// How long a commit waits for more records after its first. For a quarter of that, 50 to 500 ms, Kafka gathers them where there
    /// are few. After a commit that was full, the next one does not wait once nothing more comes. Default `2s`.
    pub linger: Span,
    /// How many commits of a table lie between two checkpoints of its log; with each checkpoint, small files are merged.
    /// Default 50.
    pub checkpoint_every: u64,
    /// How often Kafka is asked for new partitions and for the topic's id. Default `5s`.
    pub discover_every: Span,
    /// The wait before a failed commit is tried again; doubled up to 32 times this. Default `200ms`.
    pub retry_backoff: Span,
    /// How long the last commit may take after a signal to stop. Default `20s`.
    pub shutdown: Span,
}

impl Default for Archive {
    fn default() -> Archive {
        Archive {
            max_rows: 262_144,
            max_bytes: Size::from_mib(64),
            linger: Span::from_secs(2),
            checkpoint_every: 50,
            discover_every: Span::from_secs(5),
            retry_backoff: Span::from_millis(200),
            shutdown: Span::from_secs(20),
        }
    }
}

impl Archive {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        at_least_one("archive.max_rows", self.max_rows as u64)?;
        at_least_one("archive.max_bytes", self.max_bytes.bytes())?;
        at_least_one("archive.checkpoint_every", self.checkpoint_every)
    }
}
