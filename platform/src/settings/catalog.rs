//! The section `[catalog]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the metric definitions are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalog {
    /// The catalog file, absolute or relative to the working directory. Default `catalog.toml`.
    pub path: PathBuf,
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog { path: PathBuf::from("catalog.toml") }
    }
}
