//! The command `speed-layer`: counts the catalog's sources into Redis until a signal stops it.

use clap::Parser;
use platform::process::{Process, block_on};
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
    block_on(run())?
}

async fn run() -> anyhow::Result<()> {
    let process = Process::start(&Args::parse().settings)?;
    let settings = &process.settings;
    let catalog = Catalog::parse_file(&settings.catalog.path, &process.catalog)?;
    platform::telemetry::listen(&settings.telemetry).await?;
    let shutdown = Shutdown::on_signals()?;
    println!("ready");
    Ok(crate::run(settings, &catalog, shutdown).await?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Args;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
