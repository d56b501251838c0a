//! `braid version diff`: what two versions answer to the same question, over everything and for the keys that changed most.
//!
//! Which keys changed most is what the last verification of the second version has found. Their numbers are asked anew.
//!
//! - `keys`: the keys that a report names.

mod keys;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, Result};
use platform::settings::SettingsArgs;
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use self::keys::keys;
use super::{Steps, list};
use crate::commands::output::Output;
use crate::number::number;
use crate::serving::{Reply, Serving, ServingArgs};
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, print};

/// Compares what two versions answer about a metric, over everything and for the keys that changed most
///
/// The keys are those that the last verification of NEW has found to have changed most (`braid version verify`). Without one, or if OLD is not the
/// version that it compared with, only the sum over all keys is compared.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid version diff v1 v2 --metric views
  braid version diff v1 v2 --metric views --from=-24h --limit 5 --output json")]
pub(super) struct Args {
    /// The version to compare with
    old: String,
    /// The version that is compared
    new: String,
    /// The metric's name
    #[arg(long, value_name = "METRIC")]
    metric: String,
    /// The first moment: RFC 3339, `now`, or a duration before now such as `-24h`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// The first moment that is no longer covered
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// How many keys at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    limit: usize,
    /// How it is printed; a table on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    serving: ServingArgs,
}

/// What both answer.
#[derive(Debug, Serialize)]
struct Compared {
    metric: String,
    old: String,
    new: String,
    /// Whether all answers were complete.
    complete: bool,
    /// Over all keys first.
    rows: Vec<Row>,
}

/// What both answer about a key.
#[derive(Debug, Serialize)]
struct Row {
    /// By column; nothing of the sum over all keys.
    key: Map<String, Value>,
    old: Map<String, Value>,
    new: Map<String, Value>,
}

/// An answer, as far as it is compared.
#[derive(Debug, Deserialize)]
struct Total {
    values: Map<String, Value>,
    complete: bool,
}

/// What is said of a metric, as far as it names its columns.
#[derive(Debug, Deserialize)]
struct Definition {
    by: Vec<ColumnOf>,
}

#[derive(Debug, Deserialize)]
struct ColumnOf {
    name: String,
}

/// Runs the command.
///
/// # Errors
/// If a version or the metric does not exist, no serving layer answers, or the report cannot be read.
pub(super) async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let serving = args.serving.serving()?;
    let listed = list::read(&serving.answer(&["v1", "versions"]).await?)?;
    let newer = listed.versions.iter().find(|version| version.version == args.new);
    let report = match newer.and_then(|version| version.verified.as_ref()) {
        Some(verified) => Steps::of(settings)?.store.report(&verified.report).await?.map(|(report, _)| report),
        None => None,
    };
    let changed = match report {
        Some(report) => keys(&report, &args.metric, &args.old, &args.columns(&serving).await?),
        None => Vec::new(),
    };
    let (mut rows, mut complete) = (Vec::new(), true);
    for key in [Map::new()].into_iter().chain(changed.into_iter().take(args.limit)) {
        let old = args.total(&serving, &args.old, &key).await?;
        let new = args.total(&serving, &args.new, &key).await?;
        complete &= old.complete && new.complete;
        rows.push(Row { key, old: old.values, new: new.values });
    }
    let compared = Compared { metric: args.metric, old: args.old, new: args.new, complete, rows };
    let screen = Screen::behind(&std::io::stdout());
    match Output::for_reader(args.output, screen) {
        Output::Table => print(&page(&compared, screen))?,
        Output::Json => print(&(serde_json::to_string_pretty(&compared).context("cannot print")? + "\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// The columns of the metric's group key in the newer version.
    async fn columns(&self, serving: &Serving) -> Result<Vec<String>> {
        let mut url = serving.url(&["v1", "metrics", &self.metric])?;
        url.query_pairs_mut().append_pair("version", &self.new);
        let Definition { by } = asked(serving, &url).await?;
        Ok(by.into_iter().map(|column| column.name).collect())
    }

    async fn total(&self, serving: &Serving, version: &str, key: &Map<String, Value>) -> Result<Total> {
        asked(serving, &self.url(serving, version, key)?).await
    }

    fn url(&self, serving: &Serving, version: &str, key: &Map<String, Value>) -> Result<Url> {
        let mut url = serving.url(&["v1", "metrics", &self.metric, "total"])?;
        {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in key {
                match value {
                    Value::Null => pairs.append_pair(&format!("{name}.missing"), "true"),
                    value => pairs.append_pair(name, &plain(value)),
                };
            }
            for (name, value) in [("from", &self.from), ("to", &self.to)] {
                if let Some(value) = value {
                    pairs.append_pair(name, value);
                }
            }
            pairs.append_pair("version", version);
        }
        Ok(url)
    }
}

/// What is answered there.
async fn asked<T: DeserializeOwned>(serving: &Serving, url: &Url) -> Result<T> {
    match serving.get(url).await? {
        Reply::Answer(body) => serde_json::from_str(&body).context("this is no answer of a serving layer"),
        Reply::Refused(refusal) => Err(refusal.into()),
    }
}

/// A value of a key as a request gives it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn page(compared: &Compared, screen: Screen) -> String {
    let Compared { metric, old, new, complete, rows } = compared;
    let left = ["key", "value"].map(Column::left);
    let right = [old.as_str(), new.as_str(), "change"].map(Column::right);
    let mut table = Table::new(left.into_iter().chain(right).collect());
    for row in rows {
        let names: BTreeSet<&String> = row.old.keys().chain(row.new.keys()).collect();
        for name in names {
            let (old, new) = (row.old.get(name), row.new.get(name));
            let values = [shown(old), shown(new), change(old, new)];
            let head = [Cell::new(&key_text(&row.key)), Cell::new(name)];
            table.push(head.into_iter().chain(values.iter().map(|text| Cell::new(text))).collect());
        }
    }
    let mut page = table.text(screen);
    if rows.len() == 1 {
        page.push_str(&format!("no verification of {new} names keys of {metric} that changed since {old}\n"));
    }
    if !complete {
        page.push_str("not all of these answers are complete\n");
    }
    page
}

fn key_text(key: &Map<String, Value>) -> String {
    if key.is_empty() {
        return "(all)".to_owned();
    }
    let columns = key.iter().map(|(name, value)| match value {
        Value::Null => format!("{name} missing"),
        value => format!("{name}={}", plain(value)),
    });
    columns.collect::<Vec<_>>().join(" ")
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::Number(value)) => number(value),
        Some(other) => plain(other),
    }
}

