//! `braid`: parses the command line, dispatches to [`braid::commands`], and prints how the command ended.
//!
//! `braid` talks to a deployment; a layer's binary runs it. Called by the name of a layer, `braid` is that layer's binary.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use braid::commands::{
    alerts, audit, catalog, close, completions, erasures, health, imports, index, init, key, lost, produce, query,
    rejected, send, size, status, streams, top, up, version, watch,
};
use clap::{CommandFactory, Parser, Subcommand};
use platform::settings::SettingsArgs;

/// Allocates as [`platform::allocator`] says.
#[global_allocator]
static ALLOCATOR: platform::allocator::Allocator = platform::allocator::ALLOCATOR;

/// Counts events twice, within milliseconds and exactly, and merges both counts in every answer.
///
/// Every command takes its settings from a file, the environment (BRAID__SECTION__KEY) and flags; later wins.
///
/// Exits with 0 when it is done or was stopped in order, 1 when something failed or the answer is no, 2 when the command line is
/// wrong, and 130 after a second signal.
#[derive(Parser)]
#[command(name = "braid", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Up(up::Args),
    Send(send::Args),
    Produce(produce::Args),
    Query(query::Args),
    Top(top::Args),
    Watch(watch::Args),
    Alerts(alerts::Args),
    Health(health::Args),
    Catalog(catalog::Args),
    Status(status::Args),
    Streams(streams::Args),
    Version(version::Args),
    Close(close::Args),
    #[command(subcommand)]
    Lost(lost::Args),
    #[command(subcommand)]
    Rejected(rejected::Args),
    Audit(audit::Args),
    Imports(imports::Args),
    Index(index::Args),
    Erasures(erasures::Args),
    #[command(subcommand)]
    Key(key::Args),
    Size(size::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    platform::allocator::bound_arenas();
    let ended = match layer() {
        Some(layer) => layer(),
        None => platform::process::block_on(run()).map_err(Into::into),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The layer by whose name this process was called, if it was. So an image needs only one program and links to it, and its
/// code is on disk and in memory once.
fn layer() -> Option<fn() -> Result<ExitCode>> {
    let name = std::env::args_os().next()?;
    match Path::new(&name).file_name()?.to_str()? {
        "batch-layer" => Some(batch_layer::command::main),
        "serving-layer" => Some(|| serving_layer::command::main().map(|()| ExitCode::SUCCESS)),
        "speed-layer" => Some(|| speed_layer::command::main().map(|()| ExitCode::SUCCESS)),
        _ => None,
    }
}

async fn run() -> ExitCode {
    let cli = Cli::parse();
    let _fail_points = platform::failpoints::setup();
    let ended = match cli.command {
        Command::Init(args) => init::run(args, &cli.settings).await,
        Command::Up(args) => up::run(args, cli.settings).await,
        Command::Send(args) => send::run(args, &cli.settings).await,
        Command::Produce(args) => produce::run(args, &cli.settings).await,
        Command::Query(args) => query::run(args).await,
        Command::Top(args) => top::run(args).await,
        Command::Watch(args) => watch::run(args).await,
        Command::Alerts(args) => alerts::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Catalog(args) => catalog::run(&args, &cli.settings).await,
        Command::Status(args) => status::run(args, &cli.settings).await,
        Command::Streams(args) => streams::run(args, &cli.settings).await,
        Command::Version(args) => version::run(args, &cli.settings).await,
        Command::Close(args) => close::run(args, &cli.settings).await,
        Command::Lost(args) => lost::run(args, &cli.settings).await,
        Command::Rejected(args) => rejected::run(args, &cli.settings).await,
        Command::Audit(args) => audit::run(args, &cli.settings).await,
        Command::Imports(args) => imports::run(args, &cli.settings).await,
        Command::Index(args) => index::run(args, &cli.settings).await,
        Command::Erasures(args) => erasures::run(args, &cli.settings).await,
        Command::Key(args) => key::run(args),
        Command::Size(args) => size::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap_complete::Shell;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_its_flags_are_completed() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "braid", &mut script);
            let script = String::from_utf8(script).expect("a text");
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
            assert!(script.contains("output") && script.contains("csv"), "{shell}");
        }
    }
}
