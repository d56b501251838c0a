//! Prints what a stream writes, as it is written.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::description::{Description, described};
use super::line::line;
use super::{Args, Output, with};
use crate::serving::{Events, Gap, Reply, Serving, Told};
use crate::terminal::{Screen, print_to_reader, printable};

/// How many outputs that were written before are printed at most, the newest ones.
const BEFORE_MAX: &str = "1000";

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

/// Prints outputs of a stream, until nobody reads them.
///
/// # Errors
/// If the serving layer refuses that.
pub(super) async fn watch_stream(args: &Args, serving: &Serving, stream: Description) -> Result<()> {
    if let Some(why) = &stream.why {
        eprintln!("note: {} is not written now: {}", stream.name, printable(why));
    }
    stream.warnings.iter().for_each(|warning| eprintln!("note: {}", printable(warning)));
    let screen = Screen::behind(&std::io::stdout());
    let mut printer = Printer { output: args.form(screen), screen, stream };
    let mut last_event_id = None;
    if let Some(from) = &args.from {
        let before = Before::ask(args, serving, from).await?;
        before.gaps.iter().for_each(|gap| eprintln!("gap: {gap}"));
        if before.more {
            eprintln!("note: older outputs since {from} are not printed");
        }
        for output in before.outputs.iter().rev() {
            if !printer.print(output)? {
                return Ok(());
            }
        }
        last_event_id = before.last_event_id;
    }
    let url = with(serving.url(&["v1", "streams", &args.name])?, &args.fields, &args.version());
    watch(serving.events(url, last_event_id)?, &mut printer, serving).await
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

impl Before {
    /// What was written since then.
    async fn ask(args: &Args, serving: &Serving, from: &str) -> Result<Before> {
        let url = serving.url(&["v1", "streams", &args.name])?;
        let others: Vec<_> = [("from", from), ("limit", BEFORE_MAX)].into_iter().chain(args.version()).collect();
        let url = with(url, &args.fields, &others);
        match serving.get(&url).await? {
            Reply::Answer(body) => serde_json::from_str(&body).context("this is no answer of a serving layer"),
            Reply::Refused(refusal) => Err(refusal.into()),
        }
    }
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
    fn what_was_written_before_is_read() {
        let body = r#"{"stream":"s","from":null,"to":null,"outputs":[{"a":1}],"more":false,"complete":false,
            "gaps":[{"reason":"lost","text":"gone","source":"s","log":"L","partition":0,"from":null,"to":null}],
            "offsets":{"L":{"0":7}},"last_event_id":"L:7"}"#;
        let before: Before = serde_json::from_str(body).expect("an answer");
        assert_eq!((before.outputs.len(), before.last_event_id.as_deref()), (1, Some("L:7")));
        assert_eq!(before.gaps[0].to_string(), "gone (source s, log L, partition 0)");
    }
}
