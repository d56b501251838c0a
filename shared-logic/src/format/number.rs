//! Text → a number, as every format reads it.

use crate::rejection::Reason;

/// So many decimal digits fit into 64 bits, whatever they are.
const DIGITS_FIT: usize = 18;
/// No integer of 64 bits has more decimal digits.
const DIGITS_MAX: i64 = 19;

/// An integer of 64 bits. It may be written with a fraction or an exponent if its value is whole: `3.0`, `1.2e3`, `30e-1`.
pub(super) fn int(text: &[u8]) -> Result<i64, Reason> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > DIGITS_FIT {
        return decimal(negative, digits);
    }
    let mut value = 0_i64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return decimal(negative, digits);
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Ok(if negative { -value } else { value })
}

/// [`int`] without its sign, from any decimal number. Its value is exact, because only digits are counted and moved: a
/// float would round it.
fn decimal(negative: bool, text: &[u8]) -> Result<i64, Reason> {
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) if at + 1 < mantissa.len() => (&mantissa[..at], &mantissa[at + 1..]),
        Some(_) => return Err(Reason::WrongType),
        None => (mantissa, &[][..]),
    };
    let digits = || whole.iter().chain(fraction);
    if whole.is_empty() || !digits().all(u8::is_ascii_digit) {
        return Err(Reason::WrongType);
    }
    let is_zero = |digit: &&u8| **digit == b'0';
    let leading = digits().take_while(is_zero).count();
    let significant = whole.len() + fraction.len() - leading;
    if significant == 0 {
        return Ok(0);
    }
    // The number is its digits without the zeros at both ends, times a power of ten.
    let trailing = digits().rev().take_while(is_zero).count();
    let significant = significant - trailing;
    let power = exponent.saturating_add(length(trailing)).saturating_sub(length(fraction.len()));
    if power < 0 {
        return Err(Reason::WrongType);
    }
    if length(significant).saturating_add(power) > DIGITS_MAX {
        return Err(Reason::OutOfRange);
    }
    let digits = digits().skip(leading).take(significant);
    let zeros = std::iter::repeat_n(&b'0', usize::try_from(power).unwrap_or_default());
    let magnitude = digits.chain(zeros).fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    let value = if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
    value.ok_or(Reason::OutOfRange)
}

/// The exponent of a number: digits with at most a sign. One that 64 bits do not hold is the largest that they do.
fn exponent(text: &[u8]) -> Result<i64, Reason> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::WrongType);
    }
    let value =
        digits.iter().fold(0_i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Ok(if negative { -value } else { value })
}

fn length(digits: usize) -> i64 {
    i64::try_from(digits).unwrap_or(i64::MAX)
}

/// A finite float; negative zero is zero.
pub(super) fn float(text: &[u8]) -> Result<f64, Reason> {
    let text = std::str::from_utf8(text).map_err(|_| Reason::WrongType)?;
    let value: f64 = text.parse().map_err(|_| Reason::WrongType)?;
    if value.is_finite() { Ok(value + 0.0) } else { Err(Reason::OutOfRange) }
}

/// Text that the JSON grammar would take as a number: no `NaN`, no `inf`, no `+1`, no `.5`.
pub(super) fn is_number(text: &[u8]) -> bool {
    number_end(text, 0) == Some(text.len())
}

/// The position behind the JSON number that begins at `at`.
pub(super) fn number_end(text: &[u8], at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let start = at;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    let start = if text.get(at) == Some(&b'-') { at + 1 } else { at };
    let mut at = if text.get(start) == Some(&b'0') { start + 1 } else { digits(start)? };
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = digits(at + 1 + sign)?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Judged by arithmetic in 128 bits, which hold the digits of every text here.
        #[test]
        fn an_integer_is_exact_however_it_is_written(
            negative in any::<bool>(),
            whole in "[0-9]{1,18}0{0,4}",
            fraction in prop::option::of("[0-9]{0,2}0{1,8}"),
            exponent in prop::option::of((prop::sample::select(vec!["e", "E", "e+", "E-", "e-"]), 0_i32..12)),
        ) {
            let mut text = if negative { format!("-{whole}") } else { whole.clone() };
            let mut mantissa: i128 = whole.parse().expect("digits");
            let mut power = 0;
            if let Some(fraction) = &fraction {
                text = format!("{text}.{fraction}");
                mantissa = format!("{whole}{fraction}").parse().expect("digits");
                power -= i32::try_from(fraction.len()).expect("few");
            }
            if let Some((sign, digits)) = exponent {
                text = format!("{text}{sign}{digits}");
                power += if sign.ends_with('-') { -digits } else { digits };
            }
            let ten = 10_i128.pow(power.unsigned_abs());
            let value = if power >= 0 { mantissa.checked_mul(ten) } else { Some(mantissa / ten) };
            let expected = match value {
                Some(_) if power < 0 && mantissa % ten != 0 => Err(Reason::WrongType),
                Some(value) => i64::try_from(if negative { -value } else { value }).map_err(|_| Reason::OutOfRange),
                None => Err(Reason::OutOfRange),
            };
            prop_assert_eq!(int(text.as_bytes()), expected, "{}", text);
        }
    }
}
