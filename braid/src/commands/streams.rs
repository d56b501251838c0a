//! `braid streams`: how far each stream is, and what stops it; and the way out where a progress topic was lost.
//!
//! - `page`: how a person reads it.

mod page;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use batch_layer::stream::set_published::set_published;
use batch_layer::stream::standing::{self, Standing};
use platform::settings::{Settings, SettingsArgs};
use shared_logic::catalog::Catalog;
use storage::Storage;

use super::output::Output;
use crate::terminal::{Screen, print};

/// Shows how far each stream is published, what stops it, and what its last check has found
///
/// Kafka and the store are asked themselves. A stream is behind by the offsets of its source that it has not published.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  braid streams
  braid streams fraud_alerts --output json
  braid streams set-published transactions --dry-run"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only these streams
    #[arg(value_name = "STREAM")]
    names: Vec<String>,
    /// How it is printed
    #[arg(long, value_name = "FORM", value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Says anew how far the streams over a source were published, where their progress topic was lost
    ///
    /// The newest archived output of each stream and partition says it, so `batch-layer archive` has to have archived everything first.
    /// Create the topic anew with `batch-layer init` before. Lanes wait meanwhile, and go on by themselves.
    SetPublished {
        /// The source, or the stream, that these streams read
        source: String,
        /// Only says what would be written
        #[arg(long)]
        dry_run: bool,
    },
}

/// Runs the command; the exit code is 1 if something stops a stream, or its last check has found a difference.
///
/// # Errors
/// If the settings or the catalog are not usable, there is no such stream or source, or Kafka or the store cannot be used.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (settings, catalog, storage) = super::deployment(settings).await?;
    if let Some(Command::SetPublished { source, dry_run }) = args.command {
        return set(&settings, &storage, &catalog, &source, dry_run).await;
    }
    let unknown = args.names.iter().find(|name| !catalog.streams.contains_key(*name));
    ensure!(
        unknown.is_none(),
        "the catalog declares no stream `{}`; it declares {}",
        unknown.map(String::as_str).unwrap_or_default(),
        catalog.streams.keys().cloned().collect::<Vec<_>>().join(", ")
    );
    let mut standings: Vec<Standing> = Vec::new();
    for source in catalog.sources.values() {
        let is_wanted = |name: &String| args.names.is_empty() || args.names.contains(name);
        if catalog.streams_of(&source.name).any(|stream| is_wanted(&stream.name)) {
            let all = standing::of_source(&settings, &storage, &catalog, source).await;
            let all = all.with_context(|| asked(&source.name, &settings))?;
            standings.extend(all.into_iter().filter(|standing| is_wanted(&standing.stream)));
        }
    }
    let text = match args.output {
        Output::Table => page::page(&standings, Screen::behind(&std::io::stdout())),
        Output::Json => serde_json::to_string_pretty(&standings).context("cannot print the streams")? + "\n",
    };
    print(&text)?;
    Ok(if standings.iter().all(is_well) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where it is looked, and how to look elsewhere.
fn asked(source: &str, settings: &Settings) -> String {
    let brokers = &settings.kafka.brokers;
    format!(
        "the streams over {source}, by Kafka at {brokers} (`--kafka` names another; `braid up` prints its own when it is ready)"
    )
}

/// Whether nothing stops a stream, and its last check has found no difference.
fn is_well(standing: &Standing) -> bool {
    standing.stopped.is_empty() && standing.check.as_ref().is_none_or(|check| check.differences() == 0)
}

async fn set(
    settings: &Settings,
    storage: &Storage,
    catalog: &Catalog,
    source: &str,
    dry_run: bool,
) -> Result<ExitCode> {
    let source = catalog.source(source)?;
    if !dry_run {
        storage.check().await?;
    }
    let lanes = set_published(settings, storage, catalog, source, dry_run).await;
    let lanes = lanes.with_context(|| asked(&source.name, settings))?;
    for lane in &lanes {
        for (stream, position) in &lane.positions {
            let how = match (lane.is_known, dry_run) {
                (true, _) => "is known",
                (false, true) => "would be set",
                (false, false) => "is set",
            };
            println!("{stream} {}: {position} {how}", lane.id);
        }
    }
    if !dry_run {
        println!("{}: {} lanes go on there", source.name, lanes.len());
    }
    Ok(ExitCode::SUCCESS)
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

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Line::try_parse_from([&["streams"], line].concat()).map(|line| line.args)
    }

    #[test]
    fn streams_are_listed_or_positions_are_set() {
        assert_eq!(parse(&["alerts", "--output", "json"]).expect("valid").names, ["alerts"]);
        assert!(parse(&[]).expect("valid").command.is_none());
        let set = parse(&["set-published", "clicks", "--dry-run"]).expect("valid").command;
        assert!(matches!(set, Some(Command::SetPublished { source, dry_run: true }) if source == "clicks"));
    }
}
