//! `braid size`: what a deployment needs for so many events, keys and metrics.
//!
//! - `page`: how a person reads it.

mod page;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use self::page::page;
use super::output::Output;
use crate::size::{Coefficients, Estimate, Workload};
use crate::terminal::{Screen, print};

/// Says what a deployment needs: cores, memory, disk and network of each layer, what drives them, and which limit comes first
///
/// It multiplies what you say by what `make bench` has measured on one machine, and asks no deployment. Cores and network are for the busiest
/// time, and cores are busy ones: leave room above them. `docs/sizing.md` explains each number, and what is not in it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid size --events-per-second 20000 --keys 1000000 --metrics 3
  braid size --events-per-second 5000 --keys 50000 --metrics 10 --columns 2 --retain 90d --replicas 3
  braid size --events-per-second 10000000 --keys 100000000 --metrics 1 --output json | jq '.limits[0]'
  braid size --events-per-second 20000 --keys 1000000 --metrics 3 --coefficients mine.toml")]
pub struct Args {
    #[command(flatten)]
    workload: Workload,
    /// Coefficients of your own machine, as `bench growth` prints them; the others stay as they are
    #[arg(long, value_name = "FILE")]
    coefficients: Option<PathBuf>,
    /// How it is printed; a table on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
}

/// Runs the command.
///
/// # Errors
/// If there cannot be such a workload, or the coefficients cannot be read.
pub fn run(args: &Args) -> Result<ExitCode> {
    let coefficients = match &args.coefficients {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Coefficients::with(&text).with_context(|| format!("cannot use {}", path.display()))?
        }
        None => Coefficients::measured()?,
    };
    let estimate = Estimate::of(&args.workload, &coefficients)?;
    let screen = Screen::behind(&std::io::stdout());
    match Output::for_reader(args.output, screen) {
        Output::Table => print(&page(&estimate, screen))?,
        Output::Json => print(&(serde_json::to_string_pretty(&estimate).context("cannot print")? + "\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}
