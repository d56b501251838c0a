//! `braid version`: versions of the deployment, one step each.
//!
//! - `create` adds a version, and `list` shows all of them;
//! - `replay` computes a version's output anew, and `stop` interrupts that;
//! - `diff` compares what two of them answer.

mod create;
mod diff;
mod list;
mod replay;
mod stop;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result};
use platform::settings::{Settings, SettingsArgs};
use shared_logic::catalog::Catalog;
use shared_logic::version::DeployedVersions;
use storage::VersionStore;

/// Creates, replays, compares, promotes and retires versions of the deployment
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  braid version create v2 --catalog new.toml
  braid version replay v2
  braid version replay v2 --from archive --wait
  braid version list
  braid version diff v1 v2 --metric views")]
pub enum Args {
    Create(create::Args),
    Replay(replay::Args),
    Stop(stop::Args),
    List(list::Args),
    Diff(diff::Args),
}

/// Who takes a step.
#[derive(Debug, clap::Args)]
struct Who {
    /// Who takes the step, for the history [default: USER@HOSTNAME]
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

/// What a command needs to take a step.
struct Steps {
    settings: Settings,
    /// The catalog file, which is that of the first version.
    file: Catalog,
    store: VersionStore,
}

/// Runs the command.
///
/// # Errors
/// If the settings or the catalog are not usable, the step is not allowed, or something that it needs cannot be reached.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    match args {
        Args::Create(args) => create::run(args, settings).await,
        Args::Replay(args) => replay::run(args, settings).await,
        Args::Stop(args) => stop::run(args, settings).await,
        Args::List(args) => list::run(args).await,
        Args::Diff(args) => diff::run(args, settings).await,
    }
}

impl Who {
    fn name(self) -> String {
        let of = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let unknown = || "unknown".to_owned();
        self.by.unwrap_or_else(|| {
            format!("{}@{}", of("USER").unwrap_or_else(unknown), of("HOSTNAME").unwrap_or_else(unknown))
        })
    }
}

impl Steps {
    fn of(settings: &SettingsArgs) -> Result<Steps> {
        let (settings, file, _) = super::deployment(settings)?;
        let store = VersionStore::new(&settings.store, &file.deployment)?;
        Ok(Steps { settings, file, store })
    }

    /// The versions that there are now.
    async fn deployed(&self) -> Result<DeployedVersions> {
        self.store.deployed(&self.file).await.context("cannot read which versions there are")
    }

    /// The first version, which begins the history of steps.
    fn first(&self) -> &str {
        &self.file.deployment.version
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        args: Args,
    }

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Line::try_parse_from([&["version"], line].concat()).map(|line| line.args)
    }

    #[test]
    fn a_command_names_its_versions() {
        assert!(matches!(parse(&["create", "v2", "--by", "alice"]), Ok(Args::Create(_))));
        assert!(matches!(parse(&["replay", "v2", "--from", "archive", "--wait", "--yes"]), Ok(Args::Replay(_))));
        assert!(matches!(parse(&["stop", "v2", "--by", "alice"]), Ok(Args::Stop(_))));
        assert!(matches!(parse(&["list", "--output", "json"]), Ok(Args::List(_))));
        assert!(matches!(parse(&["diff", "v1", "v2", "--metric", "views", "--from=-1h"]), Ok(Args::Diff(_))));
        let wrong = [&["create"][..], &["replay"], &["stop"], &["replay", "v2", "--from", "memory"]];
        for line in wrong.into_iter().chain([&["diff", "v1", "--metric", "views"][..], &["diff", "v1", "v2"]]) {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn whoever_is_named_took_the_step() {
        assert_eq!(Who { by: Some("alice".to_owned()) }.name(), "alice");
        assert!(Who { by: None }.name().contains('@'));
    }
}
