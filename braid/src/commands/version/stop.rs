//! `braid version stop`: no process counts the version any more, until its replay goes on.

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;
use platform::settings::SettingsArgs;
use serde::Serialize;
use shared_logic::version::Stage;

use super::{Steps, Who};
use crate::commands::output::{Output, show};

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
    /// How it is printed; a line on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    who: Who,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Stopped {
    version: String,
    stage: &'static str,
    /// How soon every process has heard of it.
    within: String,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is {}: processes hear of it within {}", self.version, self.stage, self.within)
    }
}

/// Runs the command.
///
/// # Errors
/// If there is no such version, it is the active one, nothing of it runs, or the store cannot be used.
pub(super) async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (steps, version) = (Steps::of(settings)?, args.version);
    let (by, what) = (args.who.name(), format!("stop {version}"));
    steps.store.step(steps.first_version(), &by, &what, |pointer, change| pointer.stop(&version, change)).await?;
    let within = steps.settings.versions.refresh.to_string();
    show(args.output, &Stopped { version, stage: Stage::Stopped.word(), within })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_stopped() {
        let stopped = Stopped { version: "v2".to_owned(), stage: Stage::Stopped.word(), within: "1s".to_owned() };
        assert_eq!(stopped.to_string(), "v2 is stopped: processes hear of it within 1s\n");
        let json = serde_json::to_value(&stopped).expect("plain data");
        assert_eq!(json, serde_json::json!({"version": "v2", "stage": "stopped", "within": "1s"}));
    }
}
