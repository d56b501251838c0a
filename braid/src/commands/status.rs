//! `braid status`: shows how far every layer has come and how fresh every metric is, to an operator or a program.
//!
//! - `report`: what the serving layer says of all layers;
//! - `page`: how a person reads that;
//! - `tables`: what archives and batch views hold, read without a serving layer;
//! - `rejects`: rejected records by reason, in both.

mod page;
mod rejects;
mod report;
mod tables;

use std::process::ExitCode;

use anyhow::Result;
use platform::settings::SettingsArgs;

use self::report::Report;
use super::output::Output;
use crate::serving::ServingArgs;
use crate::terminal::{Screen, print};

/// Shows sources, partitions, lags, rejected records, streams, how fresh every metric is, and how many duplicates speed had counted last
///
/// The serving layer is asked, which looks at Kafka, Redis, archives and batch views. If it does not run, --tables reads
/// archives and batch views themselves: offsets, rows, cuts, losses and rejected records.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid status
  braid status --http 10.0.0.7:8080 --output json
  braid status --tables --data /srv/braid --catalog my.toml")]
pub struct Args {
    /// How the status is printed
    #[arg(long, value_name = "FORM", value_enum, default_value = "table")]
    output: Output,
    /// The same as `--output json`
    #[arg(long, hide = true, conflicts_with = "output")]
    json: bool,
    /// Read the tables of the store instead of asking the serving layer
    #[arg(long, conflicts_with = "http")]
    tables: bool,
    #[command(flatten)]
    serving: ServingArgs,
}

/// Runs the command: prints the state of every source and every metric.
///
/// # Errors
/// If the serving layer does not answer, or, with `--tables`, the settings or the catalog are not usable, or the store
/// cannot be read.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let screen = Screen::behind(&std::io::stdout());
    let as_json = args.json || args.output == Output::Json;
    let text = if args.tables {
        let held = tables::read(settings).await?;
        if as_json { serde_json::to_string_pretty(&held)? + "\n" } else { tables::page(&held, screen) }
    } else {
        let report = report::ask(&args.serving.serving()?).await?;
        if as_json {
            serde_json::to_string_pretty(&report)? + "\n"
        } else {
            page::page(&Report::parse(&report)?, screen)
        }
    };
    print(&text)?;
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
        Line::try_parse_from([&["status"], line].concat()).map(|line| line.args)
    }

    #[test]
    fn the_old_flag_still_asks_for_json() {
        assert!(parse(&["--json"]).expect("valid").json);
        assert_eq!(parse(&["--output", "json"]).expect("valid").output, Output::Json);
        assert_eq!(parse(&[]).expect("valid").output, Output::Table);
    }

    #[test]
    fn tables_are_not_asked_for_over_http() {
        assert!(parse(&["--tables"]).expect("valid").tables);
        assert!(parse(&["--tables", "--http", "localhost:1"]).is_err());
    }
}
