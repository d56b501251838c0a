//! Waiting for a condition with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take that takes a second or two on an idle machine. Generous: reaching it is a failure.
pub const DEADLINE: Duration = Duration::from_secs(90);

const PAUSE: Duration = Duration::from_millis(20);

/// What a condition found when it looked.
pub enum Look<T> {
    /// The condition holds.
    Done(T),
    /// Not yet, and what was seen instead.
    NotYet(String),
}

/// Looks again and again until the condition holds.
///
/// # Errors
/// The condition's own error at once, or after the deadline what was waited for and what was seen last.
pub async fn wait_for<T>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Result<Look<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        match look().await? {
            Look::Done(found) => return Ok(found),
            Look::NotYet(seen) if begin.elapsed() > deadline => {
                bail!("waited {} s for {what}; last seen: {seen}", deadline.as_secs())
            }
            Look::NotYet(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
