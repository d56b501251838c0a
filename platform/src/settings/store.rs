//! The section `[store]`.

use serde::{Deserialize, Serialize};

use super::Properties;

/// The archive and the batch views.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// A folder (absolute or relative to the working directory), or an object store's URL such as
    /// `s3://bucket/prefix`. Default `./data`. Deployments may share it: each has a folder of its name in it.
    pub url: String,
    /// Options of the object store, such as `aws_region`; in the environment `BRAID__STORE__OPTIONS__AWS_REGION`.
    pub options: Properties,
}

impl Default for Store {
    fn default() -> Store {
        Store { url: "./data".to_owned(), options: Properties::default() }
    }
}
