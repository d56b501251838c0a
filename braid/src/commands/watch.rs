//! `braid watch`: prints what a stream writes, as it is written, or a metric's total, whenever it changes.
//!
//! - `description`: what the serving layer says of streams, and which metrics there are;
//! - `outputs`: prints what a stream writes; `line`: an output as a person reads it;
//! - `totals`: prints a metric's total; `page`: a total as a person reads it.

mod description;
mod line;
mod outputs;
mod page;
mod totals;

use std::process::ExitCode;

use anyhow::Result;
use reqwest::Url;

use self::description::{Watched, watched};
use self::outputs::watch_stream;
use self::totals::watch_metric;
use super::query::pair;
use crate::serving::ServingArgs;
use crate::terminal::Screen;

/// Prints what a stream writes, as it is written, or a metric's total, whenever it changes
///
/// Of a stream, each output is printed once, also after an interruption: the command then connects again and goes on where it was.
/// Of a metric, the total of each key is printed, and on a terminal refreshed in place, within a second of an event. A column that is named
/// several times asks for several keys. The command runs until it is stopped. Without --in-version it goes over to another version that
/// becomes the active one, and says so. On a terminal an output is a line: when, the key, the rule or the measures; elsewhere outputs and
/// totals are lines of JSON. Whatever could not be printed is named on standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid watch fraud_alerts
  braid watch fraud_alerts user_id=u-7 rule=high_velocity
  braid watch revenue_5m country.missing=true --from=-1h
  braid watch fraud_alerts --output json | jq .rule
  braid watch fraud_alerts --in-version v2
  braid watch visits --http 10.0.0.7:8080
  braid watch views video_id=video-42 video_id=video-7 --from=-1h
  braid watch views --output json | jq .values.views")]
pub struct Args {
    /// The name of a stream or of a metric
    name: String,
    /// Fields that outputs must have, such as `user_id=u-7` or `country.missing=true`; of a metric, columns of its group key
    #[arg(value_name = "FIELD=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
    /// Of a stream, print first what was written since then, the newest 1000; of a metric, count from then on: RFC 3339, `now`, or a
    /// duration before now such as `-1h`, which goes along with the time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// The version of the deployment whose stream or metric it is, instead of the active one's
    #[arg(long, value_name = "VERSION")]
    in_version: Option<String>,
    /// It is a metric; needed if a stream has the same name
    #[arg(long)]
    metric: bool,
    /// It is a stream; needed if a metric has the same name
    #[arg(long, conflicts_with = "metric")]
    stream: bool,
    /// How they are printed; for a person on a terminal unless given, and as JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    serving: ServingArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For a person
    Table,
    /// A JSON object in each line
    Json,
}

/// Runs the command, until it is stopped or nobody reads what it prints.
///
/// # Errors
/// If there is no such stream or metric, or no serving layer answers.
pub async fn run(args: Args) -> Result<ExitCode> {
    let serving = args.serving.serving()?;
    match watched(&args, &serving).await? {
        Watched::Stream(stream) => watch_stream(&args, &serving, stream).await?,
        Watched::Metric => watch_metric(&args, &serving).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// The parameter that names the version, if one is named.
    fn version(&self) -> Vec<(&str, &str)> {
        self.in_version.iter().map(|version| ("version", version.as_str())).collect()
    }

    /// How it is printed.
    fn form(&self, screen: Screen) -> Output {
        self.output.unwrap_or(if screen.is_terminal() { Output::Table } else { Output::Json })
    }
}

/// The URL with parameters.
fn with(mut url: Url, fields: &[(String, String)], others: &[(&str, &str)]) -> Url {
    if !(fields.is_empty() && others.is_empty()) {
        url.query_pairs_mut().extend_pairs(fields).extend_pairs(others);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_path() {
        let url = || Url::parse("http://h/v1/streams/s").expect("a URL");
        assert_eq!(with(url(), &[], &[]).as_str(), "http://h/v1/streams/s");
        let fields = [("a".to_owned(), "x y".to_owned())];
        assert_eq!(with(url(), &fields, &[("from", "-1h")]).as_str(), "http://h/v1/streams/s?a=x+y&from=-1h");
    }
}
