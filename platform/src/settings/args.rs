//! The flags for settings that every binary has.

use std::path::PathBuf;

use super::{Settings, SettingsError};

/// Flags for settings, to be flattened into a command's own flags.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    /// A TOML file with settings
    #[arg(long, global = true, value_name = "FILE", env = "BRAID_SETTINGS")]
    pub settings: Option<PathBuf>,
    /// One setting, such as `speed.linger=20ms`; may be repeated, and wins over file and environment
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// The metric definitions (`catalog.path`)
    #[arg(long, global = true, value_name = "FILE")]
    pub catalog: Option<String>,
    /// Kafka brokers, `host:port` separated by commas (`kafka.brokers`)
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub kafka: Option<String>,
    /// Redis (`redis.url`)
    #[arg(long, global = true, value_name = "URL")]
    pub redis: Option<String>,
    /// A folder or an object store's URL for archive and views (`store.url`)
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<String>,
}

impl SettingsArgs {
    /// Loads the settings: the file, then this process's environment, then these flags.
    ///
    /// # Errors
    ///
    /// As [`Settings::load`].
    pub fn load(&self) -> Result<Settings, SettingsError> {
        let env =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Settings::load(self.settings.as_deref(), env, &self.overrides())
    }

    /// The flags as pairs of `section.key` and value; a short flag wins over a `--set` of the same key.
    pub fn overrides(&self) -> Vec<(String, String)> {
        let short = [
            ("catalog.path", &self.catalog),
            ("kafka.brokers", &self.kafka),
            ("redis.url", &self.redis),
            ("store.url", &self.data),
        ];
        let short = short.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)));
        self.set.iter().cloned().chain(short).collect()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected SECTION.KEY=VALUE, such as speed.linger=20ms".to_owned()),
    }
}
