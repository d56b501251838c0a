//! The section `[serving]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bounds::not_zero;
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
}

impl Default for Serving {
    fn default() -> Serving {
        Serving {
            refresh: Span::from_millis(500),
            folder: None,
            view_memory: Size::from_mib(256),
            slice_memory: Size::from_mib(64),
        }
    }
}

impl Serving {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        not_zero("serving.refresh", self.refresh)
    }
}
