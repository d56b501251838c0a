//! `braid query`: asks the serving layer for a total or a series.
//!
//! - `answer`: the body of an answer;
//! - `page`: how a person reads it, with `sparkline`, a series as a line of blocks;
//! - `csv`: how a spreadsheet or a script reads it.

mod answer;
mod csv;
mod page;
mod sparkline;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use anyhow::{Context, Result};
use reqwest::Url;

use self::answer::Answer;
pub(super) use self::page::shown;
use crate::serving::{Reply, Serving, ServingArgs, indented};
use crate::terminal::{Screen, print};

pub(super) use self::page::cell;

/// Asks a metric's total or series and prints the answer
///
/// The answer sums over columns that are not named; NAME.missing=true asks for the events without a value in the column NAME. A
/// column that is named several times asks for several keys.
/// Without --from and --to, it covers everything. On a terminal it is a table, with integers grouped by thousands and floats
/// rounded; elsewhere it is JSON. Colours are left out if NO_COLOR is set. The exit code is 1 if there is no answer; why is
/// printed on standard error, as JSON with --output json.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid query views
  braid query views video_id=video-42 --from=-24h
  braid query views video_id=video-42 --from=-1h --to=now --step 5m
  braid query views video_id=video-42 video_id=video-7
  braid query views --from=-7d --step 1d --tz Europe/Berlin
  braid query views --from=-1h --step 1m --window 15m
  braid query orders country.missing=true
  braid query views --step 1h --output csv > views.csv
  braid query views --output json | jq .values.views
  braid query views --in-version v2
  braid query page_views --http 10.0.0.7:8080 --complete")]
pub struct Args {
    /// The metric's name
    metric: String,
    /// Columns of the group key, such as `video_id=video-42` or `country.missing=true`
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    key: Vec<(String, String)>,
    /// The first moment: RFC 3339, `now`, or a duration before now such as `-24h`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// The first moment that is no longer covered
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// One point for each step instead of the total
    #[arg(long)]
    series: bool,
    /// The width of a step such as `1h`; implies --series
    #[arg(long, value_name = "DURATION")]
    step: Option<String>,
    /// The zone by whose clocks steps begin, such as `Europe/Berlin`; implies --series
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// How much time each point covers, up to the end of its step; implies --series
    #[arg(long, value_name = "DURATION")]
    window: Option<String>,
    /// The version of the deployment that is to answer, instead of the active one
    #[arg(long, value_name = "VERSION")]
    in_version: Option<String>,
    /// Fail if the answer would be incomplete, instead of showing it
    #[arg(long)]
    complete: bool,
    /// How the answer is printed; a table on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    serving: ServingArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For a person
    Table,
    /// The body of the response, indented
    Json,
    /// RFC 4180 with a header; null is an empty field, and gaps are listed on standard error
    Csv,
}

/// Runs the command; the exit code is 1 if the answer is not 200.
///
/// # Errors
/// If there is no answer, or it has another form than a serving layer's.
pub async fn run(args: Args) -> Result<ExitCode> {
    let serving = args.serving.serving()?;
    let body = match serving.get(&args.url(&serving)?).await? {
        Reply::Answer(body) => body,
        Reply::Refused(refusal) if args.output == Some(Output::Json) => {
            eprintln!("{}", refusal.for_programs());
            return Ok(ExitCode::FAILURE);
        }
        Reply::Refused(refusal) => return Err(refusal.into()),
    };
    let screen = Screen::behind(&std::io::stdout());
    match args.output.unwrap_or(Output::usual(screen)) {
        Output::Table => print(&page::page(&answer(&body)?, screen))?,
        Output::Json => print(&format!("{}\n", indented(&body)))?,
        Output::Csv => {
            let answer = answer(&body)?;
            print(&csv::csv(&answer))?;
            answer.gaps.iter().for_each(|gap| eprintln!("gap: {gap}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(body: &str) -> Result<Answer> {
    serde_json::from_str(body).context("this is no answer of a serving layer; --output json shows it")
}

impl Output {
    fn usual(screen: Screen) -> Output {
        if screen.is_terminal() { Output::Table } else { Output::Json }
    }
}

impl Args {
    fn url(&self, serving: &Serving) -> Result<Url> {
        let series = self.series || [&self.step, &self.tz, &self.window].iter().any(|given| given.is_some());
        let mut url = serving.url(&["v1", "metrics", &self.metric, if series { "series" } else { "total" }])?;
        let range = [("from", &self.from), ("to", &self.to)];
        let stepping = [("step", &self.step), ("tz", &self.tz), ("window", &self.window)];
        let named = [&range[..], &stepping, &[("version", &self.in_version)]].concat();
        let named = named.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let key = self.key.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let complete = self.complete.then_some(("require", "complete"));
        let parameters: Vec<_> = key.chain(named).chain(complete).collect();
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        Ok(url)
    }
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as video_id=video-42".to_owned()),
    }
}
