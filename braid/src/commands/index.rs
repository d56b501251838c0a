//! `braid index`: the search indexes, and their builds in the search server.
//!
//! - `list`: which builds there are;
//! - `rebuild`: asks for another build;
//! - `retry`: sends again what the server had refused;
//! - `retire`: deletes builds that are not searched any more.

mod list;
mod rebuild;
mod retire;
mod retry;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use platform::settings::SettingsArgs;
use shared_logic::suggest;
use shared_logic::version::{DeployedVersions, IndexUnit};
use storage::{SearchClient, SearchError, VersionStore};

use crate::catalog_file;

/// Lists search indexes, has them built anew, and settles what their server holds
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid index list
  braid index rebuild users --wait
  braid index retry users
  braid index retire users 3")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Rebuild(rebuild::Args),
    Retry(retry::Args),
    Retire(retire::Args),
}

/// Runs the command.
///
/// # Errors
/// If the settings or the catalog are not usable, there is no such index, or the search server cannot be used.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let indexes = Indexes::of(settings).await?;
    match args.command {
        Command::List(args) => list::run(args, &indexes).await,
        Command::Rebuild(args) => rebuild::run(args, &indexes).await,
        Command::Retry(args) => retry::run(args, &indexes).await,
        Command::Retire(args) => retire::run(args, &indexes).await,
    }
}

/// The indexes of a deployment, and the server that holds them.
struct Indexes {
    client: SearchClient,
    /// Which of them every version has.
    units: Vec<IndexUnit>,
    versions: Arc<DeployedVersions>,
}

impl Indexes {
    async fn of(settings: &SettingsArgs) -> Result<Indexes> {
        let settings = settings.load()?;
        platform::telemetry::init(&super::quiet_telemetry(&settings))?;
        let file = catalog_file::load(&settings)?;
        let client = SearchClient::new(&settings.search, &file.deployment)?.ok_or(SearchError::NotNamed)?;
        let store = VersionStore::new(&settings.store, &file.deployment)?;
        let versions = store.deployed(&file).await.context("cannot read which versions there are")?;
        let versions = Arc::new(versions);
        Ok(Indexes { client, units: versions.indexes(), versions })
    }

    /// The index of that name, as the active version has it.
    fn active(&self, name: &str) -> Result<&IndexUnit> {
        let found = self.units.iter().find(|unit| unit.index == name && unit.is_active);
        let known: Vec<&str> =
            self.units.iter().filter(|unit| unit.is_active).map(|unit| unit.index.as_str()).collect();
        match found {
            Some(unit) => Ok(unit),
            None => bail!(
                "version {}, which is active, has no index `{name}`: {}",
                self.versions.active_name(),
                suggest::fix(name, "indexes", known.iter().copied())
            ),
        }
    }

    /// The names of the indexes that some version has.
    fn names(&self) -> BTreeSet<&str> {
        self.units.iter().map(|unit| unit.index.as_str()).collect()
    }
}
