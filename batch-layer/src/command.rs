//! The command `batch-layer`: the archive, the reconciles, and what an operator says to them.

use anyhow::Context;
use clap::{Parser, Subcommand};
use platform::process::{Process, block_on};
use platform::settings::SettingsArgs;
use platform::shutdown::Shutdown;
use shared_logic::catalog::Catalog;
use tokio_util::sync::CancellationToken;

/// Archives every record that arrived, and recounts the archive exactly.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Creates the catalog's topics and tables where they are missing
    Init,
    /// Archives every source until told to stop
    Archive,
    /// Recounts what is new, commits views and cuts, and ends
    Reconcile,
    /// Reconciles by the catalog's cron expression until told to stop
    Schedule,
    /// Shows archives, views, cuts, losses and rejects
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Closes the log of a topic that was deleted and is not created again
    Close {
        /// Of which source
        #[arg(long)]
        source: String,
    },
    /// Ranges that a log lost before they were archived
    #[command(subcommand)]
    Lost(Lost),
}

#[derive(Subcommand)]
enum Lost {
    /// Lists them
    List,
    /// Accepts every loss known so far: answers no longer count them as gaps
    Accept {
        /// Of which source
        #[arg(long)]
        source: String,
    },
}

/// Runs the command with this process's arguments.
///
/// # Errors
/// Whatever ended it, for a person to read.
pub fn main() -> anyhow::Result<()> {
    block_on(run())?
}

async fn run() -> anyhow::Result<()> {
    let args = Args::parse();
    let process = Process::start(&args.settings)?;
    let settings = &process.settings;
    let catalog = Catalog::parse_file(&settings.catalog.path, &process.catalog)?;
    match args.command {
        Command::Init => crate::init::run(settings, &catalog).await,
        Command::Archive => {
            platform::telemetry::listen(&settings.telemetry).await?;
            println!("ready");
            let shutdown = Shutdown::on_signals()?;
            crate::init::run(settings, &catalog).await.context("cannot create topics and tables")?;
            crate::archive::run(settings, &catalog, shutdown).await
        }
        Command::Reconcile => {
            for report in crate::reconcile::run(settings, &catalog, &CancellationToken::new()).await? {
                println!("{report}");
            }
            Ok(())
        }
        Command::Schedule => {
            platform::telemetry::listen(&settings.telemetry).await?;
            crate::schedule::run(settings, &catalog, Shutdown::on_signals()?).await
        }
        Command::Status { json } => crate::status::run(settings, &catalog, json).await,
        Command::Close { source } => crate::close::run(settings, &catalog, &source).await,
        Command::Lost(Lost::List) => crate::lost::list(settings, &catalog).await,
        Command::Lost(Lost::Accept { source }) => crate::lost::accept(settings, &catalog, &source).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Args;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
