//! `braid version retire`: removes what a version has in Kafka and Redis.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use batch_layer::Progress;
use batch_layer::version::retire;
use platform::settings::SettingsArgs;
use serde::Serialize;

use super::{Steps, Who};
use crate::commands::output::{Output, show};

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
    /// How it is printed; a line on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    by: Who,
}

/// What was removed.
#[derive(Debug, Serialize)]
struct Removed<'a> {
    version: &'a str,
    groups: usize,
    shards: usize,
    keys: u64,
}

impl fmt::Display for Removed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Removed { version, groups, shards, keys } = self;
        writeln!(
            f,
            "version {version} is retired: {groups} groups, {shards} shards and {keys} keys in Redis are removed"
        )
    }
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
    show(args.output, &Removed { version, groups: retired.groups, shards: retired.shards, keys: retired.keys })?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_removed() {
        let removed = Removed { version: "v1", groups: 2, shards: 8, keys: 90 };
        let said = "version v1 is retired: 2 groups, 8 shards and 90 keys in Redis are removed\n";
        assert_eq!(removed.to_string(), said);
        let json = serde_json::to_value(&removed).expect("plain data");
        assert_eq!(json, serde_json::json!({"version": "v1", "groups": 2, "shards": 8, "keys": 90}));
    }
}
