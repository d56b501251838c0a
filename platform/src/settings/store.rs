//! The section `[store]`.

use serde::{Deserialize, Serialize};

use super::bounds::not_zero;
use super::{Properties, SettingsError, Span};

/// The archive and the batch views.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// A folder (absolute or relative to the working directory), or an object store's URL such as
    /// `s3://bucket/prefix`. Default `./data`. Deployments may share it: each has a folder of its name in it.
    pub url: String,
    /// Options of the object store, such as `aws_region`; in the environment `BRAID__STORE__OPTIONS__AWS_REGION`.
    pub options: Properties,
    /// How long log entries of a table are kept that its checkpoints make superfluous. A process, or another engine, that
    /// wants to go on from an older version after that reads the table anew. Default `1h`.
    pub log_retention: Span,
}

impl Default for Store {
    fn default() -> Store {
        Store { url: "./data".to_owned(), options: Properties::default(), log_retention: Span::from_secs(3600) }
    }
}

impl Store {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        not_zero("store.log_retention", self.log_retention)
    }
}
