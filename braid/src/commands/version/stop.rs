//! `braid version stop`: no process counts the version any more, until its replay goes on.

use std::process::ExitCode;

use anyhow::Result;
use platform::settings::SettingsArgs;

use super::{Steps, Who};
use crate::terminal::print;

/// Interrupts the replay of a version; `braid version replay` goes on where it was
///
/// What it has counted stays, and so does what its streams have published. The active version cannot be stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid version stop v2")]
pub(super) struct Args {
    /// The version
    #[arg(id = "of_version", value_name = "VERSION")]
    version: String,
    #[command(flatten)]
    who: Who,
}

/// Runs the command.
///
/// # Errors
/// If there is no such version, it is the active one, nothing of it runs, or the store cannot be used.
pub(super) async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (steps, version) = (Steps::of(settings)?, args.version);
    let (by, what) = (args.who.name(), format!("stop {version}"));
    steps.store.step(steps.first_version(), &by, &what, |pointer, change| pointer.stop(&version, change)).await?;
    let refresh = steps.settings.versions.refresh;
    print(&format!("{version} is stopped: processes hear of it within {refresh}\n"))?;
    Ok(ExitCode::SUCCESS)
}
