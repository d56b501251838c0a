//! `braid catalog check --kafka`: what is wrong with the topics of a catalog.

use std::process::ExitCode;

use anyhow::{Context, Result};
use batch_layer::topics::judged::Finding;
use platform::settings::Settings;
use shared_logic::catalog::Catalog;

use super::count;
use crate::commands::quiet_telemetry;
use crate::terminal::{Screen, Tint, print, printable};

/// Asks, and prints what is wrong; the exit code is 1 if something stops a lane or a source.
///
/// # Errors
/// If Kafka does not answer.
pub(super) async fn check(catalog: &Catalog, settings: &Settings) -> Result<ExitCode> {
    platform::telemetry::init(&quiet_telemetry(settings))?;
    let brokers = &settings.kafka.brokers;
    let found = batch_layer::topics::check(settings, catalog).await;
    let found = found.with_context(|| format!("cannot check the topics at {brokers}"))?;
    print(&page(&found, brokers, Screen::behind(&std::io::stdout())))?;
    let stops = found.iter().any(|finding| finding.stops);
    Ok(if stops { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What was found as a person reads it, what stops something first.
fn page(found: &[Finding], brokers: &str, screen: Screen) -> String {
    let (stops, warns): (Vec<&Finding>, Vec<&Finding>) = found.iter().partition(|finding| finding.stops);
    let mut text = String::new();
    for (findings, kind, tint) in [(&stops, "error", Some(Tint::Bad)), (&warns, "warning", None)] {
        for finding in findings {
            text.push_str(&screen.paint(tint, &printable(&format!("{kind}: {finding}"))));
            text.push('\n');
        }
    }
    match (stops.len(), warns.len()) {
        (0, 0) => text.push_str(&format!("the topics at {brokers} are as they should be\n")),
        (errors, warnings) => {
            text.push_str(&format!(
                "{} and {} about topics at {brokers}\n",
                count(errors, "error"),
                count(warnings, "warning")
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(stops: bool, what: &str) -> Finding {
        Finding { of: "topic t".to_owned(), stops, what: what.to_owned(), fix: "mend it".to_owned() }
    }

    #[test]
    fn what_stops_something_comes_first() {
        let text = page(&[finding(false, "is slow"), finding(true, "is gone")], "a:1", Screen::NONE);
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            "error: topic t is gone; mend it",
            "warning: topic t is slow; mend it",
            "1 error and 1 warning about topics at a:1",
        ];
        assert_eq!(lines, expected);
        assert_eq!(page(&[], "a:1", Screen::NONE), "the topics at a:1 are as they should be\n");
    }
}
