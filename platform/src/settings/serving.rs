//! The section `[serving]`.

use serde::{Deserialize, Serialize};

use super::bounds::not_zero;
use super::{SettingsError, Size, Span};

/// The serving layer's caches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Serving {
    /// How often batch views, archive and topics are checked for something new. Default `500ms`.
    pub refresh: Span,
    /// The most memory for batch views that the process keeps. Default `1GiB`.
    pub view_memory: Size,
    /// The most memory for counters of the speed view that the process keeps. Default `64MiB`.
    pub slice_memory: Size,
}

impl Default for Serving {
    fn default() -> Serving {
        Serving { refresh: Span::from_millis(500), view_memory: Size::from_mib(1024), slice_memory: Size::from_mib(64) }
    }
}

impl Serving {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        not_zero("serving.refresh", self.refresh)
    }
}
