//! `braid version`: versions of the deployment, one step each.
//!
//! - `create` adds a version, and `list` shows all of them;
//! - `replay` computes a version's output anew, and `stop` interrupts that;
//! - `verify` compares what a version has counted with the archive (K6), and `diff` what two of them answer;
//! - `promote` makes a version the active one, or the one before again (K7, K9);
//! - `retire` removes what a version has in Kafka and Redis (K9).

mod create;
mod diff;
mod list;
mod promote;
mod replay;
mod retire;
mod stop;
mod verify;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result};
use platform::settings::{Settings, SettingsArgs};
use shared_logic::catalog::Catalog;
use shared_logic::version::DeployedVersions;
use storage::VersionStore;

use crate::catalog_file;

/// Creates, replays, compares, promotes and retires versions of the deployment
///
/// A version is one generation of the deployment's output, computed from one catalog. Exactly one is the active one: it answers where a
/// request names none, and reports are written by it alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid version create v2 --catalog new.toml
  braid version replay v2
  braid version replay v2 --from archive --wait
  braid version list
  braid version verify v2
  braid version diff v1 v2 --metric views
  braid version promote v2
  braid version roll-back
  braid version retire v1")]
pub struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    Create(create::Args),
    Replay(replay::Args),
    Stop(stop::Args),
    List(list::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Promote(promote::Args),
    RollBack(promote::BackArgs),
    Retire(retire::Args),
}

/// Who takes a step.
#[derive(Debug, Clone, clap::Args)]
struct Who {
    /// Who takes the step, for the history [default: the user and the host]
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
    match args.step {
        Step::Create(args) => create::run(args, settings).await,
        Step::Replay(args) => replay::run(args, settings).await,
        Step::Stop(args) => stop::run(args, settings).await,
        Step::List(args) => list::run(args).await,
        Step::Verify(args) => verify::run(args, settings).await,
        Step::Diff(args) => diff::run(args, settings).await,
        Step::Promote(args) => promote::run(args, settings).await,
        Step::RollBack(args) => promote::roll_back(args, settings).await,
        Step::Retire(args) => retire::run(args, settings).await,
    }
}

impl Who {
    fn name(self) -> String {
        self.by.unwrap_or_else(|| {
            let user = env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".to_owned());
            format!("{user}@{}", host())
        })
    }
}

/// The name of this machine. Shells know it as `HOSTNAME` and rarely export that.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Steps {
    fn of(settings: &SettingsArgs) -> Result<Steps> {
        let settings = settings.load()?;
        platform::telemetry::init(&super::quiet_telemetry(&settings))?;
        let file = catalog_file::load(&settings)?;
        let store = VersionStore::new(&settings.store, &file.deployment)?;
        Ok(Steps { settings, file, store })
    }

    /// The versions that there are now.
    async fn deployed(&self) -> Result<DeployedVersions> {
        self.store.deployed(&self.file).await.context("cannot read which versions there are")
    }

    /// The first version, which begins the history of steps.
    fn first_version(&self) -> &str {
        &self.file.deployment.version
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &[&str]) -> Result<Step, clap::Error> {
        Line::try_parse_from([&["version"], line].concat()).map(|line| line.args.step)
    }

    #[test]
    fn a_command_names_its_versions() {
        assert!(matches!(parse(&["create", "v2", "--by", "alice"]), Ok(Step::Create(_))));
        assert!(matches!(parse(&["replay", "v2", "--from", "archive", "--wait", "--yes"]), Ok(Step::Replay(_))));
        assert!(matches!(parse(&["stop", "v2", "--by", "alice", "--output", "json"]), Ok(Step::Stop(_))));
        assert!(matches!(parse(&["list", "--output", "json"]), Ok(Step::List(_))));
        assert!(matches!(parse(&["diff", "v1", "v2", "--metric", "views", "--from=-1h"]), Ok(Step::Diff(_))));
        assert!(matches!(parse(&["verify", "v2"]), Ok(Step::Verify(_))));
        assert!(matches!(parse(&["promote", "v2", "--force", "lag", "--output", "json"]), Ok(Step::Promote(_))));
        assert!(matches!(parse(&["roll-back", "--output", "table"]), Ok(Step::RollBack(_))));
        assert!(matches!(parse(&["retire", "v1", "--yes", "--output", "json"]), Ok(Step::Retire(_))));
        let wrong = [&["create"][..], &["replay"], &["stop"], &["replay", "v2", "--from", "memory"]];
        for line in wrong.into_iter().chain([&["diff", "v1", "--metric", "views"][..], &["diff", "v1", "v2"]]) {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn whoever_is_named_took_the_step() {
        assert_eq!(Who { by: Some("alice".to_owned()) }.name(), "alice");
        let name = Who { by: None }.name();
        let (user, of_host) = name.split_once('@').expect("a user and a host");
        assert!(!user.is_empty());
        assert_eq!((of_host, of_host.is_empty()), (host().as_str(), false));
    }
}
