//! `braid version`: the versions of a deployment, from their creation until they are retired.
//!
//! - `verify`: compares what a version has counted with the archive (K6);
//! - `promote`: makes a version the active one, or the one before again (K7, K9);
//! - `retire`: removes what a version has in Kafka and Redis (K9);
//! - `who`: by whom a step is taken.

mod promote;
mod retire;
mod verify;
mod who;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use platform::settings::{Settings, SettingsArgs};
use shared_logic::catalog::Catalog;
use shared_logic::version::DeployedVersions;
use storage::VersionStore;

use crate::catalog_file;

/// Creates, replays, compares, promotes and retires versions of the deployment
///
/// A version is one generation of the deployment's output, computed from one catalog. Exactly one is the active one: it answers where a
/// request names none, and reports are written by it alone.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  braid version verify v2
  braid version promote v2
  braid version roll-back
  braid version retire v1")]
pub enum Args {
    Verify(verify::Args),
    Promote(promote::Args),
    RollBack(promote::BackArgs),
    Retire(retire::Args),
}

/// Runs the command.
///
/// # Errors
/// If the settings or the catalog are not usable, or the step is refused; the text says why, and what to do.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    match args {
        Args::Verify(args) => verify::run(args, settings).await,
        Args::Promote(args) => promote::run(args, settings).await,
        Args::RollBack(args) => promote::roll_back(args, settings).await,
        Args::Retire(args) => retire::run(args, settings).await,
    }
}

/// The versions of the deployment that the settings name.
struct Deployed {
    settings: Settings,
    /// The catalog file.
    file: Catalog,
    store: VersionStore,
    versions: Arc<DeployedVersions>,
}

/// Reads the versions that there are now.
async fn deployed(settings: &SettingsArgs) -> Result<Deployed> {
    let settings = settings.load()?;
    platform::telemetry::init(&super::quiet_telemetry(&settings))?;
    let file = catalog_file::load(&settings)?;
    let store = VersionStore::new(&settings.store, &file.deployment)?;
    let versions = Arc::new(store.deployed(&file).await?);
    Ok(Deployed { settings, file, store, versions })
}
