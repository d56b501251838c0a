//! The text of an instant ↔ microseconds since 1970, as its field declares it. Every format reads instants in the same way.
//!
//! - `decimal`: a number of units since 1970;
//! - `pattern`: a pattern in the notation of `strftime`;
//! - `common_log`: the one pattern of access logs.

mod common_log;
mod decimal;
mod pattern;

use chrono_tz::Tz;

pub(super) use common_log::COMMON_LOG;
pub(crate) use pattern::{BadPattern, Pattern};

use crate::rejection::Reason;
use crate::schema::{EpochUnit, InstantFormat};
use crate::time::{MAX_INSTANT_US, MIN_INSTANT_US, Moment, format_rfc3339, instant_of_local};

/// How the instants of one field are read. Built once per reader, so that a pattern is compiled once.
#[derive(Debug, Clone)]
pub(super) enum Instants {
    /// A date and a time as [`Moment::parse`] reads them, or milliseconds since 1970.
    Usual,
    Epoch(EpochUnit),
    Pattern(Pattern),
}

impl Instants {
    /// # Panics
    /// If a pattern is none. The catalog has checked it.
    pub(super) fn of(format: &InstantFormat) -> Instants {
        match format {
            InstantFormat::Usual => Instants::Usual,
            InstantFormat::Epoch(unit) => Instants::Epoch(*unit),
            InstantFormat::Pattern(text) => {
                Instants::Pattern(Pattern::new(text).expect("a checked catalog holds patterns that can be read"))
            }
        }
    }

    /// The instant of a text. `zone` is the zone of a text that names none.
    ///
    /// # Errors
    /// `wrong_type` if the text has another form, or names no zone and there is none; `out_of_range` outside of the years 1
    /// to 9999.
    pub(super) fn read(&self, text: &[u8], zone: Option<Tz>) -> Result<i64, Reason> {
        let us = match self {
            Instants::Usual => match Moment::parse(text) {
                Some(moment) => instant(moment, zone)?,
                None => decimal::read(text, EpochUnit::Milliseconds)?,
            },
            Instants::Epoch(unit) => decimal::read(text, *unit)?,
            Instants::Pattern(pattern) => instant(pattern.read(text).ok_or(Reason::WrongType)?, zone)?,
        };
        if (MIN_INSTANT_US..MAX_INSTANT_US).contains(&us) { Ok(us) } else { Err(Reason::OutOfRange) }
    }
}

fn instant(moment: Moment, zone: Option<Tz>) -> Result<i64, Reason> {
    match (moment.ahead_us, zone) {
        (Some(ahead_us), _) => Ok(moment.local_us - ahead_us),
        (None, Some(zone)) => instant_of_local(moment.local_us, zone).ok_or(Reason::OutOfRange),
        (None, None) => Err(Reason::WrongType),
    }
}

/// Writes an instant as a field declares it, for `zone` or else UTC. A pattern may have no place for fractions of a second.
pub(super) fn write(format: &InstantFormat, us: i64, zone: Option<Tz>) -> String {
    match format {
        InstantFormat::Usual => format_rfc3339(us),
        InstantFormat::Epoch(unit) => decimal::write(us, *unit),
        InstantFormat::Pattern(text) => {
            let written = Pattern::new(text).ok().and_then(|pattern| pattern.write(us, zone));
            written.unwrap_or_else(|| format_rfc3339(us))
        }
    }
}

#[cfg(test)]
mod tests;
