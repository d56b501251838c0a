//! `braid health`: asks a process whether it is healthy. A container needs no other program for its health check.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks a process whether it is healthy; the exit code is 0 if it says so within 3 seconds, else 1
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid health
  braid health http://127.0.0.1:9100/healthz")]
pub struct Args {
    /// The URL to ask: /readyz of the serving layer, or /healthz of any process (`telemetry.listen`)
    #[arg(default_value = "http://127.0.0.1:8080/readyz")]
    url: String,
}

/// Runs the command.
///
/// # Errors
/// If there is no answer.
pub async fn run(args: Args) -> Result<ExitCode> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let response = client.get(&args.url).send().await.with_context(|| format!("no answer from {}", args.url))?;
    let is_healthy = response.status().is_success();
    let body = response.text().await.with_context(|| format!("the answer of {} was cut off", args.url))?;
    println!("{}", body.trim_end());
    Ok(if is_healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
