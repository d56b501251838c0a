//! `batch-layer erase`.

use std::process::ExitCode;
use std::sync::Arc;

use platform::settings::{Settings, Span};
use shared_logic::catalog::Source;
use shared_logic::version::DeployedVersions;
use storage::Storage;

use super::downstream::{Streams, outputs};
use super::{Condition, EraseError, Eraser};
use crate::output::Output;

/// The exit code if nothing failed, and something is left to later runs.
const WAITING: u8 = 3;

/// The arguments of `batch-layer erase`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer erase views --where \"user_id = 'u-7'\" --dry-run
  batch-layer erase views --where \"user_id = 'u-7'\" --invalid-with '\"u-7\"'
  batch-layer erase views --where \"user_id = 'u-7'\" --downstream
  batch-layer erase views --where \"user_id = 'u-7'\" --only-source
  batch-layer erase orders --where \"customer in ('c-1', 'c-2') or email = 'a@b.example'\" --output json

An erase that was ended is continued by calling it again. The exit code is 3 if documents of search indexes are left, because the search
server could not be reached: `batch-layer schedule` deletes them later, or another call does. See \"Erase a person\" in docs/operations.md.")]
pub(crate) struct EraseArgs {
    /// The source whose events are erased
    source: String,
    /// Which events: a condition over the source's fields, as in a metric's `where`
    #[arg(long = "where", value_name = "CONDITION")]
    condition: String,
    /// Also erase invalid records, and deletes of a table, whose key, payload or headers hold this text: they have no fields, so no
    /// condition selects them
    #[arg(long, value_name = "TEXT")]
    invalid_with: Option<String>,
    /// Also erase by the condition from streams in which a map may have given its fields another meaning
    ///
    /// Say it only if these fields mean the same there: what is erased does not come back. Without it, the streams that were made of the source
    /// lose what their maps have made of erased events, and what the condition selects where its fields were handed on as they were.
    #[arg(long, conflicts_with = "only_source")]
    downstream: bool,
    /// Erase from no stream that was made of the source
    ///
    /// The next erasure of the source without it takes out what maps have made of events that are erased by now.
    #[arg(long)]
    only_source: bool,
    /// Only count what would be erased; of maps, what was made of events that are erased by now
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for the archive to hold what has arrived, and then for answers to follow
    #[arg(long, default_value = "2m")]
    wait: Span,
    /// How to print the report
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Erases events of a source and what streams have made of them, or counts what would be erased, and prints a report for each. The exit code is
/// 3 if something is left to later runs.
///
/// # Errors
/// If there is no such source, the condition is wrong, or the events could not be erased everywhere.
pub(crate) async fn erase(
    args: EraseArgs,
    settings: &Settings,
    storage: &Storage,
    versions: &Arc<DeployedVersions>,
) -> anyhow::Result<ExitCode> {
    let catalog = versions.active();
    let source = catalog.source(&args.source)?;
    let condition = Condition::parse(source, &args.condition, args.invalid_with.as_deref())?;
    if !args.dry_run {
        storage.check().await?;
    }
    let mut is_waiting = one(&args, settings, storage, versions, (source, &condition)).await?;
    if args.only_source {
        return Ok(exit_code(is_waiting));
    }
    for output in outputs(catalog, source, &condition, args.streams()) {
        if !output.is_reached() {
            continue;
        }
        // What it reads was erased from by now, so what was made of that is known.
        let selected = output.selected(&condition, storage).await?;
        match one(&args, settings, storage, versions, (output.of_stream, &selected)).await {
            Err(EraseError::NoArchive { source_name }) => eprintln!("{source_name}: nothing is archived"),
            done => is_waiting |= done?,
        }
    }
    Ok(exit_code(is_waiting))
}

fn exit_code(is_waiting: bool) -> ExitCode {
    if is_waiting { ExitCode::from(WAITING) } else { ExitCode::SUCCESS }
}

impl EraseArgs {
    /// Which streams are erased from as well.
    fn streams(&self) -> Streams {
        match (self.only_source, self.downstream) {
            (true, _) => Streams::Left,
            (false, false) => Streams::Reached,
            (false, true) => Streams::ByName,
        }
    }
}

/// Erases from one source or stream, and prints the report. Returns whether something is left to later runs.
async fn one(
    args: &EraseArgs,
    settings: &Settings,
    storage: &Storage,
    versions: &Arc<DeployedVersions>,
    (source, condition): (&Source, &Condition),
) -> Result<bool, EraseError> {
    let eraser = Eraser::new(settings, storage, versions.active(), source, condition, args.wait.get());
    let eraser = eraser.going_on(args.streams()).among(Arc::clone(versions));
    let erased = async { if args.dry_run { eraser.count().await } else { eraser.erase().await } };
    let report = eraser.progress().shown(erased).await?;
    match args.output {
        Output::Text => print!("{report}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data")),
    }
    Ok(report.is_waiting())
}
