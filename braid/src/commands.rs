//! The commands of `braid`, one file each.
//!
//! - [`init`] writes a first catalog from a sample of records;
//! - [`up`] runs the whole platform in one process;
//! - [`send`] and [`produce`] put records into a source's topic;
//! - [`query`] asks the serving layer; [`top`] shows the largest keys; [`watch`] prints what a stream writes, as it is written;
//! - [`alerts`] shows what is known of alerts;
//! - [`health`] asks a process whether it is healthy;
//! - [`catalog`] checks a catalog;
//! - [`status`] shows how far every layer has come, and [`streams`] how far streams are; [`close`] and [`lost`] settle what archives
//!   hold;
//! - [`version`] creates, verifies, promotes and retires versions of the deployment;
//! - [`index`](mod@index) lists search indexes, has them built anew, and settles what their server holds;
//! - [`imports`] and [`erasures`] list what was imported and erased;
//! - [`rejected`] shows invalid records; [`audit`] compares a batch view with the archived records of a key;
//! - [`version`] creates, replays, compares and replaces versions of the deployment;
//! - [`size`] says what a deployment needs;
//! - [`key`] makes API keys for the serving layer;
//! - [`completions`] teaches a shell these commands.
//!
//! [`output`] is how they are told to print.

pub mod alerts;
pub mod audit;
pub mod catalog;
pub mod close;
pub mod completions;
pub mod erasures;
pub mod health;
pub mod imports;
pub mod index;
pub mod init;
pub mod key;
pub mod lost;
pub mod output;
pub mod produce;
pub mod query;
pub mod rejected;
pub mod send;
pub mod size;
pub mod status;
pub mod streams;
pub mod top;
pub mod up;
pub mod version;
pub mod watch;

use anyhow::Result;
use platform::settings::{Settings, SettingsArgs, Telemetry};
use shared_logic::catalog::Catalog;
use storage::Storage;

use crate::catalog_file;

/// The deployment that a command talks to: its settings, and the catalog and tables of its active version.
async fn deployment(settings: &SettingsArgs) -> Result<(Settings, Catalog, Storage)> {
    let settings = settings.load()?;
    platform::telemetry::init(&quiet_telemetry(&settings))?;
    let catalog = storage::active_version(&settings, catalog_file::load(&settings)?).await?;
    let storage = Storage::new(&settings.store, &catalog.deployment)?;
    Ok((settings, catalog, storage))
}

/// Telemetry for a command that ends by itself: it logs only warnings and errors, unless the settings say more.
fn quiet_telemetry(settings: &Settings) -> Telemetry {
    let mut telemetry = settings.telemetry.clone();
    if !settings.is_named("telemetry.log") {
        telemetry.log = "warn".to_owned();
    }
    telemetry
}
