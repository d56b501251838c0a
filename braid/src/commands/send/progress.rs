//! How far sending has come: one line on the terminal, written anew several times a second.

use std::future::pending;
use std::io::Write;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::number::integer;
use crate::terminal::Screen;

const EVERY: Duration = Duration::from_millis(200);
/// Back to the line's begin, and what is written there is removed.
const CLEAR: &str = "\r\x1b[K";

/// The line, if standard error is a terminal. Dropping it removes the line.
pub(super) struct Progress {
    line: Option<Shown>,
}

struct Shown {
    began: Instant,
    due: Interval,
    width: usize,
}

impl Progress {
    /// Progress of something that begins now. Must be called within a tokio runtime.
    pub(super) fn on(screen: Screen) -> Progress {
        let shown = |width| {
            let began = Instant::now();
            let mut due = interval_at(began + EVERY, EVERY);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Shown { began, due, width }
        };
        Progress { line: screen.width.map(shown) }
    }

    /// Resolves when the line is to be written anew; never if it is not shown.
    pub(super) async fn due(&mut self) {
        match &mut self.line {
            Some(shown) => {
                shown.due.tick().await;
            }
            None => pending().await,
        }
    }

    /// Writes the line: how many records were acknowledged, and what else there is to say.
    pub(super) fn show(&self, acknowledged: u64, verdicts: &str) {
        if let Some(shown) = &self.line {
            let text = text(acknowledged, shown.began.elapsed(), verdicts);
            // The last column stays free, or some terminals would begin another line.
            let fitting: String = text.chars().take(shown.width.saturating_sub(1)).collect();
            write(&format!("{CLEAR}{fitting}"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.line.is_some() {
            write(CLEAR);
        }
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

fn write(text: &str) {
    let mut terminal = std::io::stderr().lock();
    // A terminal that has gone away must not end what is being sent.
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

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

    #[tokio::test]
    async fn only_a_terminal_is_written_to() {
        let mut elsewhere = Progress::on(Screen::NONE);
        assert!(timeout(2 * EVERY, elsewhere.due()).await.is_err());
        let mut terminal = Progress::on(Screen { width: Some(80), colours: false });
        assert!(timeout(Duration::from_secs(30), terminal.due()).await.is_ok());
    }
}