/// How much more the new value is, if both are numbers.
fn change(old: Option<&Value>, new: Option<&Value>) -> String {
    let (Some(old), Some(new)) = (old.and_then(Value::as_number), new.and_then(Value::as_number)) else {
        return String::new();
    };
    let difference = match (old.as_i64(), new.as_i64()) {
        (Some(old), Some(new)) => new.checked_sub(old).map(Number::from),
        _ => old.as_f64().zip(new.as_f64()).and_then(|(old, new)| Number::from_f64(new - old)),
    };
    let sign = if difference.as_ref().is_some_and(|difference| difference.as_f64() > Some(0.0)) { "+" } else { "" };
    difference.map_or_else(String::new, |difference| format!("{sign}{}", number(&difference)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn both_versions_are_asked_the_same() {
        let line = ["diff", "v1", "v2", "--metric", "views", "--from=-24h"];
        let args = Line::parse_from(line).args;
        let serving = args.serving.serving().expect("an address");
        let key = map(json!({"video_id": "a b", "country": null, "ok": true}));
        let url = args.url(&serving, "v2", &key).expect("a URL").to_string();
        let asked = "video_id=a+b&country.missing=true&ok=true&from=-24h&version=v2";
        assert_eq!(url, format!("http://127.0.0.1:8080/v1/metrics/views/total?{asked}"));
    }

    #[test]
    fn what_changed_is_shown_by_key_and_value() {
        let row = |key: Value, old: Value, new: Value| Row { key: map(key), old: map(old), new: map(new) };
        let rows = vec![
            row(json!({}), json!({"views": 10, "mean": 1.5}), json!({"views": 7, "mean": 2.0})),
            row(
                json!({"video_id": "v-1", "country": null}),
                json!({"views": 4}),
                json!({"views": null, "likes": 1200}),
            ),
        ];
        let (old, new) = ("v1".to_owned(), "v2".to_owned());
        let compared = Compared { metric: "views".to_owned(), old, new, complete: false, rows };
        let expected = "\
key                         value   v1     v2  change
(all)                       mean   1.500  2.000  +0.500
";
        let page = page(&compared, Screen::NONE);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = page.lines().map(words).collect();
        let expected: Vec<Vec<String>> = expected.lines().map(words).collect();
        assert_eq!(lines[..2], expected[..], "{page}");
        assert_eq!(lines[2], ["(all)", "views", "10", "7", "-3"]);
        assert_eq!(lines[3], ["video_id=v-1", "country", "missing", "likes", "-", "1,200"]);
        assert!(page.ends_with("not all of these answers are complete\n"), "{page}");
    }
}
