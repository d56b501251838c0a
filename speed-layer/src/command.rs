//! The command `speed-layer`: counts the catalog's sources into Redis until a signal stops it.

use clap::Parser;
use platform::process::{Process, block_on};
use platform::settings::SettingsArgs;
use platform::shutdown::Shutdown;
use shared_logic::catalog::Catalog;
use storage::{FollowedVersions, Storage};

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
    let Some(versions) = FollowedVersions::start_waiting(settings, &catalog, &shutdown).await? else { return Ok(()) };
    let known = versions.now();
    if known.living().any(|(_, catalog)| writes_to_the_store(catalog)) {
        Storage::new(&settings.store, &known.active().deployment)?.check().await?;
    }
    println!("ready");
    Ok(crate::run(settings, versions, shutdown).await?)
}

/// Whether workers put files beside archives of which one of several writers has to win: what lanes begin with and remember, and what
/// the schemas mean that records name. Those that only count leave the store as it is.
fn writes_to_the_store(catalog: &Catalog) -> bool {
    !catalog.streams.is_empty() || catalog.sources.values().any(|source| source.format.names_schemas())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use shared_logic::catalog::Catalog;

    use super::{Args, writes_to_the_store};

    #[test]
    fn workers_of_streams_try_the_store_and_those_that_only_count_do_not() {
        let counts = r#"
[sources.s]
event_id = "k"
event_time = "at"
key = "k"
[sources.s.fields]
at = "timestamp"
k = "string"
"#;
        let streams = format!("{counts}[streams.some]\nfrom = \"s\"\nwhere = \"k = 'a'\"\n");
        let writes = |text: &str| writes_to_the_store(&Catalog::parse(text).expect("a valid catalog"));
        assert!(writes(&streams) && !writes(counts));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
