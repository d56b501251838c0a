//! `braid query`: asks the serving layer for a total or a series.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Url;
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Asks a metric's total or series and prints the answer
///
/// The answer sums over columns that are not named. Without --from and --to, it covers everything. A response other than
/// 200 is printed on standard error, and the exit code is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid query views
  braid query views video_id=video-42 --from=-24h
  braid query views video_id=video-42 --from=-1h --to=now --step 5m
  braid query page_views --http 10.0.0.7:8080 --complete")]
pub struct Args {
    /// The metric's name
    metric: String,
    /// Columns of the group key, such as `video_id=video-42`
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
    /// Fail if the answer would be incomplete, instead of showing it
    #[arg(long)]
    complete: bool,
    /// Where the serving layer listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    http: String,
}

/// Runs the command; the exit code is 1 if the answer is not 200.
///
/// # Errors
/// If there is no answer.
pub async fn run(args: Args) -> Result<ExitCode> {
    let url = args.url()?;
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let response = client.get(url.clone()).send().await.map_err(|error| {
        let advice = if error.is_connect() { "; is the platform running (`braid up`)?" } else { "" };
        anyhow::Error::new(error.without_url()).context(format!("no answer from {url}{advice}"))
    })?;
    let status = response.status();
    let body = response.text().await.with_context(|| format!("the answer of {url} was cut off"))?;
    let readable = readable(&body);
    if status.is_success() {
        println!("{readable}");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{status}\n{readable}");
    Ok(ExitCode::FAILURE)
}

impl Args {
    fn url(&self) -> Result<Url> {
        let base = if self.http.contains("://") { self.http.clone() } else { format!("http://{}", self.http) };
        let mut url = Url::parse(&base).with_context(|| format!("--http {} is not an address", self.http))?;
        let series = self.series || self.step.is_some();
        let path = ["v1", "metrics", self.metric.as_str(), if series { "series" } else { "total" }];
        let mut segments = url.path_segments_mut().ok().with_context(|| format!("--http {base} has no host"))?;
        segments.pop_if_empty().extend(path);
        drop(segments);
        let named = [("from", &self.from), ("to", &self.to), ("step", &self.step)];
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

/// JSON is indented and keeps the order of its members; any other text stays as it is.
fn readable(body: &str) -> String {
    let value: Option<Value> = serde_json::from_str(body).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| body.trim_end().to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as video_id=video-42".to_owned()),
    }
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

    fn url(line: &[&str]) -> String {
        let line = Line::parse_from([&["query"], line].concat());
        line.args.url().expect("a URL").to_string()
    }

    #[test]
    fn flags_become_parameters() {
        assert_eq!(url(&["views"]), "http://127.0.0.1:8080/v1/metrics/views/total");
        assert_eq!(
            url(&["views", "video_id=a b&c", "--from=-24h", "--http", "localhost:1"]),
            "http://localhost:1/v1/metrics/views/total?video_id=a+b%26c&from=-24h"
        );
        assert_eq!(
            url(&["views", "--from", "-1h", "--step", "5m", "--complete", "--http", "http://h:1/braid/"]),
            "http://h:1/braid/v1/metrics/views/series?from=-1h&step=5m&require=complete"
        );
        assert_eq!(url(&["views", "--series"]), "http://127.0.0.1:8080/v1/metrics/views/series");
    }

    #[test]
    fn a_metric_cannot_leave_its_place_in_the_path() {
        assert_eq!(url(&["../x?y"]), "http://127.0.0.1:8080/v1/metrics/..%2Fx%3Fy/total");
    }

    #[test]
    fn what_is_not_json_is_shown_as_it_is() {
        assert_eq!(readable("{\"b\":1,\"a\":2}"), "{\n  \"b\": 1,\n  \"a\": 2\n}");
        assert_eq!(readable("bad gateway\n"), "bad gateway");
    }
}
