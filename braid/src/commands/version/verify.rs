//! `braid version verify`: is what a version has counted what the archive gives?

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use batch_layer::Progress;
use batch_layer::version::{Verdict, keep, verify};
use platform::settings::SettingsArgs;
use platform::shutdown::Shutdown;

use super::{Steps, Who};
use crate::commands::output::Output;
use crate::terminal::Screen;

/// Compares what a version has counted with the archive: every key and bucket of every metric
///
/// Its shards are rotated, and everything below that moment is counted again from the archive, under the speed layer's rule for copies. What the
/// exact count would change is told as drift, and so are the largest changes from the active version. Its own streams are decided
/// again. The report is kept in the store; if everything is equal, the version may be promoted for `versions.verify_age`.
///
/// Exits with 0 if everything is equal, and 1 if anything differs or could not be compared.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid version verify v2
  braid version verify v2 --output json | jq .why")]
pub(super) struct Args {
    /// The version
    #[arg(id = "of_version", value_name = "VERSION")]
    version: String,
    #[command(flatten)]
    by: Who,
    /// How to print the report [default: a page on a terminal, else JSON]
    #[arg(long, value_enum)]
    output: Option<Output>,
}

/// Runs the command.
///
/// # Errors
/// If the settings or the catalog are not usable, the version is not replayed, or something cannot be read.
pub(super) async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let steps = Steps::of(settings)?;
    let versions = Arc::new(steps.deployed().await?);
    let Steps { settings, store, .. } = steps;
    let (progress, stop) = (Progress::default(), Shutdown::on_signals()?.token());
    let verified = verify(&settings, &versions, &args.version, &progress, &stop);
    let report = progress.shown(verified).await?;
    let path = keep(&store, &versions, &report, &args.by.name()).await?;
    match Output::for_reader(args.output, Screen::behind(&std::io::stdout())) {
        Output::Table => println!("{report}report: {path}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(if report.verdict == Verdict::Equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
