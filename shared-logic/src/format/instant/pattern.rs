//! Instants of a pattern in the notation of `strftime`, as the crate `chrono` has it.

use chrono::format::{Fixed, Item, ParseErrorKind, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Timelike};
use chrono_tz::Tz;

use crate::time::{Moment, SECOND_US};

/// Two instants, one with two digits in every number, one with a single digit in each: 2026-11-25T10:20:30.123456Z and
/// 2026-01-02T03:04:05Z.
const SAMPLES_US: [i64; 2] = [1_795_602_030_123_456, 1_767_323_045_000_000];
const DAY_S: i32 = 86_400;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<Item<'static>>);

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
        StrftimeItems::new(text).parse_to_owned().map(Pattern).map_err(|_| BadPattern::Unknown)
    }

    /// Compiles a pattern and checks that its texts are read back as what they were written for. `zoned`: texts without a
    /// zone have one all the same.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn checked(text: &str, zoned: bool) -> Result<Pattern, BadPattern> {
        let pattern = Pattern::new(text)?;
        for us in SAMPLES_US {
            pattern.check(us, zoned)?;
        }
        Ok(pattern)
    }

    /// A text that it writes, to look at its form.
    pub(crate) fn sample(&self) -> String {
        self.write(SAMPLES_US[0], None).unwrap_or_default()
    }

    /// The moment that a text tells, if it has this pattern. Where the pattern has no hour, it is midnight.
    pub(super) fn read(&self, text: &[u8]) -> Option<Moment> {
        moment(self.parsed(std::str::from_utf8(text).ok()?)?)
    }

    /// The text of an instant, by the clocks of `zone` or else of UTC. `None` if the pattern is for reading only.
    pub(super) fn write(&self, us: i64, zone: Option<Tz>) -> Option<String> {
        let at = DateTime::from_timestamp_micros(us)?.with_timezone(&zone.unwrap_or(Tz::UTC));
        // This one has no written form of its own.
        let either_offset = StrftimeItems::new("%#z").next();
        let written = |item: &Item<'static>| {
            if Some(item) == either_offset.as_ref() { Item::Fixed(Fixed::TimezoneOffset) } else { item.clone() }
        };
        let items: Vec<Item<'static>> = self.0.iter().map(written).collect();
        let mut text = String::new();
        at.format_with_items(items.iter()).write_to(&mut text).ok()?;
        Some(text)
    }

    fn check(&self, us: i64, zoned: bool) -> Result<(), BadPattern> {
        let text = self.write(us, None).ok_or(BadPattern::Unreadable)?;
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
        // A pattern without seconds reads another instant than the sample, but one of the same text.
        let again = self.write(moment.local_us - moment.ahead_us.unwrap_or(0), None);
        if again.as_ref() == Some(&text) { Ok(()) } else { Err(BadPattern::Unreadable) }
    }

    fn parsed(&self, text: &str) -> Option<Parsed> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, self.0.iter()).ok()?;
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
