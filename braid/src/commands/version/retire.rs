//! `braid version retire`: removes what a version has in Kafka and Redis.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use batch_layer::Progress;
use batch_layer::version::{Retired, retire};
use platform::settings::SettingsArgs;

use super::{Steps, Who};

/// Retires a version: it answers no more, and its groups, shards and rows are removed
///
/// Its views, and the reports of its verifications, stay in the store. The version before the active one can not be gone back to any more. The
/// schedule does the same `versions.keep` after a version stopped being the active one. If it is ended before it is done, it goes on when
/// it is called again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid version retire v1
  braid version retire v1 --yes                  # from a script")]
pub(super) struct Args {
    /// The version, which is not the active one
    #[arg(id = "of_version", value_name = "VERSION")]
    version: String,
    /// Do not ask whether that is meant
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    by: Who,
}

/// Runs the command.
///
/// # Errors
/// If it is the active version, a process still hosts it, or something could not be removed.
pub(super) async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let steps = Steps::of(settings)?;
    let versions = Arc::new(steps.deployed().await?);
    let Steps { settings, file, .. } = steps;
    let (version, pointer) = (args.version.as_str(), &versions.pointer);
    let is_before = pointer.before.as_deref() == Some(version);
    if !args.yes && is_before && pointer.active != version {
        let question = format!("{} could not be rolled back to {version} any more; retire it?", pointer.active);
        ensure!(is_confirmed(&question)?, "nothing is retired");
    }
    let progress = Progress::default();
    let who = args.by.name();
    let retired = progress.shown(retire(&settings, &file, version, &who, &progress)).await?;
    let Retired { groups, shards, keys } = retired;
    println!("version {version} is retired: {groups} groups, {shards} shards and {keys} keys in Redis are removed");
    Ok(ExitCode::SUCCESS)
}

/// Asks a person; without one, it is an error.
fn is_confirmed(question: &str) -> Result<bool> {
    ensure!(std::io::stdin().is_terminal(), "{question} say --yes");
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
