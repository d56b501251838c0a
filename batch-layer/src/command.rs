//! The command `batch-layer`: the archive, the jobs, and what an operator does.
//!
//! - `output`: what jobs print;
//! - `repair`: what an operator does about a view that is wrong.

mod output;
mod repair;

use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use platform::process::{Process, block_on};
use platform::settings::{Settings, SettingsArgs};
use platform::shutdown::Shutdown;
use platform::telemetry::error_text;
use shared_logic::catalog::Catalog;
use shared_logic::version::DeployedVersions;
use storage::{FollowedVersions, Storage, VersionStore};
use tokio_util::sync::CancellationToken;

use crate::erase;
use crate::erase::command::EraseArgs;
use crate::import::command::{self as imports, ImportArgs};
use crate::maintenance::Pass;
use crate::output::Output;
use crate::progress::Progress;
use crate::reconcile::Reconciler;
use crate::report::command::{ReportArgs, report};
use crate::schedule::Done;
use crate::stream::backtest::command::{BacktestArgs, backtest};
use crate::table::command::{TableArgs, table};

/// The exit code of `schedule --once` if nothing failed, and a view waits.
const WAITING: u8 = 3;

/// Archives every record, recounts the archive exactly, and makes tables and reports of it.
///
/// Exits with 0 when it is done or was stopped in order, 1 when something failed, 2 when the command line is wrong, and 130 after
/// a second signal. `schedule --once` and `report run` exit with 3 if nothing failed, and not all that was due could be done.
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
    /// Counts what is new once, finishes rebuilds, commits views and cuts, and materialises tables
    ///
    /// Prints a line for each metric and each table on standard output. If one fails, the others are reconciled all the same, and the
    /// exit code is 1.
    #[command(after_help = "Examples:
  batch-layer reconcile
  batch-layer reconcile --output json | jq -r 'select(.outcome == \"failed\").error'")]
    Reconcile {
        /// How to print what was done
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Tidies up the tables once: retires days that are older than `retain`, merges files, deletes what no reader needs
    Maintain(Maintain),
    /// Runs jobs by the catalog's cron expressions until a signal stops it
    ///
    /// Each source is reconciled by its own schedule, or else by that of `[schedule]`. A job never runs twice at once, and one run
    /// makes up for all ticks that it missed.
    #[command(after_help = "Examples:
  batch-layer schedule
  batch-layer schedule --once                  # from cron, a systemd timer or a Kubernetes CronJob
  batch-layer schedule --once --output json")]
    Schedule {
        /// Run the jobs that are due now, each to its end, and exit
        ///
        /// The exit code is 1 if one failed; else 3 if a view waits, because the speed layer does not count its definition everywhere
        /// yet, or a report waits for what is not counted yet (outcome `waiting`), and the next call tries again; else 0. A view that
        /// is paused is no reason.
        #[arg(long)]
        once: bool,
        /// How to print what was done
        #[arg(long, value_enum, default_value_t = Output::Text, requires = "once")]
        output: Output,
    },
    /// Erases the events that a condition selects: from archive, views, live counters and answers
    Erase(EraseArgs),
    Import(ImportArgs),
    Backtest(BacktestArgs),
    Table(TableArgs),
    Report(ReportArgs),
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
    /// Moved to `braid erasures`
    #[command(hide = true)]
    Erasures(Moved),
    /// Moved to `braid imports`
    #[command(hide = true)]
    Imports(Moved),
}

/// Which tables are tidied up, and whether really.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  batch-layer maintain --dry-run
  batch-layer maintain views page_views
  batch-layer maintain --output json")]
