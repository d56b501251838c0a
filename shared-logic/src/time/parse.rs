//! Instants and durations as text.
//!
//! The calendar arithmetic is Howard Hinnant's `days_from_civil` and `civil_from_days`
//! (<https://howardhinnant.github.io/date_algorithms.html>).

use super::{DAY_US, HOUR_US, SECOND_US};

/// The smallest instant: 0001-01-01T00:00:00Z.
pub const MIN_INSTANT_US: i64 = -719_162 * DAY_US;
/// The first instant that is too large: 10000-01-01T00:00:00Z.
pub const MAX_INSTANT_US: i64 = 2_932_897 * DAY_US;

/// Reads an RFC 3339 date and time; digits finer than a microsecond are cut off.
///
/// Gives microseconds since 1970, or `None` if the text is not one (a leap second is not).
pub fn parse_rfc3339(text: &[u8]) -> Option<i64> {
    if text.len() < 20 || text[4] != b'-' || text[7] != b'-' || text[13] != b':' || text[16] != b':' {
        return None;
    }
    if !matches!(text[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (digits(&text[0..4])?, digits(&text[5..7])?, digits(&text[8..10])?);
    let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
    if year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction_us, zone) = fraction(&text[19..])?;
    let offset_us = offset(zone)?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let instant = seconds * SECOND_US + fraction_us - offset_us;
    (MIN_INSTANT_US..MAX_INSTANT_US).contains(&instant).then_some(instant)
}

/// Writes an instant as RFC 3339 in UTC, with milliseconds or microseconds only where there are some.
pub fn format_rfc3339(instant_us: i64) -> String {
    let (year, month, day) = civil(instant_us.div_euclid(DAY_US));
    let in_day = instant_us.rem_euclid(DAY_US);
    let (hour, minute, second) = (in_day / HOUR_US, in_day / 60_000_000 % 60, in_day / SECOND_US % 60);
    let fraction = match in_day % SECOND_US {
        0 => String::new(),
        us if us % 1_000 == 0 => format!(".{:03}", us / 1_000),
        us => format!(".{us:06}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
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

/// Reads a duration such as `500ms`, `90s`, `1m`, `24h`, `400d`, in microseconds; `None` if it is none or too long.
pub fn parse_duration_us(text: &str) -> Option<i64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(split);
    let unit_us = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => SECOND_US,
        "m" => 60 * SECOND_US,
        "h" => HOUR_US,
        "d" => DAY_US,
        _ => return None,
    };
    count.parse::<i64>().ok()?.checked_mul(unit_us)
}

/// Splits off `.digits`, gives its microseconds and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = text.split_first() else { return Some((0, text)) };
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let kept = &rest[..count.min(6)];
    let us = digits(kept)? * 10_i64.pow(6 - kept.len() as u32);
    Some((us, &rest[count..]))
}

/// Reads `Z` or `±hh:mm`, in microseconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let us = hours * HOUR_US + minutes * 60 * SECOND_US;
            Some(if *sign == b'+' { us } else { -us })
        }
        _ => None,
    }
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
