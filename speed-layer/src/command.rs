//! The command `speed-layer`: counts the catalog's sources into Redis until a signal stops it.

use anyhow::Context;
use clap::Parser;
use platform::settings::SettingsArgs;
use platform::shutdown::Shutdown;
use shared_logic::catalog::Catalog;

/// Counts events into Redis, exactly once, within milliseconds.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs the command with this process's arguments.
///
/// # Errors
/// Why it ended early; the text is for an operator.
pub fn main() -> anyhow::Result<()> {
    platform::shutdown::block_on(run())?
}

async fn run() -> anyhow::Result<()> {
    let settings = Args::parse().settings.load()?;
    platform::telemetry::init(&settings.telemetry)?;
    platform::telemetry::listen(&settings.telemetry).await?;
    let _fail_points = platform::failpoints::setup();
    let path = &settings.catalog.path;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the catalog {}", path.display()))?;
    let catalog = Catalog::parse_file(path, &text)?;
    let shutdown = Shutdown::on_signals()?;
    println!("ready");
    Ok(crate::run(&settings, &catalog, shutdown).await?)
}
