//! Numbers as a person reads them: thousands apart, and floats rounded. What programs read is never written like this.

use std::fmt::Display;

use serde_json::Number;

/// Floats below the first or from the second on are written with an exponent, since three decimals would say nothing or
/// pretend to say too much.
const PLAIN_FLOATS: std::ops::Range<f64> = 0.001..1e15;

/// A number of an answer. An integer has all its digits, a float three decimals.
pub fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => rounded(float),
        _ => grouped(&number.to_string()),
    }
}

/// An integer, such as a count or an offset.
pub fn integer(integer: impl Display) -> String {
    grouped(&integer.to_string())
}

/// A length of time, in the two largest units that it has.
pub fn duration(ms: u64) -> String {
    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match ms {
        ..SECOND => format!("{ms} ms"),
        SECOND..MINUTE => format!("{}.{} s", ms / SECOND, ms % SECOND / 100),
        MINUTE..HOUR => format!("{} min {} s", ms / MINUTE, ms % MINUTE / SECOND),
        HOUR..DAY => format!("{} h {} min", ms / HOUR, ms % HOUR / MINUTE),
        DAY.. => format!("{} d {} h", integer(ms / DAY), ms % DAY / HOUR),
    }
}

fn rounded(float: f64) -> String {
    if float != 0.0 && !PLAIN_FLOATS.contains(&float.abs()) {
        return format!("{float:.3e}");
    }
    let text = format!("{float:.3}");
    let (whole, decimals) = text.split_once('.').unwrap_or((text.as_str(), ""));
    format!("{}.{decimals}", grouped(whole))
}

/// Decimal digits, with a comma before each group of three.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> String {
        number(&serde_json::from_str(json).expect("a number"))
    }

    #[test]
    fn integers_keep_every_digit() {
        assert_eq!(of("0"), "0");
        assert_eq!(of("999"), "999");
        assert_eq!(of("-1000"), "-1,000");
        assert_eq!(of("9007199254740993"), "9,007,199,254,740,993", "2^53 + 1 is no float");
        assert_eq!(of("9223372036854775807"), "9,223,372,036,854,775,807");
        assert_eq!(of("-9223372036854775808"), "-9,223,372,036,854,775,808");
    }

    #[test]
    fn floats_are_rounded_unless_that_would_hide_them() {
        assert_eq!(of("2.0"), "2.000");
        assert_eq!(of("4573.333333333333"), "4,573.333");
        assert_eq!(of("-999.9996"), "-1,000.000");
        assert_eq!(of("0.0"), "0.000");
        assert_eq!(of("0.0004"), "4.000e-4");
        assert_eq!(of("-1.5e300"), "-1.500e300");
    }

    #[test]
    fn durations_have_two_units() {
        assert_eq!([0, 744, 1_000, 59_999].map(duration), ["0 ms", "744 ms", "1.0 s", "59.9 s"]);
        assert_eq!([60_000, 3_725_000].map(duration), ["1 min 0 s", "1 h 2 min"]);
        assert_eq!(duration(90 * 86_400_000 + 3_600_000), "90 d 1 h");
    }
}
