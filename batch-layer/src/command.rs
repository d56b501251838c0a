//! The command `batch-layer`: the archive, the reconciles, and the operator's commands.

use anyhow::Context;
use clap::{Parser, Subcommand};
use platform::process::{Process, block_on};
use platform::settings::SettingsArgs;
use platform::shutdown::Shutdown;
use shared_logic::catalog::Catalog;
use storage::Storage;
use tokio_util::sync::CancellationToken;

use crate::reconcile::Reconciler;

/// Archives every record and recounts the archive exactly.
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
    /// Archives every source until a signal stops it
    Archive,
    /// Recounts what is new once, and commits views and cuts
    Reconcile,
    /// Reconciles by the catalog's cron expression until a signal stops it
    Schedule,
    /// Shows archives, views, cuts, losses and rejects
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Closes the log of a topic that was deleted and will not be created again
    Close {
        /// The source whose topic was deleted
        #[arg(long)]
        source: String,
    },
    /// Lists or accepts the ranges that a log lost before they were archived
    #[command(subcommand)]
    Lost(Lost),
}

#[derive(Subcommand)]
enum Lost {
    /// Lists the lost ranges
    List,
    /// Accepts every loss known so far: it is no longer a gap in answers
    Accept {
        /// The source whose losses are accepted
        #[arg(long)]
        source: String,
    },
}

/// Runs the command with this process's arguments.
///
/// # Errors
/// Why it failed or ended early; the text is for an operator.
pub fn main() -> anyhow::Result<()> {
    block_on(run())?
}

async fn run() -> anyhow::Result<()> {
    let args = Args::parse();
    let process = Process::start(&args.settings)?;
    let settings = &process.settings;
    let catalog = Catalog::parse_file(&settings.catalog.path, &process.catalog)?;
    let storage = Storage::new(&settings.store, &catalog.deployment)?;
    let max_cut_age = settings.reconcile.max_cut_age;
    match args.command {
        Command::Init => Ok(crate::init::run(&settings.kafka, max_cut_age, &storage, &catalog).await?),
        Command::Archive => {
            platform::telemetry::listen(&settings.telemetry).await?;
            println!("ready");
            let shutdown = Shutdown::on_signals()?;
            let created = crate::init::run(&settings.kafka, max_cut_age, &storage, &catalog).await;
            created.context("cannot create topics and tables")?;
            Ok(crate::archive::run(&settings.kafka, &settings.archive, &storage, &catalog, shutdown).await?)
        }
        Command::Reconcile => {
            let reconciler = Reconciler::new(settings, &storage, &catalog);
            for report in reconciler.run(&CancellationToken::new()).await? {
                println!("{report}");
            }
            Ok(())
        }
        Command::Schedule => {
            platform::telemetry::listen(&settings.telemetry).await?;
            let reconciler = Reconciler::new(settings, &storage, &catalog);
            Ok(crate::schedule::run(&reconciler, Shutdown::on_signals()?).await?)
        }
        Command::Status { json } => crate::status::run(&storage, &catalog, json).await,
        Command::Close { source } => crate::close::run(&settings.kafka, &storage, &catalog, &source).await,
        Command::Lost(Lost::List) => crate::lost::list(&storage, &catalog).await,
        Command::Lost(Lost::Accept { source }) => crate::lost::accept(&storage, &catalog, &source).await,
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
