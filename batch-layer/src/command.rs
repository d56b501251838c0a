//! The command `batch-layer`: the archive, and the reconciles.
//!
//! - `repair`: what an operator does about a view that is wrong.

mod repair;

use std::os::unix::process::CommandExt;

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
    Rebuild(repair::RebuildArgs),
    Rollback(repair::RollbackArgs),
    Resume(repair::ResumeArgs),
    /// Moved to `braid status`
    #[command(hide = true)]
    Status(Moved),
    /// Moved to `braid close`
    #[command(hide = true)]
    Close(Moved),
    /// Moved to `braid lost`
    #[command(hide = true)]
    Lost(Moved),
}

/// The arguments of a command that moved to `braid`. The old names work for one more release.
#[derive(clap::Args)]
struct Moved {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<String>,
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
    if let Some(name) = args.command.moved_to() {
        return Err(run_braid(name));
    }
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
            Ok(crate::archive::run(settings, &storage, &catalog, shutdown).await?)
        }
        Command::Reconcile => {
            let reconciler = Reconciler::new(settings, &storage, &catalog);
            for report in reconciler.run_to_the_end(&CancellationToken::new()).await? {
                println!("{report}");
            }
            Ok(())
        }
        Command::Schedule => {
            platform::telemetry::listen(&settings.telemetry).await?;
            let reconciler = Reconciler::new(settings, &storage, &catalog);
            Ok(crate::schedule::run(&reconciler, Shutdown::on_signals()?).await?)
        }
        Command::Rebuild(args) => repair::rebuild(args, &Reconciler::new(settings, &storage, &catalog)).await,
        Command::Rollback(args) => repair::rollback(args, &Reconciler::new(settings, &storage, &catalog)).await,
        Command::Resume(args) => repair::resume(args, &Reconciler::new(settings, &storage, &catalog)).await,
        Command::Status(_) | Command::Close(_) | Command::Lost(_) => unreachable!("`braid` runs commands that moved"),
    }
}

impl Command {
    /// The command of `braid` that this one became.
    fn moved_to(&self) -> Option<&'static str> {
        match self {
            Command::Status(_) => Some("status"),
            Command::Close(_) => Some("close"),
            Command::Lost(_) => Some("lost"),
            _ => None,
        }
    }
}

/// Becomes `braid`, which lies beside this program, with the same arguments; returns only if that fails.
fn run_braid(name: &str) -> anyhow::Error {
    eprintln!("`batch-layer {name}` is now `braid {name}`; the old name goes with the next release");
    let braid = match std::env::current_exe() {
        Ok(this) => this.with_file_name("braid"),
        Err(_) => "braid".into(),
    };
    let failed = std::process::Command::new(&braid).args(std::env::args_os().skip(1)).exec();
    anyhow::Error::new(failed).context(format!("cannot run {}; run `braid {name}`", braid.display()))
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
