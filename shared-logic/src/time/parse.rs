//! Instants and durations as text.
//!
//! The calendar arithmetic is Howard Hinnant's `civil_from_days` (<https://howardhinnant.github.io/date_algorithms.html>).

use super::moment::Moment;
use super::{DAY_US, HOUR_US, SECOND_US};

/// The smallest instant: 0001-01-01T00:00:00Z.
pub const MIN_INSTANT_US: i64 = -719_162 * DAY_US;
/// The first instant that is too large: 10000-01-01T00:00:00Z.
pub const MAX_INSTANT_US: i64 = 2_932_897 * DAY_US;

/// Reads a date and time with the offset of its zone: RFC 3339, as tolerantly as [`Moment::parse`] does.
///
/// Gives microseconds since 1970, or `None` if the text is not one, or outside of the years 1 to 9999.
pub fn parse_rfc3339(text: &[u8]) -> Option<i64> {
    let moment = Moment::parse(text)?;
    let instant = moment.local_us - moment.ahead_us?;
    (MIN_INSTANT_US..MAX_INSTANT_US).contains(&instant).then_some(instant)
}

/// Writes an instant as RFC 3339 in UTC, with milliseconds or microseconds only where there are some.
pub fn format_rfc3339(instant_us: i64) -> String {
    let mut text = Vec::with_capacity("1970-01-01T00:00:00.000000Z".len());
    push_rfc3339(&mut text, instant_us);
    String::from_utf8(text).expect("digits and letters")
}

/// Appends what [`format_rfc3339`] writes. Every output of a stream has some instants, so this is written by hand.
pub(crate) fn push_rfc3339(out: &mut Vec<u8>, instant_us: i64) {
    let (year, month, day) = civil(instant_us.div_euclid(DAY_US));
    let in_day = instant_us.rem_euclid(DAY_US);
    let (hour, minute, second) = (in_day / HOUR_US, in_day / 60_000_000 % 60, in_day / SECOND_US % 60);
    if year < 0 {
        out.push(b'-');
    }
    push_digits(out, year.unsigned_abs(), if year < 0 { 3 } else { 4 });
    for (before, number) in [(b'-', month), (b'-', day), (b'T', hour), (b':', minute), (b':', second)] {
        out.push(before);
        push_digits(out, number.unsigned_abs(), 2);
    }
    let fraction = (in_day % SECOND_US).unsigned_abs();
    if fraction != 0 {
        let are_ms = fraction.is_multiple_of(1_000);
        out.push(b'.');
        push_digits(out, if are_ms { fraction / 1_000 } else { fraction }, if are_ms { 3 } else { 6 });
    }
    out.push(b'Z');
}

/// Appends a number with at least so many digits.
fn push_digits(out: &mut Vec<u8>, mut number: u64, least: usize) {
    let mut digits = [0; 20];
    let mut begin = digits.len();
    while number > 0 || digits.len() - begin < least {
        begin -= 1;
        digits[begin] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[begin..]);
}

/// Reads an instant of a query: RFC 3339, `now`, or a duration before now such as `-24h`.
///
/// `now_us` is the caller's clock. `None` if the text is none of these.
pub fn parse_instant(text: &str, now_us: i64) -> Option<i64> {
    if text == "now" {
        return Some(now_us);
    }
    if let Some(ago) = text.strip_prefix('-') {
        return now_us.checked_sub(parse_duration_us(ago)?).filter(|us| *us >= MIN_INSTANT_US);
    }
    parse_rfc3339(text.as_bytes())
}

/// Units of durations from the largest to the smallest, in microseconds.
const UNITS: [(&str, i64); 6] =
    [("d", DAY_US), ("h", HOUR_US), ("m", 60 * SECOND_US), ("s", SECOND_US), ("ms", 1_000), ("us", 1)];

/// Reads a duration such as `500ms`, `90s`, `1m`, `24h`, `400d`, in microseconds; `None` if it is none or too long.
pub fn parse_duration_us(text: &str) -> Option<i64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(split);
    let (_, unit_us) = UNITS.iter().find(|(name, _)| *name == unit)?;
    count.parse::<i64>().ok()?.checked_mul(*unit_us)
}

/// Writes a duration that is not negative in the largest unit that is exact, so that [`parse_duration_us`] reads it back: `90s`,
/// `1h`, `0us`.
pub fn format_duration_us(us: i64) -> String {
    let exact = UNITS.iter().find(|(_, unit_us)| us != 0 && us % unit_us == 0);
    let (name, unit_us) = exact.unwrap_or(&("us", 1));
    format!("{}{name}", us / unit_us)
}

/// Year, month and day of a day number since 1970.
pub(super) fn civil(day: i64) -> (i64, i64, i64) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * mp + 2) / 5 + 1)
}