struct Maintain {
    /// Sources, tables and streams, whose archives are maintained, and metrics, whose views are; all of them without any
    #[arg(value_name = "SOURCE|METRIC")]
    names: Vec<String>,
    /// Only says what would be done
    #[arg(long)]
    dry_run: bool,
    /// How to print what was done
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// The arguments of a command that moved to `braid`. The old names work for one more release.
#[derive(clap::Args)]
struct Moved {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<String>,
}

/// Runs the command with this process's arguments, and returns its exit code.
///
/// # Errors
/// Why it failed or ended early; the text is for an operator.
pub fn main() -> anyhow::Result<ExitCode> {
    block_on(run())?
}

async fn run() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(name) = args.command.moved_to() {
        return Err(run_braid(name));
    }
    let process = Process::start(&args.settings)?;
    let settings = &process.settings;
    let file = Catalog::parse_file(&settings.catalog.path, &process.catalog)?;
    let versions = Arc::new(VersionStore::new(&settings.store, &file.deployment)?.deployed(&file).await?);
    // What is said of one version means the active one.
    let catalog = Catalog::clone(versions.active());
    let storage = Storage::new(&settings.store, &catalog.deployment)?;
    let reconciler = || Reconciler::new(settings, &storage, &catalog).among(Arc::clone(&versions));
    let done: anyhow::Result<()> = match args.command {
        Command::Init => Ok(crate::init::all(settings, &versions).await?),
        Command::Archive => {
            platform::telemetry::listen(&settings.telemetry).await?;
            println!("ready");
            let shutdown = Shutdown::on_signals()?;
            crate::init::all(settings, &versions).await.context("cannot create topics and tables")?;
            let versions = FollowedVersions::start(settings, file).await?;
            Ok(crate::archive::run(settings, versions, shutdown).await?)
        }
        Command::Reconcile { output } => {
            storage.check().await?;
            let (reconciler, stop) = (reconciler(), CancellationToken::new());
            let reconciled = reconciler.progress().shown(reconciler.reconcile_to_the_end(&stop)).await;
            none_failed(output.print_reconciled(&reconciled))
        }
        Command::Maintain(Maintain { names, dry_run, output }) => {
            let reconciler = reconciler();
            if !dry_run {
                storage.check().await?;
            }
            let pass = Pass { names: &names, dry_run, now_us: platform::clock::now_us() };
            let stop = CancellationToken::new();
            match reconciler.progress().shown(crate::maintenance::run(&reconciler, pass, &stop)).await {
                Err(error) if output == Output::Text => Err(error.into()),
                maintained => none_failed(output.print(&Done::Maintained(maintained))),
            }
        }
        Command::Schedule { once: true, output } => {
            storage.check().await?;
            let (reconciler, mut failed, mut is_waiting) = (reconciler(), 0, false);
            let shutdown = Shutdown::on_signals()?;
            let due = crate::schedule::run_due(&reconciler, &shutdown, |done| {
                failed += output.print(done);
                is_waiting |= done.is_waiting();
            });
            reconciler.progress().shown(due).await?;
            failed += retire_due(settings, &file, &versions).await;
            none_failed(failed)?;
            return Ok(if is_waiting { ExitCode::from(WAITING) } else { ExitCode::SUCCESS });
        }
        Command::Schedule { once: false, .. } => {
            platform::telemetry::listen(&settings.telemetry).await?;
            storage.check().await?;
            let versions = FollowedVersions::start(settings, file).await?;
            Ok(crate::schedule::run(settings, versions, Shutdown::on_signals()?).await?)
        }
        Command::Erase(args) => return erase::command::erase(args, settings, &storage, &versions).await,
        Command::Import(args) => imports::import(args, settings, &storage, &versions).await,
        Command::Backtest(args) => backtest(args, settings, &storage, &catalog).await,
        Command::Table(args) => table(args, &storage, &catalog).await,
        Command::Report(args) => return report(args, settings, &storage, &catalog).await,
        Command::Rebuild(args) => {
            storage.check().await?;
            let reconciler = reconciler();
            reconciler.progress().shown(repair::rebuild(args, &reconciler)).await
        }
        Command::Rollback(args) => repair::rollback(args, &reconciler()).await,
        Command::Resume(args) => repair::resume(args, &reconciler()).await,
        Command::Status(_) | Command::Close(_) | Command::Lost(_) | Command::Erasures(_) | Command::Imports(_) => {
            unreachable!("`braid` runs commands that moved")
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Retires the versions that are not needed any more. Returns how many could not be.
async fn retire_due(settings: &Settings, file: &Catalog, versions: &DeployedVersions) -> usize {
    let (now_us, mut failed) = (platform::clock::now_us(), 0);
    let keep_us = i64::try_from(settings.versions.keep.get().as_micros()).unwrap_or(i64::MAX);
    for version in versions.pointer.due_to_retire(now_us, keep_us) {
        let progress = Progress::default();
        let retired = progress.shown(crate::version::retire(settings, file, version, "schedule", &progress)).await;
        if let Err(error) = retired {
            eprintln!("version {version}: {}", error_text(&error));
            failed += 1;
        }
    }
    failed
}

fn none_failed(failed: usize) -> anyhow::Result<()> {
    ensure!(failed == 0, "{failed} sources or metrics failed");
    Ok(())
}

impl Command {
    /// The command of `braid` that this one became.
    fn moved_to(&self) -> Option<&'static str> {
        match self {
            Command::Status(_) => Some("status"),
            Command::Close(_) => Some("close"),
            Command::Lost(_) => Some("lost"),
            Command::Erasures(_) => Some("erasures"),
            Command::Imports(_) => Some("imports"),
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
    use clap::error::ErrorKind;
    use clap::{CommandFactory, Parser};

    use super::Args;

    #[test]
    fn an_output_is_chosen_for_commands_that_end() {
        let parsed = |line: &str| Args::try_parse_from(line.split(' ')).map(drop).map_err(|error| error.kind());
        assert_eq!(parsed("batch-layer reconcile --output json"), Ok(()));
        assert_eq!(parsed("batch-layer schedule --once --output json"), Ok(()));
        assert_eq!(parsed("batch-layer schedule"), Ok(()));
        assert_eq!(parsed("batch-layer schedule --output json"), Err(ErrorKind::MissingRequiredArgument));
    }

    #[test]
    fn lists_are_braids_and_their_old_names_say_so() {
        for (line, moved_to) in [
            ("batch-layer erasures views --output json", Some("erasures")),
            ("batch-layer imports views", Some("imports")),
            ("batch-layer maintain --output json", None),
        ] {
            assert_eq!(Args::try_parse_from(line.split(' ')).expect("valid").command.moved_to(), moved_to, "{line}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
