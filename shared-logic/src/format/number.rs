//! Text → a number, as every format reads it.

use crate::rejection::Reason;
use crate::schema::MAX_INT;

/// An integer without fraction or exponent, within ±(2^53−1).
pub(super) fn int(text: &[u8]) -> Result<i64, Reason> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::WrongType);
    }
    let significant = &digits[digits.iter().take_while(|b| **b == b'0').count()..];
    if significant.len() > 16 {
        return Err(Reason::OutOfRange);
    }
    let value = significant.iter().fold(0_i64, |n, b| n * 10 + i64::from(b - b'0'));
    if value > MAX_INT {
        return Err(Reason::OutOfRange);
    }
    Ok(if negative { -value } else { value })
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
