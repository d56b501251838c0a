//! `braid version replay`: computes a version's output anew, beside the version that answers (K4, K5).
//!
//! - `seen`: looks at what a replay needs;
//! - `prerequisites`: judges it;
//! - `progress`: how far a replay has come.

mod prerequisites;
mod progress;
mod seen;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use batch_layer::reconcile::Reconciler;
use platform::settings::SettingsArgs;
use platform::shutdown::Shutdown;
use platform::terminal::StatusLine;
use serde_json::json;
use shared_logic::version::{DeployedVersions, ReplayFrom, Stage};
use storage::Storage;

use self::prerequisites::{Prerequisite, judge};
use self::progress::Watch;
use super::{Steps, Who};
use crate::commands::output::Output;
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint, print};

/// Computes the output of a version anew, beside the active one
///
/// From the log, the speed layer counts everything from its begin. From the archive, this command counts what is archived, and the speed layer
/// goes on from there. What it needs is looked at first, and said; it begins only if nothing is missing. Called again, it goes on where it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid version replay v2
  braid version replay v2 --from archive --wait
  braid version stop v2")]
pub(super) struct Args {
    /// The version
    #[arg(id = "of_version", value_name = "VERSION")]
    version: String,
    /// What is read
    #[arg(long, value_enum, default_value = "log")]
    from: ReadFrom,
    /// Begin also where something could not be found out
    #[arg(long)]
    yes: bool,
    /// Wait until it has reached the log's end, also if nobody watches
    #[arg(long)]
    wait: bool,
    /// How it is printed; a table on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    who: Who,
}

/// What a replay reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ReadFrom {
    /// The log, from its begin
    Log,
    /// The archive, and then the log
    Archive,
}

impl ReadFrom {
    fn replay(self) -> ReplayFrom {
        match self {
            ReadFrom::Log => ReplayFrom::Log,
            ReadFrom::Archive => ReplayFrom::Archive,
        }
    }
}

/// Runs the command; the exit code is 1 if a prerequisite fails.
///
/// # Errors
/// If there is no such version, its replay cannot begin, or Kafka, Redis or the store cannot be used.
pub(super) async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let steps = Steps::of(settings)?;
    let (version, from) = (args.version.as_str(), args.from.replay());
    let versions = steps.deployed().await?;
    let stage = versions.pointer.recorded(version)?.stage;
    let screen = Screen::behind(&std::io::stdout());
    let output = Output::for_reader(args.output, screen);
    let mut judged = Vec::new();
    let mut counts_first = stage == Stage::Counting;
    if matches!(stage, Stage::Created | Stage::Stopped) {
        let seen = seen::look(&steps.settings, &versions, version, from).await?;
        counts_first = seen.counts_first();
        judged = judge(&seen);
        if output == Output::Table {
            print(&table(&judged).text(screen))?;
        }
        if judged.iter().any(|prerequisite| prerequisite.stops(args.yes)) {
            if output == Output::Json {
                print(&said(version, stage, &judged, None)?)?;
            } else {
                print("nothing has begun\n")?;
            }
            return Ok(ExitCode::FAILURE);
        }
    }
    let (by, what) = (args.who.name(), format!("replay {version} from {}", from.word()));
    let begin = steps
        .store
        .step(steps.first_version(), &by, &what, |pointer, change| pointer.replay(version, from, counts_first, change));
    begin.await?;
    let shutdown = Shutdown::on_signals()?;
    let versions = Arc::new(steps.deployed().await?);
    if versions.stage(version) == Some(Stage::Counting) {
        count(&steps, &versions, version, from, &by, &shutdown).await?;
    }
    let reached = follow(&steps, &versions, version, args.wait, &shutdown).await?;
    match output {
        Output::Json => print(&said(version, Stage::Following, &judged, Some(reached))?)?,
        Output::Table if reached => print(&format!("{version} has reached the log's end\n"))?,
        Output::Table => print(&format!(
            "{version} is being replayed by the speed layer; `braid version stop {version}` interrupts that, and the same command shows how far it is\n"
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Has the batch layer count what the speed layer cannot read, and lets that begin.
async fn count(
    steps: &Steps,
    versions: &Arc<DeployedVersions>,
    version: &str,
    from: ReplayFrom,
    by: &str,
    shutdown: &Shutdown,
) -> Result<()> {
    let catalog = versions.version(version).context("the version is gone")?;
    let storage = Storage::new(&steps.settings.store, &catalog.deployment)?;
    storage.check().await?;
    let reconciler = Reconciler::new(&steps.settings, &storage, catalog).among(Arc::clone(versions));
    let stop = shutdown.token();
    let counted = batch_layer::version::count(&reconciler, from, &stop).await?;
    ensure!(!counted.is_unfinished, "interrupted: the same command goes on where this one was");
    let what = format!("{version} is counted from the archive");
    steps.store.step(steps.first_version(), by, &what, |pointer, change| pointer.counted(version, change)).await?;
    Ok(())
}

/// Shows how far the speed layer has come, on a terminal or if it is to be waited for. Returns whether the log's end was reached; it is not if
/// nobody waits, or a signal ended that.
async fn follow(
    steps: &Steps,
    versions: &DeployedVersions,
    version: &str,
    waits: bool,
    shutdown: &Shutdown,
) -> Result<bool> {
    let width = platform::terminal::width(&std::io::stderr());
    if !waits && width.is_none() {
        return Ok(false);
    }
    let Some(catalog) = versions.version(version) else { bail!("the version is gone") };
    let mut watch = Watch::new(&steps.settings, catalog).await?;
    let (line, mut known, mut stage) = (StatusLine::new(width), versions.number, versions.stage(version));
    loop {
        let reached = tokio::select! {
            looked = watch.look() => looked?,
            () = shutdown.requested() => return Ok(false),
        };
        line.show(&format!("{version}: {}", watch.progress()));
        if reached {
            return Ok(true);
        }
        // Somebody else may have stopped or retired it.
        if let Some((number, pointer)) = steps.store.newer(known).await? {
            (known, stage) = (number, pointer.versions.get(version).map(|recorded| recorded.stage));
        }
        ensure!(
            stage == Some(Stage::Following),
            "{version} is {} now: its replay does not go on",
            stage.map_or("gone", Stage::word)
        );
        tokio::select! {
            () = tokio::time::sleep(progress::EVERY) => {}
            () = shutdown.requested() => return Ok(false),
        }
    }
}

/// What was found, one line for each.
fn table(judged: &[Prerequisite]) -> Table {
    let mut table = Table::new(vec![Column::left("prerequisite"), Column::left("holds"), Column::left("why")]);
    for prerequisite in judged {
        let verdict = &prerequisite.verdict;
        let holds = Cell::tinted(verdict.word(), if verdict.is_ok() { Tint::Good } else { Tint::Bad });
        table.push(vec![Cell::new(&prerequisite.name), holds, Cell::new(&verdict.why())]);
    }
    table
}

/// The same for a program.
fn said(version: &str, stage: Stage, judged: &[Prerequisite], reached: Option<bool>) -> Result<String> {
    let prerequisites: Vec<_> = judged
        .iter()
        .map(|one| json!({ "name": one.name, "holds": one.verdict.word(), "why": one.verdict.why() }))
        .collect();
    let all = json!({ "version": version, "stage": stage, "prerequisites": prerequisites, "reached": reached });
    Ok(serde_json::to_string_pretty(&all).context("cannot print the replay")? + "\n")
}
