//! How far sending has come: one line on the terminal.

use std::time::Duration;

use platform::terminal::StatusLine;
use tokio::time::Instant;

use crate::number::integer;
use crate::terminal::Screen;

/// The line, if standard error is a terminal. Dropping it removes the line.
pub(super) struct Progress {
    began: Instant,
    line: StatusLine,
}

impl Progress {
    /// Progress of something that begins now. Must be called within a tokio runtime.
    pub(super) fn on(screen: Screen) -> Progress {
        Progress { began: Instant::now(), line: StatusLine::new(screen.width) }
    }

    /// Resolves when the line is to be written anew; never if it is not shown.
    pub(super) async fn due(&mut self) {
        self.line.due().await;
    }

    /// Writes the line: how many records were acknowledged, and what else there is to say.
    pub(super) fn show(&self, acknowledged: u64, verdicts: &str) {
        self.line.show(&text(acknowledged, self.began.elapsed(), verdicts));
    }
}

/// Such as `12,000 records, 60,000/s, the catalog rejects 2: 2 not_json`.
fn text(acknowledged: u64, elapsed: Duration, verdicts: &str) -> String {
    let comma = if verdicts.is_empty() { "" } else { ", " };
    format!("{} records, {}{comma}{verdicts}", integer(acknowledged), rate(acknowledged, elapsed))
}

/// How many records a second.
pub(super) fn rate(records: u64, elapsed: Duration) -> String {
    // Nothing is sent in no time.
    let seconds = elapsed.as_secs_f64().max(0.001);
    format!("{}/s", integer((records as f64 / seconds).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_count_rate_and_verdicts() {
        let half = Duration::from_millis(500);
        assert_eq!(text(12_000, half, ""), "12,000 records, 24,000/s");
        assert_eq!(
            text(1, half, "the catalog rejects 1: 1 not_json"),
            "1 records, 2/s, the catalog rejects 1: 1 not_json"
        );
        assert_eq!(rate(5, Duration::ZERO), "5,000/s");
    }
}
