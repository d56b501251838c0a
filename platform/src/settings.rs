//! Settings: what an operator may choose, never what a metric means (that is the catalog's).
//!
//! Three sources, later wins: one TOML file, the environment (`BRAID__SECTION__KEY`), flags (`--set section.key=value`
//! and the short ones of [`SettingsArgs`]). Every setting has a default, a unit in its type (`"50ms"`, `"64MiB"`) and a
//! doc comment. A key that does not exist is refused together with the names of those that do, wherever it was written.
//!
//! A process loads [`Settings`] once and passes each part the section that it needs; nothing here is global.

mod args;
mod connections;
mod error;
mod layers;
mod properties;
mod secret;
mod services;
mod size;
mod span;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use self::args::SettingsArgs;
pub use self::connections::{Catalog, Kafka, Redis, Store};
pub use self::error::SettingsError;
pub use self::properties::Properties;
pub use self::secret::Secret;
pub use self::services::{Archive, Http, LogFormat, Reconcile, Serving, Speed, Telemetry};
pub use self::size::Size;
pub use self::span::Span;

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
    /// The archive and the batch views.
    pub store: Store,
    /// The public HTTP interface of the serving layer.
    pub http: Http,
    /// The speed layer's worker.
    pub speed: Speed,
    /// The batch layer's archiver.
    pub archive: Archive,
    /// The batch layer's reconcile.
    pub reconcile: Reconcile,
    /// The serving layer's caches.
    pub serving: Serving,
    /// Logs and the processes' own counters.
    pub telemetry: Telemetry,
    /// The keys (`section.key`) that a file, a variable or a flag named, in contrast to those left at their default.
    #[serde(skip)]
    pub named: BTreeSet<String>,
}

impl Settings {
    /// Reads the file, lays the environment and then the overrides over it, and checks the result.
    ///
    /// `env` may hold any variables: only those that begin with `BRAID__` are looked at. `overrides` are pairs of
    /// `section.key` and value. Values from both are text; whoever reads them is told what was expected.
    ///
    /// # Errors
    ///
    /// The first mistake, with the place where it was written (file and line, variable, or flag).
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        overrides: &[(String, String)],
    ) -> Result<Settings, SettingsError> {
        let mut layers = layers::Layers::of_defaults()?;
        if let Some(path) = file {
            layers.add_file(path)?;
        }
        layers.add_environment(env)?;
        layers.add_overrides(overrides)?;
        let settings = layers.into_settings()?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether someone named this key (`"kafka.brokers"`), so that no stand-in is wanted for what it points to.
    pub fn is_named(&self, key: &str) -> bool {
        self.named.contains(key)
    }

    /// Refuses values that are well formed but would make a bound meaningless.
    fn check(&self) -> Result<(), SettingsError> {
        let at_least_one = [
            ("http.max_points", self.http.max_points as u64),
            ("speed.max_rows", self.speed.max_rows as u64),
            ("speed.max_bytes", self.speed.max_bytes.bytes()),
            ("speed.max_slices", self.speed.max_slices as u64),
            ("archive.max_rows", self.archive.max_rows as u64),
            ("archive.max_bytes", self.archive.max_bytes.bytes()),
            ("archive.checkpoint_every", self.archive.checkpoint_every),
            ("reconcile.max_attempts", u64::from(self.reconcile.max_attempts)),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                return Err(SettingsError::invalid(key, "must be at least 1"));
            }
        }
        if self.kafka.fetch_queue.kib() == 0 {
            return Err(SettingsError::invalid("kafka.fetch_queue", "must be at least 1KiB"));
        }
        if self.kafka.brokers.trim().is_empty() {
            return Err(SettingsError::invalid("kafka.brokers", "must name at least one host:port"));
        }
        let not_zero = [
            ("kafka.request_timeout", self.kafka.request_timeout),
            ("redis.connect_timeout", self.redis.connect_timeout),
            ("redis.response_timeout", self.redis.response_timeout),
            ("http.request_timeout", self.http.request_timeout),
            ("serving.refresh", self.serving.refresh),
            ("speed.idle_apply", self.speed.idle_apply),
        ];
        for (key, value) in not_zero {
            if value.get().is_zero() {
                return Err(SettingsError::invalid(key, "must be longer than zero"));
            }
        }
        Ok(())
    }
}
