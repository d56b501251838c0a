//! `braid lost`: the ranges that a log lost before they were archived, and those that the archive holds without their bytes, so
//! that they cannot be decoded by the catalog's rules. Each is a gap in every answer until an operator accepts it.

use std::process::ExitCode;

use anyhow::{Context, Result};
use platform::settings::SettingsArgs;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use storage::Storage;

/// Lists or accepts the ranges that answers lack for good
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  braid lost list
  braid lost accept --source orders")]
pub enum Args {
    /// Lists the ranges that the log lost before they were archived, or that cannot be decoded by this catalog
    List,
    /// Accepts every such range known so far: it is no longer a gap in answers
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
        let (facts, rules) = (archive.facts(), source.rules());
        let state = |accepted| if accepted { "accepted" } else { "open" };
        for (id, partition) in facts.partitions() {
            for lost in &partition.lost {
                println!("{} {id} [{}, {}) {}", source.name, lost.from, lost.to, state(lost.accepted));
            }
        }
        for (id, range) in facts.columns_only().filter(|(_, range)| range.rules != rules) {
            let (from, to, state) = (range.from, range.to, state(range.accepted));
            println!("{} {id} [{from}, {to}) {state}, archived without bytes under other rules", source.name);
        }
    }
    Ok(())
}

/// Accepts every loss of a source that is known so far.
async fn accept(storage: &Storage, catalog: &Catalog, source: &str) -> Result<()> {
    let source = catalog.source(source)?;
    let mut archive = storage.archive(&source.name).await?.context("nothing is archived yet")?;
    let rules = source.rules();
    let accept = |facts: &mut Facts| facts.accept_losses() + facts.accept_not_decodable(&rules);
    let accepted = archive.change("ACCEPT LOSSES", accept).await?;
    println!("{}: {accepted} lost ranges accepted", source.name);
    Ok(())
}
