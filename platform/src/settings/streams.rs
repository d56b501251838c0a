//! The section `[streams]`.

use serde::{Deserialize, Serialize};

use super::bounds::{at_least_one, not_zero};
use super::{SettingsError, Size, Span};

/// The speed layer's lanes, which write streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Streams {
    /// The most records that a lane takes at a time. Default 8,192.
    pub max_rows: usize,
    /// How long a lane waits for more records after the first. Default `10ms`.
    pub linger: Span,
    /// The most outputs that are decided at a time, and the most records of a transaction, about. Default 8,192.
    pub max_outputs: usize,
    /// The most bytes of outputs that are decided at a time, and of a transaction, about; at most `pending`. Default `16MiB`.
    pub max_transaction: Size,
    /// The memory for the outputs of one lane that are decided and not published. At this limit it stops reading. Default `64MiB`.
    pub pending: Size,
    /// The memory for what streams remember, of all lanes of a process together. At this limit lanes stop reading until others need
    /// less; those go on that take no more than an even share of half of it. Default `1GiB`.
    pub state: Size,
    /// The shortest time between the begins of two transactions, at most `max_interval`. Default `20ms`.
    pub min_interval: Span,
    /// The longest: the time between two adapts to what transactions take. One that holds all that it may waits for the shortest time
    /// only. Default `1s`.
    pub max_interval: Span,
    /// How often progress is written where there are no outputs. Default `5s`.
    pub progress_every: Span,
    /// How often a lane that re-keys says how far it has come. Default `200ms`.
    pub mark_every: Span,
    /// How long such a lane stands at its log's end until the others no longer wait for it. Default `30s`.
    pub idle_after: Span,
    /// How often a lane writes a snapshot of its state, or rarer if that takes over 5 % of its time. Default `10s`.
    pub snapshot_every: Span,
    /// After how many records it does so at the latest. Default 200,000.
    pub snapshot_records: u64,
    /// After how long without a transaction a lane ends its producer. Default `10m`.
    pub producer_idle: Span,
    /// The wait before a lane starts again after a failure; doubled up to 32 times this. Default `200ms`.
    pub retry_backoff: Span,
}

impl Default for Streams {
    fn default() -> Streams {
        Streams {
            max_rows: 8_192,
            linger: Span::from_millis(10),
            max_outputs: 8_192,
            max_transaction: Size::from_mib(16),
            pending: Size::from_mib(64),
            state: Size::from_mib(1_024),
            min_interval: Span::from_millis(20),
            max_interval: Span::from_secs(1),
            progress_every: Span::from_secs(5),
            mark_every: Span::from_millis(200),
            idle_after: Span::from_secs(30),
            snapshot_every: Span::from_secs(10),
            snapshot_records: 200_000,
            producer_idle: Span::from_secs(600),
            retry_backoff: Span::from_millis(200),
        }
    }
}

impl Streams {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        at_least_one("streams.max_rows", self.max_rows as u64)?;
        at_least_one("streams.max_outputs", self.max_outputs as u64)?;
        at_least_one("streams.max_transaction", self.max_transaction.bytes())?;
        if self.max_transaction > self.pending {
            // What an offset causes would wait for its end to be decided, and the lane for room to decide it.
            return Err(SettingsError::invalid("streams.max_transaction", "must be at most streams.pending"));
        }
        at_least_one("streams.state", self.state.bytes())?;
        at_least_one("streams.snapshot_records", self.snapshot_records)?;
        not_zero("streams.min_interval", self.min_interval)?;
        if self.min_interval > self.max_interval {
            return Err(SettingsError::invalid("streams.min_interval", "must be at most streams.max_interval"));
        }
        not_zero("streams.progress_every", self.progress_every)?;
        not_zero("streams.mark_every", self.mark_every)?;
        not_zero("streams.snapshot_every", self.snapshot_every)
    }
}
