//! Waiting for a condition with a deadline.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take that takes a second or two on an idle machine. Generous: reaching it is a failure.
pub const DEADLINE: Duration = Duration::from_secs(90);

const PAUSE: Duration = Duration::from_millis(20);

/// What one look at a condition found.
pub enum Progress<T> {
    /// The condition holds.
    Done(T),
    /// The condition does not hold yet; what was seen instead.
    NotYet(String),
}

impl Progress<()> {
    /// Done if `done`, else not yet, with what was `seen` instead.
    pub fn when(done: bool, seen: impl Display) -> Progress<()> {
        if done { Progress::Done(()) } else { Progress::NotYet(seen.to_string()) }
    }
}

/// Looks again and again until the condition holds.
///
/// # Errors
/// The condition's own error at once, or after the deadline what was waited for and what was seen last.
pub async fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<Progress<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        match look().await? {
            Progress::Done(found) => return Ok(found),
            Progress::NotYet(seen) if start.elapsed() > deadline => {
                bail!("waited {} s for {what}; last seen: {seen}", deadline.as_secs())
            }
            Progress::NotYet(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
