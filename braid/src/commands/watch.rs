//! `braid watch`: prints what a stream writes, as it is written.
//!
//! - `description`: what the serving layer says of the stream;
//! - `line`: an output as a person reads it.

mod description;
mod line;

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use self::description::{Description, described};
use self::line::line;
use super::query::pair;
use crate::serving::{Events, Gap, Reply, Serving, ServingArgs, Told};
use crate::terminal::{Screen, print_to_reader, printable};

/// How many outputs that were written before are printed at most, the newest ones.
const BEFORE_MAX: &str = "1000";

/// Prints what a stream writes, as it is written
///
/// Each output is printed once, also after an interruption: the command then connects again and goes on where it was. It runs until it is
/// stopped. Without --in-version it goes over to another version that becomes the active one, and says so. On a terminal an output is a line: when, the key, the rule or the measures; elsewhere it is a line of JSON. Whatever
/// could not be printed is named on standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid watch fraud_alerts
  braid watch fraud_alerts user_id=u-7 rule=high_velocity
  braid watch revenue_5m country.missing=true --from=-1h
  braid watch fraud_alerts --output json | jq .rule
  braid watch fraud_alerts --in-version v2
  braid watch visits --http 10.0.0.7:8080")]
pub struct Args {
    /// The stream's name
    stream: String,
    /// Fields that outputs must have, such as `user_id=u-7` or `country.missing=true`
    #[arg(value_name = "FIELD=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
    /// Print first what was written since then, the newest 1000: RFC 3339, `now`, or a duration before now such as `-1h`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// The version of the deployment whose stream it is, instead of the active one's
    #[arg(long, value_name = "VERSION")]
    in_version: Option<String>,
    /// How outputs are printed; lines for a person on a terminal unless given, and JSON elsewhere
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

/// Which version's stream comes.
#[derive(Debug, Deserialize)]
struct OfVersion {
    version: String,
    topic: String,
}

/// What was written before.
#[derive(Debug, Deserialize)]
struct Before {
    /// The newest first.
    outputs: Vec<Value>,
    more: bool,
    gaps: Vec<Gap>,
    last_event_id: Option<String>,
}

/// Prints outputs.
struct Printer {
    output: Output,
    screen: Screen,
    stream: Description,
}

/// Runs the command, until it is stopped or nobody reads what it prints.
///
/// # Errors
/// If there is no such stream, or no serving layer answers.
pub async fn run(args: Args) -> Result<ExitCode> {
    let serving = args.serving.serving()?;
    let stream = described(&serving, &args.stream, args.in_version.as_deref()).await?;
    if let Some(why) = &stream.why {
        eprintln!("note: {} is not written now: {}", stream.name, printable(why));
    }
    stream.warnings.iter().for_each(|warning| eprintln!("note: {}", printable(warning)));
    let screen = Screen::behind(&std::io::stdout());
    let usual = if screen.is_terminal() { Output::Table } else { Output::Json };
    let mut printer = Printer { output: args.output.unwrap_or(usual), screen, stream };
    let mut last_event_id = None;
    if let Some(from) = &args.from {
        let before = args.before(&serving, from).await?;
        before.gaps.iter().for_each(|gap| eprintln!("gap: {gap}"));
        if before.more {
            eprintln!("note: older outputs since {from} are not printed");
        }
        for output in before.outputs.iter().rev() {
            if !printer.print(output)? {
                return Ok(ExitCode::SUCCESS);
            }
        }
        last_event_id = before.last_event_id;
    }
    let url = with(serving.url(&["v1", "streams", &args.stream])?, &args.fields, &args.version());
    watch(Events::new(url, last_event_id)?, &mut printer, &serving).await?;
    Ok(ExitCode::SUCCESS)
}

/// Prints events, until nobody reads them.
async fn watch(mut events: Events, printer: &mut Printer, serving: &Serving) -> Result<()> {
    let (mut is_interrupted, mut told) = (false, None);
    loop {
        match events.next().await? {
            Told::Connected => {
                if std::mem::take(&mut is_interrupted) {
                    eprintln!("note: connected again");
                }
            }
            // Said once, however often it is tried again.
            Told::Interrupted(why) => {
                if !std::mem::replace(&mut is_interrupted, true) {
                    eprintln!("note: {}; connecting again", printable(&why));
                }
            }
            Told::Event(event) if event.kind.is_empty() => {
                let output = serde_json::from_str(&event.data).context("an output is not JSON")?;
                if !printer.print(&output)? {
                    return Ok(());
                }
            }
            Told::Event(event) if event.kind == "gap" => match serde_json::from_str::<Gap>(&event.data) {
                Ok(gap) => eprintln!("gap: {gap}"),
                Err(_) => eprintln!("gap: {}", printable(&event.data)),
            },
            Told::Event(event) if event.kind == "version" => {
                let of: OfVersion = serde_json::from_str(&event.data).context("a version is not JSON")?;
                let before = told.replace(of.version.clone());
                if before.is_some_and(|before| before != of.version) {
                    eprintln!(
                        "note: version {} is active now; its topic is {}",
                        printable(&of.version),
                        printable(&of.topic)
                    );
                    printer.stream = described(serving, &printer.stream.name, Some(&of.version)).await?;
                }
            }
            // The serving layer stops. Another kind is of a newer one.
            Told::Event(_) => {}
        }
    }
}

impl Args {
    /// The parameter that names the version, if one is named.
    fn version(&self) -> Vec<(&str, &str)> {
        self.in_version.iter().map(|version| ("version", version.as_str())).collect()
    }

