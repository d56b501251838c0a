//! The command `serving-layer`: answers queries over HTTP until a stop is requested.

use anyhow::Result;
use clap::Parser;
use platform::process::{Process, block_on_threads};
use platform::settings::SettingsArgs;
use platform::shutdown::Shutdown;
use shared_logic::catalog::Catalog;
use storage::FollowedVersions;

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
    block_on_threads(threads(), run())?
}

/// How many threads answer: one less than there are processors. That one is left to Redis, on which each answer waits. If it is taken from it,
/// two processors give a fifth fewer answers.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get() - 1).max(1)
}

async fn run() -> Result<()> {
    let process = Process::start(&Args::parse().settings)?;
    let settings = &process.settings;
    crate::granted_keys(settings)?;
    platform::telemetry::listen(&settings.telemetry).await?;
    let catalog = Catalog::parse_file(&settings.catalog.path, &process.catalog)?;
    let shutdown = Shutdown::on_signals()?;
    let Some(versions) = FollowedVersions::start_waiting(settings, &catalog, &shutdown).await? else { return Ok(()) };
    let server = Server::bind(settings, versions).await?;
    println!("ready http={}", server.address());
    server.run(shutdown).await?;
    Ok(())
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
