//! Instants of a pattern in the notation of `strftime`, as the crate `chrono` has it.

use chrono::format::{Fixed, Item, ParseErrorKind, Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveDate, TimeZone, Timelike};
use chrono_tz::Tz;

use super::common_log::{self, COMMON_LOG};
use crate::time::{Moment, SECOND_US, instant_of_local};

/// The zone by whose clocks a pattern is tried: not UTC, and without changes.
const TRIED_IN: Tz = Tz::Asia__Kolkata;
const DAY_S: i32 = 86_400;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    items: Vec<Item<'static>>,
    is_common_log: bool,
}

/// Why a pattern cannot tell when an event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadPattern {
    /// What follows a `%` has no meaning.
    Unknown,
    /// It does not say which day.
    NoDate,
    /// It does not say which zone, and nothing else does.
    NoZone,
    /// It holds a tab or a line end.
    Control,
    /// A text that it writes is not read back, or is read as another instant.
    Unreadable,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`BadPattern::Unknown`].
    pub(crate) fn new(text: &str) -> Result<Pattern, BadPattern> {
        let items = StrftimeItems::new(text).parse_to_owned().map_err(|_| BadPattern::Unknown)?;
        Ok(Pattern { items, is_common_log: text == COMMON_LOG })
    }

    /// Compiles a pattern and checks that its texts are read back as what they were written for. `zoned`: texts without a
    /// zone have one all the same.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn checked(text: &str, zoned: bool) -> Result<Pattern, BadPattern> {
        let pattern = Pattern::new(text)?;
        samples().try_for_each(|us| pattern.check(us, zoned))?;
        Ok(pattern)
    }

    /// A text that it writes, to look at its form; of an instant without fractions of a second, which some patterns leave out.
    pub(crate) fn sample(&self) -> String {
        samples().next().and_then(|us| self.write(us, Some(TRIED_IN))).unwrap_or_default()
    }

    /// The moment that a text tells, if it has this pattern. Where the pattern has no hour, it is midnight.
    pub(super) fn read(&self, text: &[u8]) -> Option<Moment> {
        let quickly = if self.is_common_log { common_log::read(text) } else { None };
        quickly.or_else(|| moment(self.parsed(std::str::from_utf8(text).ok()?)?))
    }

    /// The text of an instant, by the clocks of `zone` or else of UTC. `None` if the pattern is for reading only.
    pub(super) fn write(&self, us: i64, zone: Option<Tz>) -> Option<String> {
        let at = DateTime::from_timestamp_micros(us)?.with_timezone(&zone.unwrap_or(Tz::UTC));
        // This one has no written form of its own.
        let either_offset = StrftimeItems::new("%#z").next();
        let written = |item: &Item<'static>| {
            if Some(item) == either_offset.as_ref() { Item::Fixed(Fixed::TimezoneOffset) } else { item.clone() }
        };
        let items: Vec<Item<'static>> = self.items.iter().map(written).collect();
        let mut text = String::new();
        at.format_with_items(items.iter()).write_to(&mut text).ok()?;
        Some(text)
    }

    fn check(&self, us: i64, zoned: bool) -> Result<(), BadPattern> {
        let text = self.write(us, Some(TRIED_IN)).ok_or(BadPattern::Unreadable)?;
        if text.contains(char::is_control) {
            return Err(BadPattern::Control);
        }
        let parsed = self.parsed(&text).ok_or(BadPattern::Unreadable)?;
        if parsed.timestamp().is_none() {
            if parsed.to_naive_date().is_err_and(|error| error.kind() == ParseErrorKind::NotEnough) {
                return Err(BadPattern::NoDate);
            }
            if parsed.offset().is_none() && !zoned {
                return Err(BadPattern::NoZone);
            }
        }
        let moment = moment(parsed).ok_or(BadPattern::Unreadable)?;
        let read = match moment.ahead_us {
            Some(ahead_us) => Some(moment.local_us - ahead_us),
            None => instant_of_local(moment.local_us, TRIED_IN),
        };
        // A pattern without seconds reads another instant than the sample, but one of the same text.
        let again = read.and_then(|us| self.write(us, Some(TRIED_IN)));
        if again.as_ref() == Some(&text) { Ok(()) } else { Err(BadPattern::Unreadable) }
    }

    fn parsed(&self, text: &str) -> Option<Parsed> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, self.items.iter()).ok()?;
        Some(parsed)
    }
}

fn moment(mut parsed: Parsed) -> Option<Moment> {
    // Seconds since 1970 are the whole instant, and count by UTC.
    let counted = parsed.timestamp().is_some();
    if !counted && parsed.hour_div_12().is_none() && parsed.hour_mod_12().is_none() {
        parsed.set_hour(0).ok()?;
    }
    if !counted && parsed.minute().is_none() {
        parsed.set_minute(0).ok()?;
    }
    let ahead_s = parsed.offset().or(counted.then_some(0));
    if ahead_s.is_some_and(|ahead_s| ahead_s.abs() >= DAY_S) {
        return None;
    }
    let local = parsed.to_naive_datetime_with_offset(ahead_s.unwrap_or(0)).ok()?;
    // Chrono shows a leap second as a second of up to two, which here ends with the minute (see `Moment::parse`).
    let in_second_us = i64::from(local.nanosecond() / 1_000).min(SECOND_US - 1);
    let ahead_us = ahead_s.map(|ahead_s| i64::from(ahead_s) * SECOND_US);
    Some(Moment { local_us: local.and_utc().timestamp() * SECOND_US + in_second_us, ahead_us })
}

/// Instants whose numbers have one digit or two, in every combination: a pattern that lets numbers without leading zeros touch
/// others writes some that it does not read. The first one has no fraction of a second.
fn samples() -> impl Iterator<Item = i64> {
    (0..64_u32).filter_map(|choices| {
        let number = |choice: u32, short: u32, long: u32| if choices >> choice & 1 == 0 { short } else { long };
        let date = NaiveDate::from_ymd_opt(2026, number(0, 1, 11), number(1, 2, 24))?;
        let time = (number(2, 9, 22), number(3, 4, 31), number(4, 7, 45), number(5, 0, 123_456));
        let local = date.and_hms_micro_opt(time.0, time.1, time.2, time.3)?;
        TRIED_IN.from_local_datetime(&local).single().map(|at| at.timestamp_micros())
    })
}
