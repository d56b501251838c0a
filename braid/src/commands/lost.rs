//! `braid lost`: the ranges that a log lost before they were archived. Each is a gap in every answer until an operator accepts it.

use std::process::ExitCode;

use anyhow::{Context, Result};
use platform::settings::SettingsArgs;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use storage::Storage;

/// Lists or accepts the ranges that a log lost before they were archived
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  braid lost list
  braid lost accept --source orders")]
pub enum Args {
    /// Lists the lost ranges
    List,
    /// Accepts every loss known so far: it is no longer a gap in answers
    Accept {
        /// The source whose losses are accepted
        #[arg(long)]
        source: String,
    },
}

/// Runs the command.
///
/// # Errors
/// If the settings or the catalog are not usable, there is no such source or archive, or the store cannot be used.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (_, catalog, storage) = super::deployment(settings)?;
    match args {
        Args::List => list(&storage, &catalog).await?,
        Args::Accept { source } => accept(&storage, &catalog, &source).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints every lost range.
async fn list(storage: &Storage, catalog: &Catalog) -> Result<()> {
    for source in catalog.sources.values() {
        let Some(archive) = storage.archive(&source.name).await? else { continue };
        for (id, partition) in archive.facts().partitions() {
            for lost in &partition.lost {
                let state = if lost.accepted { "accepted" } else { "open" };
                println!("{} {id} [{}, {}) {state}", source.name, lost.from, lost.to);
            }
        }
    }
    Ok(())
}

/// Accepts every loss of a source that is known so far.
async fn accept(storage: &Storage, catalog: &Catalog, source: &str) -> Result<()> {
    let source = catalog.source(source)?;
    let mut archive = storage.archive(&source.name).await?.context("nothing is archived yet")?;
    let accepted = archive.change("ACCEPT LOSSES", Facts::accept_losses).await?;
    println!("{}: {accepted} lost ranges accepted", source.name);
    Ok(())
}
