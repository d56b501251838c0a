//! A date and a time of day as text: RFC 3339, and what programs write that do not quite keep to it.
//!
//! The calendar arithmetic is Howard Hinnant's `days_from_civil` (<https://howardhinnant.github.io/date_algorithms.html>).

use super::{HOUR_US, SECOND_US};

const MINUTE_US: i64 = 60 * SECOND_US;
/// A leap second (`:60`) belongs to the minute that it ends: it counts as that minute's last microsecond.
const LEAP_SECOND_US: i64 = MINUTE_US - 1;

/// A date and a time of day as they are written. Where the text leaves out the zone, this is not yet an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since 1970 by the clocks of the moment's own zone. The year may lie outside of 1 to 9999.
    pub local_us: i64,
    /// How far that zone is ahead of UTC, in microseconds; `None` if the text does not say.
    pub ahead_us: Option<i64>,
}

impl Moment {
    /// Reads a text such as `2026-11-25T10:00:00.5+01:00`.
    ///
    /// `t` or a blank may stand for `T`, and a comma for the point. Seconds may be left out. The offset may also be `Z`,
    /// `+0100` or `+01`, stand behind a blank, or be left out. Digits finer than a microsecond are cut off.
    pub fn parse(text: &[u8]) -> Option<Moment> {
        if text.len() < 16 || text[4] != b'-' || text[7] != b'-' || text[13] != b':' {
            return None;
        }
        if !matches!(text[10], b'T' | b't' | b' ') {
            return None;
        }
        let (year, month, day) = (digits(&text[0..4])?, digits(&text[5..7])?, digits(&text[8..10])?);
        let (hour, minute) = (digits(&text[11..13])?, digits(&text[14..16])?);
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 {
            return None;
        }
        let (in_minute_us, zone) = seconds(&text[16..])?;
        let minutes = days_from_civil(year, month, day) * 1_440 + hour * 60 + minute;
        Some(Moment { local_us: minutes * MINUTE_US + in_minute_us, ahead_us: offset(zone)? })
    }
}

/// Splits off `:ss` with a fraction of any length; gives the microseconds since the minute began, and what follows.
fn seconds(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b':', text)) = text.split_first() else { return Some((0, text)) };
    let second = digits(text.get(..2)?)?;
    let (fraction_us, rest) = fraction(&text[2..])?;
    match second {
        0..=59 => Some((second * SECOND_US + fraction_us, rest)),
        60 => Some((LEAP_SECOND_US, rest)),
        _ => None,
    }
}

/// Splits off `.digits`; gives their microseconds, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', rest)) = text.split_first() else { return Some((0, text)) };
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let kept = &rest[..count.min(6)];
    let us = digits(kept)? * 10_i64.pow(6 - kept.len() as u32);
    Some((us, &rest[count..]))
}

/// Reads how far a zone is ahead of UTC, in microseconds. The outer `None` is a malformed offset, the inner one is none.
fn offset(zone: &[u8]) -> Option<Option<i64>> {
    // As Ruby and Git write it.
    let zone = match zone {
        [b' ', rest @ ..] if matches!(rest.first(), Some(b'+' | b'-')) => rest,
        _ => zone,
    };
    let (sign, offset) = match zone {
        [] => return Some(None),
        b"Z" | b"z" => return Some(Some(0)),
        [b'+', offset @ ..] => (1, offset),
        [b'-', offset @ ..] => (-1, offset),
        _ => return None,
    };
    let (hours, minutes) = match offset {
        [_, _] => (digits(offset)?, 0),
        [_, _, _, _] => (digits(&offset[..2])?, digits(&offset[2..])?),
        [_, _, b':', _, _] => (digits(&offset[..2])?, digits(&offset[3..])?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(Some(sign * (hours * HOUR_US + minutes * MINUTE_US)))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
