//! The commands of `braid`, one file each.
//!
//! - [`up`] runs the whole platform in one process;
//! - [`send`] and [`produce`] put records into a source's topic;
//! - [`query`] asks the serving layer;
//! - [`health`] asks a process whether it is healthy;
//! - [`catalog`] checks a catalog.

pub mod catalog;
pub mod health;
pub mod produce;
pub mod query;
pub mod send;
pub mod up;

use platform::settings::{Settings, Telemetry};

/// Telemetry for a command that ends by itself: it logs only warnings and errors, unless the settings say more.
fn quiet_telemetry(settings: &Settings) -> Telemetry {
    let mut telemetry = settings.telemetry.clone();
    if !settings.is_named("telemetry.log") {
        telemetry.log = "warn".to_owned();
    }
    telemetry
}
