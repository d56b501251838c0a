//! The section `[serving]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bounds::{at_least_one, not_zero};
use super::{SettingsError, Size, Span};

/// The serving layer's caches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Serving {
    /// How often batch views, archive and topics are checked for something new. Default `500ms`.
    pub refresh: Span,
    /// Where the process keeps the segments of batch views, from which it answers. What is missing in it is built again, so it may
    /// be deleted while no process uses it. By default a folder beside the deployment's tables if these are on local disk, otherwise
    /// one for temporary files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The most memory for blocks of these segments that the process keeps. Default `256MiB`.
    pub view_memory: Size,
    /// The most memory for counters of the speed view that the process keeps. Default `64MiB`.
    pub slice_memory: Size,
    /// The most counters of the speed view that are read to find the keys of a metric, as `top` and `keys` do. A counter is one
    /// combination of values of one set of columns, in 64 buckets of a slice. Default 500,000.
    pub sweep_max: usize,
    /// How often an answer is asked that clients watch. Default `250ms`.
    pub live_every: Span,
    /// The most different questions whose answers are watched at the same time. Default 64.
    pub live_questions: usize,
    /// The most clients that watch at the same time, streams or answers; at most 1,000. Default 256.
    pub live_clients: usize,
}

/// The most that `serving.live_clients` can be: each has a connection, and other requests need some, too.
const LIVE_CLIENTS_MAX: usize = 1_000;

impl Default for Serving {
    fn default() -> Serving {
        Serving {
            refresh: Span::from_millis(500),
            folder: None,
            view_memory: Size::from_mib(256),
            slice_memory: Size::from_mib(64),
            sweep_max: 500_000,
            live_every: Span::from_millis(250),
            live_questions: 64,
            live_clients: 256,
        }
    }
}

impl Serving {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        not_zero("serving.refresh", self.refresh)?;
        at_least_one("serving.sweep_max", self.sweep_max as u64)?;
        not_zero("serving.live_every", self.live_every)?;
        at_least_one("serving.live_questions", self.live_questions as u64)?;
        if self.live_clients > LIVE_CLIENTS_MAX {
            return Err(SettingsError::invalid("serving.live_clients", "must be at most 1000"));
        }
        at_least_one("serving.live_clients", self.live_clients as u64)
    }
}
