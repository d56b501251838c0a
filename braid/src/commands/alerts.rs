//! `braid alerts`: the alerts of the active version, and what is known of each.
//!
//! - `page`: how a person reads them.

mod page;

use std::process::ExitCode;

use anyhow::{Context, Result};

use self::page::{Answer, page};
use super::output::Output;
use crate::serving::{ServingArgs, indented};
use crate::terminal::{Screen, print};

/// Shows the alerts, and what is known of each
///
/// The state of an alert is `ok`, `pending` while its condition holds and not for long enough yet, `firing`, or `unknown` as long as answers
/// may lack something; the reason is shown below. The exit code is 3 if an alert fires, so that scripts can tell that from a failure.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid alerts
  braid alerts --http serving:8080
  braid alerts --output json | jq '.alerts[] | select(.state == \"firing\")'")]
pub struct Args {
    /// How they are printed; a table on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    serving: ServingArgs,
}

/// Says that an alert fires.
const FIRING: u8 = 3;

/// Runs the command; the exit code is 3 if an alert fires.
///
/// # Errors
/// If there is no answer, it has another form than a serving layer's, or it cannot be printed.
pub async fn run(args: Args) -> Result<ExitCode> {
    let body = args.serving.serving()?.answer(&["v1", "alerts"]).await?;
    let answer: Answer = serde_json::from_str(&body).context("the answer is not a serving layer's")?;
    let screen = Screen::behind(&std::io::stdout());
    match Output::for_reader(args.output, screen) {
        Output::Table => print(&page(&answer, screen))?,
        Output::Json => print(&format!("{}\n", indented(&body)))?,
    }
    Ok(if answer.fires() { ExitCode::from(FIRING) } else { ExitCode::SUCCESS })
}
