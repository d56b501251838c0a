//! The moments at which a job is due: a cron expression, read on the clocks of a time zone.
//!
//! The crate `cron` only finds the local times that an expression names. Which instants these are is decided here, because that
//! crate leaves out a time that clocks skip, and repeats one that they show twice. Here each local time is one tick: a skipped
//! one is due when the gap ends, and one that is shown twice is due in the first pass.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

/// A cron expression: second, minute, hour, day, month, weekday and, if wanted, year. It names at least one local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    expression: cron::Schedule,
}

/// The text is no [`Cron`]. Shown, it continues a sentence whose subject is the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCron {
    /// It has the five fields of most cron programs.
    #[error("has five fields and no seconds")]
    NoSeconds,
    /// It cannot be read.
    #[error("is no cron expression: {0}")]
    Unreadable(String),
    /// No such day is in any calendar.
    #[error("names no moment")]
    Never,
}

impl Cron {
    /// The first tick after a moment, by the clocks of that zone; `None` if there is none any more. Several local times that
    /// clocks skip together are one tick.
    pub fn next(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let local = after.with_timezone(&zone).naive_local();
        // Ticks are in the order of their local times, and so in that of their instants. None before `local` is due later than
        // `after`: what is skipped lies ahead until the gap ends, and what is shown twice is due in the first pass.
        self.local_times(local).filter_map(|tick| instant(tick, zone)).find(|tick| *tick > after)
    }

    /// The local times that the expression names after that one, in their order.
    fn local_times(&self, after: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + '_ {
        // UTC has no changes of clocks, so the crate leaves out nothing and repeats nothing.
        self.expression.after(&after.and_utc()).map(|tick| tick.naive_utc())
    }
}

/// When clocks of that zone first show a local time; where they skip it, when they go on. `None` beyond what is known of the zone.
fn instant(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let shown = match zone.from_local_datetime(&local) {
        LocalResult::Single(only) => only,
        LocalResult::Ambiguous(first_pass, _) => first_pass,
        LocalResult::None => GapInfo::new(&local, &zone)?.end?,
    };
    Some(shown.with_timezone(&Utc))
}

impl FromStr for Cron {
    type Err = NotCron;

    fn from_str(text: &str) -> Result<Cron, NotCron> {
        if text.split_whitespace().count() == 5 {
            return Err(NotCron::NoSeconds);
        }
        let expression = cron::Schedule::from_str(text).map_err(|error| NotCron::Unreadable(error.to_string()))?;
        let cron = Cron { expression };
        let ever = cron.local_times(DateTime::<Utc>::UNIX_EPOCH.naive_utc()).next();
        if ever.is_some() { Ok(cron) } else { Err(NotCron::Never) }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.expression, f)
    }
}

#[cfg(test)]
mod tests;