    /// What was written since then.
    async fn before(&self, serving: &Serving, from: &str) -> Result<Before> {
        let url = serving.url(&["v1", "streams", &self.stream])?;
        let others: Vec<_> = [("from", from), ("limit", BEFORE_MAX)].into_iter().chain(self.version()).collect();
        let url = with(url, &self.fields, &others);
        match serving.get(&url).await? {
            Reply::Answer(body) => serde_json::from_str(&body).context("this is no answer of a serving layer"),
            Reply::Refused(refusal) => Err(refusal.into()),
        }
    }
}

/// The URL with parameters.
fn with(mut url: reqwest::Url, fields: &[(String, String)], others: &[(&str, &str)]) -> reqwest::Url {
    if !(fields.is_empty() && others.is_empty()) {
        url.query_pairs_mut().extend_pairs(fields).extend_pairs(others);
    }
    url
}

impl Printer {
    /// Prints an output; returns whether anybody reads it still.
    fn print(&self, output: &Value) -> Result<bool> {
        match self.output {
            Output::Table => print_to_reader(&line(&self.stream, output, self.screen)),
            Output::Json => print_to_reader(&format!("{output}\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_path() {
        let url = || reqwest::Url::parse("http://h/v1/streams/s").expect("a URL");
        assert_eq!(with(url(), &[], &[]).as_str(), "http://h/v1/streams/s");
        let fields = [("a".to_owned(), "x y".to_owned())];
        assert_eq!(with(url(), &fields, &[("from", "-1h")]).as_str(), "http://h/v1/streams/s?a=x+y&from=-1h");
    }

    #[test]
    fn what_was_written_before_is_read() {
        let body = r#"{"stream":"s","from":null,"to":null,"outputs":[{"a":1}],"more":false,"complete":false,
            "gaps":[{"reason":"lost","text":"gone","source":"s","log":"L","partition":0,"from":null,"to":null}],
            "offsets":{"L":{"0":7}},"last_event_id":"L:7"}"#;
        let before: Before = serde_json::from_str(body).expect("an answer");
        assert_eq!((before.outputs.len(), before.last_event_id.as_deref()), (1, Some("L:7")));
        assert_eq!(before.gaps[0].to_string(), "gone (source s, log L, partition 0)");
    }
}
