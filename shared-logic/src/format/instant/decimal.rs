//! A decimal number of units since 1970 ↔ microseconds, exactly: no float takes part.

use std::iter;

use crate::rejection::Reason;
use crate::schema::EpochUnit;

/// The instants of the years 1 to 9999 have at most so many digits of microseconds.
const DIGITS_MAX: i64 = 18;
/// Larger exponents are read as this one. No payload has as many digits.
const EXPONENT_MAX: i64 = 1 << 40;

/// Reads a number such as `1795305600.25` or `1.7953056e12`. Digits below a microsecond are cut off.
///
/// # Errors
/// `wrong_type` if the text is no such number; `out_of_range` if it has more digits than any instant.
pub(super) fn read(text: &[u8], unit: EpochUnit) -> Result<i64, Reason> {
    // As a rule.
    if let Some(us) = digits_alone(text, unit) {
        return Ok(us);
    }
    let (negative, text) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let (whole, rest) = digits(text)?;
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => digits(rest)?,
        _ => (&[][..], rest),
    };
    // In microseconds, so many of its digits stand before the point.
    let before_point = whole.len() as i64 + exponent(rest)? + zeros(unit);
    let all = || whole.iter().chain(fraction).copied();
    let leading = all().take_while(|digit| *digit == b'0').count();
    if leading == whole.len() + fraction.len() {
        return Ok(0);
    }
    let kept = before_point - leading as i64;
    if kept > DIGITS_MAX {
        return Err(Reason::OutOfRange);
    }
    let kept = all().chain(iter::repeat(b'0')).skip(leading).take(usize::try_from(kept).unwrap_or(0));
    let us = kept.fold(0_i64, |us, digit| us * 10 + i64::from(digit - b'0'));
    Ok(if negative { -us } else { us })
}

/// [`read`], of a text of digits and nothing else, so few that 64 bits hold the microseconds whatever they are.
fn digits_alone(text: &[u8], unit: EpochUnit) -> Option<i64> {
    let zeros = u32::try_from(zeros(unit)).ok()?;
    if text.is_empty() || text.len() as i64 + i64::from(zeros) > DIGITS_MAX {
        return None;
    }
    let digit = |number: i64, byte: &u8| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'));
    Some(text.iter().try_fold(0, digit)? * 10_i64.pow(zeros))
}

/// Writes microseconds as a number of units, with a fraction where they are no whole number.
pub(super) fn write(us: i64, unit: EpochUnit) -> String {
    let (sign, us) = (if us < 0 { "-" } else { "" }, us.unsigned_abs());
    let (per_unit, width) = match unit {
        EpochUnit::Seconds => (1_000_000, 6),
        EpochUnit::Milliseconds => (1_000, 3),
        EpochUnit::Microseconds => (1, 0),
        EpochUnit::Nanoseconds => return format!("{sign}{}", u128::from(us) * 1_000),
    };
    match us % per_unit {
        0 => format!("{sign}{}", us / per_unit),
        rest => format!("{sign}{}.{rest:0width$}", us / per_unit),
    }
}

/// By how many places the point moves to the right, from this unit to microseconds.
fn zeros(unit: EpochUnit) -> i64 {
    match unit {
        EpochUnit::Seconds => 6,
        EpochUnit::Milliseconds => 3,
        EpochUnit::Microseconds => 0,
        EpochUnit::Nanoseconds => -3,
    }
}

/// Splits off one or more digits.
fn digits(text: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    match text.iter().take_while(|byte| byte.is_ascii_digit()).count() {
        0 => Err(Reason::WrongType),
        count => Ok(text.split_at(count)),
    }
}

/// Reads `e12` up to the end of the text; nothing is 0.
fn exponent(text: &[u8]) -> Result<i64, Reason> {
    let text = match text {
        [] => return Ok(0),
        [b'e' | b'E', text @ ..] => text,
        _ => return Err(Reason::WrongType),
    };
    let (sign, text) = match text {
        [b'-', text @ ..] => (-1, text),
        [b'+', text @ ..] => (1, text),
        _ => (1, text),
    };
    let (digits, rest) = digits(text)?;
    if !rest.is_empty() {
        return Err(Reason::WrongType);
    }
    Ok(sign * digits.iter().fold(0_i64, |n, digit| (n * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX)))
}
