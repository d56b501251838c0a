//! The terminal: how wide it is, and a line on it that says how far long work has come, written anew several times a second.

use std::future::pending;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// The columns of a terminal that does not tell how wide it is.
const USUAL_WIDTH: usize = 80;
const EVERY: Duration = Duration::from_millis(200);
/// Back to the line's begin, and what is written there is removed.
const CLEAR: &str = "\r\x1b[K";

/// The columns of the terminal that a stream leads to; `None` if it leads to a file or a pipe.
pub fn width(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream);
    let columns = size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    Some(columns.unwrap_or(USUAL_WIDTH))
}

/// The line, on standard error if that is a terminal. Dropping it removes the line.
pub struct StatusLine {
    shown: Option<Shown>,
}

struct Shown {
    due: Interval,
    width: usize,
}

impl StatusLine {
    /// A line on a terminal of that width; none, without a width. Must be called within a tokio runtime.
    pub fn new(width: Option<usize>) -> StatusLine {
        let shown = |width| {
            let mut due = interval_at(Instant::now() + EVERY, EVERY);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Shown { due, width }
        };
        StatusLine { shown: width.map(shown) }
    }

    /// Resolves when the line is to be written anew; never if it is not shown.
    pub async fn due(&mut self) {
        match &mut self.shown {
            Some(shown) => {
                shown.due.tick().await;
            }
            None => pending().await,
        }
    }

    /// Writes the line, as much of it as fits. What is printed next, such as a line of the log, takes its place.
    pub fn show(&self, text: &str) {
        if let Some(shown) = &self.shown {
            write(&format!("{CLEAR}{}\r", fitting(text, shown.width)));
        }
    }

    /// Shows the line while the work lasts; `text` is asked for what it says.
    pub async fn beside<F: Future>(mut self, work: F, text: impl Fn() -> String) -> F::Output {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                output = &mut work => return output,
                () = self.due() => self.show(&text()),
            }
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        if self.shown.is_some() {
            write(CLEAR);
        }
    }
}

/// The last column stays free, or some terminals would begin another line.
fn fitting(text: &str, width: usize) -> String {
    text.chars().take(width.saturating_sub(1)).collect()
}

fn write(text: &str) {
    let mut terminal = std::io::stderr().lock();
    // A terminal that has gone away must not end the work.
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn only_a_terminal_is_written_to() {
        let mut elsewhere = StatusLine::new(None);
        assert!(timeout(2 * EVERY, elsewhere.due()).await.is_err());
        let mut terminal = StatusLine::new(Some(80));
        assert!(timeout(Duration::from_secs(30), terminal.due()).await.is_ok());
        let file = tempfile::tempfile().expect("a file");
        assert_eq!(width(&file), None);
    }

    #[tokio::test]
    async fn the_line_is_asked_for_until_the_work_ends() {
        let asked = AtomicUsize::new(0);
        let text = || {
            asked.fetch_add(1, Ordering::Relaxed);
            String::new()
        };
        let work = async {
            while asked.load(Ordering::Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
            7
        };
        assert_eq!(StatusLine::new(Some(80)).beside(work, text).await, 7);
        assert_eq!(StatusLine::new(None).beside(async { 8 }, || unreachable!("there is no line")).await, 8);
    }

    #[test]
    fn a_line_is_shorter_than_the_terminal_is_wide() {
        assert_eq!((fitting("12 of 40", 80).as_str(), fitting("12 of 40", 6).as_str()), ("12 of 40", "12 of"));
        assert_eq!(fitting("12 of 40", 0), "");
    }
}
