//! Settings: what an operator may choose. What a metric means is not a setting; the catalog says that.
//!
//! They come from one TOML file, the environment (`BRAID__SECTION__KEY`) and flags (`--set section.key=value` and the short
//! ones of [`SettingsArgs`]); later wins. Every setting has a default, a unit in its type (`"50ms"`, `"64MiB"`) and a doc
//! comment. An unknown key is refused, wherever it is set, and the error lists the known ones.
//!
//! Each section has a file, with its fields, their defaults and the check of their bounds. `merged` reads the sources and
//! lays them over each other.
//!
//! A process loads [`Settings`] once and passes to each part the section that it needs; nothing here is global.

mod access;
mod alerts;
mod archive;
mod args;
mod bounds;
mod catalog;
mod cluster;
mod engine;
mod error;
mod explained;
mod http;
mod kafka;
mod merged;
mod properties;
mod reconcile;
mod redis;
mod redis_place;
mod registry;
mod search;
mod secret;
mod serving;
mod size;
mod span;
mod speed;
mod store;
mod streams;
mod telemetry;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use self::merged::Merged;

pub use self::access::{Access, GrantedKey};
pub use self::alerts::Alerts;
pub use self::archive::Archive;
pub use self::args::SettingsArgs;
pub use self::catalog::Catalog;
pub use self::cluster::Cluster;
pub use self::engine::Engine;
pub use self::error::SettingsError;
pub use self::http::Http;
pub use self::kafka::Kafka;
pub use self::properties::Properties;
pub use self::reconcile::Reconcile;
pub use self::redis::Redis;
pub use self::redis_place::RedisPlace;
pub use self::registry::Registry;
pub use self::search::Search;
pub use self::secret::Secret;
pub use self::serving::Serving;
pub use self::size::Size;
pub use self::span::Span;
pub use self::speed::Speed;
pub use self::store::Store;
pub use self::streams::Streams;
pub use self::telemetry::{LogFormat, Telemetry};
pub use self::versions::Versions;

/// Everything that an operator may choose, one struct a section.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the metric definitions are.
    pub catalog: Catalog,
    /// The event log.
    pub kafka: Kafka,
    /// The speed view.
    pub redis: Redis,
    /// The schemas of records that name the schema that they were written with.
    pub registry: Registry,
    /// The server that holds the search indexes.
    pub search: Search,
    /// The archive and the batch views.
    pub store: Store,
    /// The public HTTP interface of the serving layer.
    pub http: Http,
    /// Who may ask the serving layer, and how much.
    pub access: Access,
    /// The speed layer's worker.
    pub speed: Speed,
    /// The speed layer's lanes, which write streams.
    pub streams: Streams,
    /// The batch layer's archiver.
    pub archive: Archive,
    /// The batch layer's reconcile.
    pub reconcile: Reconcile,
    /// How a cluster is asked that counts for it.
    pub cluster: Cluster,
    /// The serving layer's caches.
    pub serving: Serving,
    /// The serving layer's alerts.
    pub alerts: Alerts,
    /// The versions of the deployment.
    pub versions: Versions,
    /// Logs and the processes' own counters.
    pub telemetry: Telemetry,
    /// The keys (`section.key`) that the file, a variable or a flag sets; all others have their default.
    #[serde(skip)]
    pub named: BTreeSet<String>,
}

impl Settings {
    /// Reads the file, lays the environment and then the overrides over it, and checks the result.
    ///
    /// `env` may hold any variables; only those that begin with `BRAID__` are used. `overrides` are pairs of `section.key`
    /// and value. Values of both are text, and the error for a wrong one says what was expected.
    ///
    /// # Errors
    ///
    /// The first mistake, with its place (file and line, variable, or flag).
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        overrides: &[(String, String)],
    ) -> Result<Settings, SettingsError> {
        let mut merged = Merged::of_defaults()?;
        if let Some(path) = file {
            merged.add_file(path)?;
        }
        merged.add_environment(env)?;
        merged.add_overrides(overrides)?;
        let settings = merged.into_settings()?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether the file, a variable or a flag sets this key, such as `"kafka.brokers"`; `braid up` embeds a replacement for a
    /// Kafka or a Redis whose address is not set.
    pub fn is_named(&self, key: &str) -> bool {
        self.named.contains(key)
    }

    /// Refuses values that are well formed but would make a bound meaningless.
    fn check(&self) -> Result<(), SettingsError> {
        self.kafka.check()?;
        self.redis.check()?;
        self.registry.check()?;
        self.search.check()?;
        self.store.check()?;
        self.http.check()?;
        self.access.check()?;
        self.speed.check()?;
        self.streams.check()?;
        self.archive.check()?;
        self.reconcile.check()?;
        self.cluster.check()?;
        self.serving.check()?;
        self.alerts.check()?;
        self.versions.check()?;
        self.telemetry.check()
    }
}
