//! The command `serving-layer`: answers queries over HTTP until a stop is requested.

use anyhow::{Context, Result};
use clap::Parser;
use platform::settings::SettingsArgs;
use platform::shutdown::Shutdown;
use platform::telemetry;
use shared_logic::catalog::Catalog;

use crate::Server;

/// Answers queries by merging batch views with speed views
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs the command with this process's arguments.
///
/// # Errors
/// If it cannot start, or cannot go on.
pub fn main() -> Result<()> {
    platform::shutdown::block_on(run())?
}

async fn run() -> Result<()> {
    let _fail_points = platform::failpoints::setup();
    let settings = Args::parse().settings.load()?;
    telemetry::init(&settings.telemetry)?;
    let path = &settings.catalog.path;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the catalog {}", path.display()))?;
    let catalog = Catalog::parse_file(path, &text)?;
    let shutdown = Shutdown::on_signals()?;
    let server = Server::bind(&settings, catalog).await?;
    println!("ready http={}", server.address());
    server.run(shutdown).await?;
    Ok(())
}
