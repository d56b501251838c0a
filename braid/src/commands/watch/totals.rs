//! Prints a metric's total whenever it changes.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::page::{Total, page};
use super::{Args, Output, with};
use crate::refreshed::Refreshed;
use crate::serving::{Event, Serving, Told};
use crate::terminal::{Screen, print_to_reader, printable};

/// As of when the answer is the same.
#[derive(Debug, Deserialize)]
struct Fresh {
    as_of: String,
}

/// Why there is no answer now.
#[derive(Debug, Deserialize)]
struct Problem {
    title: String,
    detail: String,
}

/// Why the serving layer ends the connection.
#[derive(Debug, Deserialize)]
struct Dropped {
    text: String,
}

/// Prints totals.
struct Printer {
    output: Output,
    screen: Screen,
    refreshed: Refreshed,
    /// The newest one.
    total: Option<Total>,
}

/// Prints a metric's total, until nobody reads it.
///
/// # Errors
/// If the serving layer refuses that.
pub(super) async fn watch_metric(args: &Args, serving: &Serving) -> Result<()> {
    let others: Vec<_> = args.from.iter().map(|from| ("from", from.as_str())).chain(args.version()).collect();
    let url = with(serving.url(&["v1", "metrics", &args.name, "total"])?, &args.fields, &others);
    let screen = Screen::behind(&std::io::stdout());
    let mut printer = Printer { output: args.form(screen), screen, refreshed: Refreshed::new(screen), total: None };
    let (mut events, mut is_interrupted) = (serving.events(url, None)?, false);
    loop {
        match events.next().await? {
            Told::Connected => {
                if std::mem::take(&mut is_interrupted) {
                    printer.note("connected again");
                }
            }
            // Said once, however often it is tried again.
            Told::Interrupted(why) => {
                if !std::mem::replace(&mut is_interrupted, true) {
                    printer.note(&format!("{}; connecting again", printable(&why)));
                }
            }
            Told::Event(event) => {
                if !printer.take(&event)? {
                    return Ok(());
                }
            }
        }
    }
}

impl Printer {
    /// Prints what follows from an event; returns whether anybody reads it still.
    fn take(&mut self, event: &Event) -> Result<bool> {
        match event.kind.as_str() {
            "" => {
                let total: Total = serde_json::from_str(&event.data).context("a total is not JSON")?;
                if let Some(before) = self.total.as_ref().filter(|before| before.version != total.version) {
                    let note = format!("version {} is active now, after {}", total.version, before.version);
                    self.note(&printable(&note));
                }
                self.total = Some(total);
                match self.output {
                    Output::Table => self.show(),
                    Output::Json => print_to_reader(&format!("{}\n", event.data)),
                }
            }
            "fresh" => {
                let Fresh { as_of } = serde_json::from_str(&event.data).context("a moment is not JSON")?;
                self.total.iter_mut().for_each(|total| total.as_of = Some(as_of.clone()));
                // Lines say that a total is another one. It is not.
                if self.output == Output::Table && self.screen.is_terminal() { self.show() } else { Ok(true) }
            }
            "problem" => {
                let Problem { title, detail } = serde_json::from_str(&event.data).context("a problem is not JSON")?;
                self.note(&printable(&format!("{title}: {detail}")));
                Ok(true)
            }
            "dropped" => {
                let Dropped { text } = serde_json::from_str(&event.data).context("a reason is not JSON")?;
                self.note(&printable(&text));
                Ok(true)
            }
            // The serving layer stops, or refuses the question from now on: what comes next says so. Another kind is of a newer one.
            _ => Ok(true),
        }
    }

    /// Shows the total on the page.
    fn show(&mut self) -> Result<bool> {
        let Some(total) = &self.total else { return Ok(true) };
        self.refreshed.show(&page(total, self.screen))
    }

    /// Says something below the page, which stays.
    fn note(&mut self, note: &str) {
        self.refreshed.keep();
        eprintln!("note: {note}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        let mut printer = Printer {
            output: Output::Table,
            screen: Screen::NONE,
            refreshed: Refreshed::new(Screen::NONE),
            total: None,
        };
        let total =
            r#"{"version":"v1","metric":"views","key":{},"values":{"views":7},"complete":true,"gaps":[],"as_of":null}"#;
        let event = |kind: &str, data: &str| Event { kind: kind.to_owned(), data: data.to_owned() };
        assert!(printer.take(&event("", total)).expect("a total"));
        assert!(printer.take(&event("fresh", r#"{"as_of":"2026-04-24T09:30:12Z"}"#)).expect("a moment"));
        assert_eq!(printer.total.as_ref().and_then(|total| total.as_of.as_deref()), Some("2026-04-24T09:30:12Z"));
        for (kind, data) in [
            ("problem", r#"{"type":"urn:braid:problem:redis-unavailable","title":"t","status":503,"detail":"d"}"#),
            ("dropped", r#"{"reason":"behind","missed":3,"text":"slow"}"#),
            ("end", r#"{"reason":"shutdown"}"#),
            ("of another time", "?"),
        ] {
            assert!(printer.take(&event(kind, data)).expect(kind));
        }
        assert!(printer.take(&event("", "views 7")).is_err());
    }
}
