//! The section `[speed]`.

use serde::{Deserialize, Serialize};

use super::bounds::{at_least_one, not_zero};
use super::{SettingsError, Size, Span};

/// The speed layer's worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Speed {
    /// The most records in one micro-batch. Default 65,536.
    pub max_rows: usize,
    /// The most payload bytes in one micro-batch. Default `8MiB`.
    pub max_bytes: Size,
    /// The most counters that one script writes. Redis takes about 1.3 µs a counter, and readers wait behind a script. What a
    /// micro-batch adds to more counters is applied in several scripts. Default 65,536.
    pub max_counters: usize,
    /// The memory for micro-batches that are being counted and applied, of all partitions of a source together. As many are
    /// under way at the same time as it is enough for, and at least one. Default `128MiB`, which is enough for four.
    pub in_flight: Size,
    /// The memory in which each partition keeps the counters that it has written into the last slice, so that it need not read them
    /// again. What the last micro-batch has written may come on top. Default `16MiB`, which is enough for 250,000 keys.
    pub slice_memory: Size,
    /// For how long records are gathered for a micro-batch, by Kafka where there are few. Default `50ms`. One that the log is known to
    /// fill waits for that, up to `idle_apply`.
    pub linger: Span,
    /// How often an idle shard is checked for changes by others, with an empty micro-batch. Default `1s`.
    pub idle_apply: Span,
    /// The most slices of a shard; rotating a shard that has this many opens no new one. Default 64.
    pub max_slices: usize,
    /// How long a slice that every view covers is kept for readers that still use an older view. Default `30s`.
    pub drop_grace: Span,
    /// How often the worker looks for slices to drop. Default `2s`.
    pub drop_every: Span,
    /// The wait before a failed apply is tried again; doubled up to 32 times this. Default `100ms`.
    pub retry_backoff: Span,
    /// How long the last micro-batches may take after a signal to stop. Default `10s`.
    pub shutdown: Span,
}

impl Default for Speed {
    fn default() -> Speed {
        Speed {
            max_rows: 65_536,
            max_bytes: Size::from_mib(8),
            max_counters: 65_536,
            in_flight: Size::from_mib(128),
            slice_memory: Size::from_mib(16),
            linger: Span::from_millis(50),
            idle_apply: Span::from_secs(1),
            max_slices: 64,
            drop_grace: Span::from_secs(30),
            drop_every: Span::from_secs(2),
            retry_backoff: Span::from_millis(100),
            shutdown: Span::from_secs(10),
        }
    }
}

impl Speed {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        at_least_one("speed.max_rows", self.max_rows as u64)?;
        at_least_one("speed.max_bytes", self.max_bytes.bytes())?;
        at_least_one("speed.max_counters", self.max_counters as u64)?;
        at_least_one("speed.max_slices", self.max_slices as u64)?;
        not_zero("speed.idle_apply", self.idle_apply)
    }
}
