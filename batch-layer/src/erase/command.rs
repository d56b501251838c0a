//! `batch-layer erase`.

use std::sync::Arc;

use platform::settings::{Settings, Span};
use shared_logic::catalog::Source;
use shared_logic::version::DeployedVersions;
use storage::Storage;

use super::{Condition, EraseError, Eraser, further};
use crate::output::Output;

/// The arguments of `batch-layer erase`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer erase views --where \"user_id = 'u-7'\" --dry-run
  batch-layer erase views --where \"user_id = 'u-7'\" --invalid-with '\"u-7\"'
  batch-layer erase views --where \"user_id = 'u-7'\" --downstream
  batch-layer erase orders --where \"customer in ('c-1', 'c-2') or email = 'a@b.example'\" --output json

An erase that was ended is continued by calling it again. See \"Erase a person\" in docs/operations.md.")]
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
    /// Also erase from the streams that were made of the source, as far as they have the fields of the condition; a report for each
    ///
    /// Say it only if these fields mean the same there: what is erased does not come back.
    #[arg(long)]
    downstream: bool,
    /// Only count what would be erased
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for the archive to hold what has arrived, and then for answers to follow
    #[arg(long, default_value = "2m")]
    wait: Span,
    /// How to print the report
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Erases events, or counts those that would be erased, and prints the report.
///
/// # Errors
/// If there is no such source, the condition is wrong, or the events could not be erased everywhere.
pub(crate) async fn erase(
    args: EraseArgs,
    settings: &Settings,
    storage: &Storage,
    versions: &Arc<DeployedVersions>,
) -> anyhow::Result<()> {
    let catalog = versions.active();
    let source = catalog.source(&args.source)?;
    let condition = Condition::parse(source, &args.condition, args.invalid_with.as_deref())?;
    if !args.dry_run {
        storage.check().await?;
    }
    let streams = if args.downstream { further::with_fields(catalog, source, &condition) } else { Vec::new() };
    one(&args, settings, storage, versions, (source, &condition)).await?;
    for (stream, condition) in streams {
        match one(&args, settings, storage, versions, (stream, &condition)).await {
            Err(EraseError::NoArchive { source_name }) => eprintln!("{source_name}: nothing is archived"),
            done => done?,
        }
    }
    Ok(())
}

/// Erases from one source or stream, and prints the report.
async fn one(
    args: &EraseArgs,
    settings: &Settings,
    storage: &Storage,
    versions: &Arc<DeployedVersions>,
    (source, condition): (&Source, &Condition),
) -> Result<(), EraseError> {
    let eraser = Eraser::new(settings, storage, versions.active(), source, condition, args.wait.get());
    let eraser = eraser.going_on(args.downstream).among(Arc::clone(versions));
    let erased = async { if args.dry_run { eraser.count().await } else { eraser.erase().await } };
    let report = eraser.progress().shown(erased).await?;
    match args.output {
        Output::Text => print!("{report}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data")),
    }
    Ok(())
}
