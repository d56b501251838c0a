//! `[pipeline]`: which deployment a catalog belongs to.

/// Names one version of one deployment, so that several can share Kafka, Redis and a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The deployment's name; `[a-z0-9_-]`, at most 64 characters.
    pub name: String,
    /// The version of the deployment's output, for example `v1`; same alphabet as `name`.
    pub version: String,
}
