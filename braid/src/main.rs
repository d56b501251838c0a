//! `braid`: parse, dispatch, tell how it ended.

use std::process::ExitCode;

use braid::{catalog_check, produce, query, send, up};
use clap::{Parser, Subcommand};
use platform::settings::SettingsArgs;

/// Counts events twice, quickly and exactly, and answers with both braided into one.
///
/// Every command takes its settings from a file, the environment (BRAID__SECTION__KEY) and flags; later wins.
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
    Up(up::Args),
    Send(send::Args),
    Produce(produce::Args),
    Query(query::Args),
    /// Commands about the catalog, the file that defines sources and metrics
    #[command(subcommand)]
    Catalog(CatalogCommand),
}

#[derive(Subcommand)]
enum CatalogCommand {
    Check(catalog_check::Args),
}

fn main() -> ExitCode {
    match platform::shutdown::block_on(run()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    let cli = Cli::parse();
    let _fail_points = platform::failpoints::setup();
    let ended = match cli.command {
        Command::Up(args) => up::run(args, cli.settings).await,
        Command::Send(args) => send::run(args, &cli.settings).await,
        Command::Produce(args) => produce::run(args, &cli.settings).await,
        Command::Query(args) => query::run(args).await,
        Command::Catalog(CatalogCommand::Check(args)) => catalog_check::run(&args),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
