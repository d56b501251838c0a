//! `braid top`: the largest keys of a metric, asked again and again and shown in place.
//!
//! - `page`: how a person reads them.

mod page;

use std::process::ExitCode;

use anyhow::{Context, Result};
use platform::settings::Span;
use reqwest::Url;

use self::page::{Answer, page};
use super::output::Output;
use super::query::pair;
use crate::serving::{Reply, Serving, ServingArgs, indented};
use crate::terminal::{Screen, Tint, print_to_reader, printable};

/// Moves to the first line and column, and removes what is shown there and below.
const HOME: &str = "\x1b[H\x1b[J";

/// Shows the largest keys of a metric, refreshed in place
///
/// It runs until it is stopped (ctrl-c), or prints one answer with --once. On a terminal it is a table; elsewhere each answer is a line of
/// JSON. If a later answer does not come, the last one stays, with the reason. The exit code is 1 if the first answer does not come; why is
/// printed on standard error, as JSON with --output json.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid top views
  braid top views --from=-1h --limit 20
  braid top orders --by country --measure revenue
  braid top orders country=DE --every 5s
  braid top views --once --output json | jq '.rows[0]'")]
pub struct Args {
    /// The metric's name
    metric: String,
    /// Columns that are given, such as `country=DE` or `country.missing=true`; the others are listed
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    key: Vec<(String, String)>,
    /// The columns whose values are listed, separated by commas; all that are not given unless named
    #[arg(long, value_name = "COLUMNS")]
    by: Option<String>,
    /// The measure or derived value by which keys are ranked; the first unless named
    #[arg(long, value_name = "NAME")]
    measure: Option<String>,
    /// How many keys are shown
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    limit: usize,
    /// The first moment: RFC 3339, `now`, or a duration before now such as `-24h`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// The first moment that is no longer covered
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// The version of the deployment that is to answer, instead of the active one
    #[arg(long, value_name = "VERSION")]
    in_version: Option<String>,
    /// Print one answer and end
    #[arg(long)]
    once: bool,
    /// The wait between an answer and the next question
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    every: Span,
    /// How answers are printed; a table on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    serving: ServingArgs,
}

/// How answers are shown.
struct Display {
    output: Output,
    screen: Screen,
    /// Whether each page takes the place of the one before.
    in_place: bool,
}

/// Runs the command; the exit code is 1 if the first answer is not 200.
///
/// # Errors
/// If there is no first answer, one has another form than a serving layer's, or it cannot be printed.
pub async fn run(args: Args) -> Result<ExitCode> {
    let serving = args.serving.serving()?;
    let url = args.url(&serving)?;
    let screen = Screen::behind(&std::io::stdout());
    let output = Output::for_reader(args.output, screen);
    let in_place = screen.is_terminal() && !args.once && matches!(output, Output::Table);
    let display = Display { output, screen, in_place };
    let mut last = match serving.get(&url).await? {
        Reply::Answer(body) => body,
        Reply::Refused(refusal) if matches!(output, Output::Json) => {
            eprintln!("{}", refusal.for_programs());
            return Ok(ExitCode::FAILURE);
        }
        Reply::Refused(refusal) => return Err(refusal.into()),
    };
    if args.once {
        display.show_once(&last)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut trouble = None;
    while display.show(&last, trouble.as_deref())? {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep(args.every.get()) => {}
        }
        trouble = match serving.get(&url).await {
            Ok(Reply::Answer(body)) => {
                last = body;
                None
            }
            Ok(Reply::Refused(refusal)) => Some(refusal.to_string()),
            Err(error) => Some(format!("{error:#}")),
        };
    }
    Ok(ExitCode::SUCCESS)
}

impl Display {
    fn show_once(&self, body: &str) -> Result<()> {
        let text = match self.output {
            Output::Table => page(&answer(body)?, self.screen),
            Output::Json => format!("{}\n", indented(body)),
        };
        print_to_reader(&text).map(drop)
    }

    /// Shows an answer, and why there is no newer one; returns whether anybody reads it still.
    fn show(&self, body: &str, trouble: Option<&str>) -> Result<bool> {
        match (self.output, trouble) {
            (Output::Table, trouble) => {
                let mut text = if self.in_place { HOME.to_owned() } else { String::new() };
                text.push_str(&page(&answer(body)?, self.screen));
                for line in trouble.into_iter().flat_map(str::lines) {
                    text.push_str(&self.screen.paint(Some(Tint::Bad), &printable(line)));
                    text.push('\n');
                }
                print_to_reader(&text)
            }
            (Output::Json, Some(trouble)) => {
                eprintln!("{}", printable(trouble));
                Ok(true)
            }
            (Output::Json, None) => print_to_reader(&format!("{}\n", body.trim_end())),
        }
    }
}

fn answer(body: &str) -> Result<Answer> {
    serde_json::from_str(body).context("this is no answer of a serving layer; --output json shows it")
}

impl Args {
    fn url(&self, serving: &Serving) -> Result<Url> {
        let mut url = serving.url(&["v1", "metrics", &self.metric, "top"])?;
        let limit = self.limit.to_string();
        let named = [
            ("by", self.by.as_deref()),
            ("measure", self.measure.as_deref()),
            ("limit", Some(limit.as_str())),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("version", self.in_version.as_deref()),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let key = self.key.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        url.query_pairs_mut().extend_pairs(key.chain(named));
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn parameters_are_those_of_the_path() {
        let url = |words: &[&str]| {
            let args = Cli::try_parse_from([&["top"], words].concat()).expect("a command line").args;
            args.url(&args.serving.serving().expect("an address")).expect("a URL").to_string()
        };
        assert_eq!(url(&["views"]), "http://127.0.0.1:8080/v1/metrics/views/top?limit=10");
        let all = ["orders", "country=DE", "--by", "shop", "--measure", "revenue", "--from=-1h", "--limit", "3"];
        assert_eq!(
            url(&all),
            "http://127.0.0.1:8080/v1/metrics/orders/top?country=DE&by=shop&measure=revenue&limit=3&from=-1h"
        );
    }
}
