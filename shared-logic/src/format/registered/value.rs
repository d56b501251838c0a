//! A value whose type the writer's schema tells → a token of the type that the source declares.
//!
//! The declared type decides what a value may be, as it does for the other formats:
//!
//! | declared | taken |
//! |---|---|
//! | `string` | text, symbols of enums, UUIDs, decimals; with `numbers`, integers |
//! | `int` | integers of any width, decimals without a fraction |
//! | `float` | floats, integers, decimals |
//! | `bool` | booleans |
//! | `timestamp` | instants; integers and texts as the field's `format` says |

use std::fmt;
use std::io::Write;

use crate::format::record::{Cell, Span, Token};
use crate::rejection::Reason;
use crate::schema::{EpochUnit, Field, FieldType};
use crate::time::{MAX_INSTANT_US, MIN_INSTANT_US};

/// A value of a datum.
#[derive(Debug, Clone, Copy)]
pub(in crate::format) enum Value<'a> {
    Bool(bool),
    /// An integer of any width.
    Int(i128),
    /// An integer that the schema calls a date, a time of day or the like: not an instant.
    NoInstant(i64),
    Float(f64),
    /// Text that lies in the payload.
    Text(Span),
    /// Text that lies elsewhere.
    Word(&'a str),
    /// So many units since 1970.
    Instant(i128, EpochUnit),
    Decimal(Decimal),
    /// Bytes, a record, a list: nothing that a field can hold.
    Other,
}

/// A decimal number: an integer, divided by a power of ten.
#[derive(Debug, Clone, Copy)]
pub(in crate::format) struct Decimal {
    /// The integer; `None` if 128 bits do not hold it.
    unscaled: Option<i128>,
    /// The power of ten.
    scale: u32,
}

impl Value<'_> {
    /// What a field finds. Texts that do not lie in the payload are appended to `texts`.
    ///
    /// Texts, and numbers that stand for a text or an instant, are then read like those of any other format.
    pub(in crate::format) fn token(self, field: &Field, texts: &mut Vec<u8>) -> Token {
        let cell = match (field.kind, self) {
            (FieldType::String | FieldType::Timestamp, Value::Text(span)) => return Token::Text(span),
            (FieldType::String | FieldType::Timestamp, Value::Word(word)) => return Token::Text(kept(word, texts)),
            (FieldType::String, Value::Decimal(decimal)) => match decimal.digits() {
                Ok(digits) => return Token::Text(kept(digits, texts)),
                Err(reason) => Err(reason),
            },
            (FieldType::String, Value::Int(number)) if field.numbers => return Token::Number(kept(number, texts)),
            (FieldType::Timestamp, Value::Int(number)) => return Token::Number(kept(number, texts)),
            (FieldType::Timestamp, Value::Instant(count, unit)) => micros(count, unit).map(Cell::Int),
            (FieldType::Int, value) => value.int().map(Cell::Int),
            (FieldType::Float, value) => value.float().map(Cell::Float),
            (FieldType::Bool, Value::Bool(value)) => Ok(Cell::Bool(value)),
            _ => Err(Reason::WrongType),
        };
        Token::Typed(cell)
    }

    fn int(self) -> Result<i64, Reason> {
        match self {
            Value::Int(number) => i64::try_from(number).map_err(|_| Reason::OutOfRange),
            Value::NoInstant(number) => Ok(number),
            Value::Decimal(decimal) => decimal.whole(),
            _ => Err(Reason::WrongType),
        }
    }

    fn float(self) -> Result<f64, Reason> {
        let value = match self {
            Value::Float(value) => value,
            Value::Int(number) => number as f64,
            // Read from its digits, so that it is the float that is nearest to the decimal number.
            Value::Decimal(decimal) => decimal.digits()?.parse::<f64>().map_err(|_| Reason::OutOfRange)?,
            _ => return Err(Reason::WrongType),
        };
        // Negative zero is zero.
        if value.is_finite() { Ok(value + 0.0) } else { Err(Reason::OutOfRange) }
    }
}

/// The cell of a field, from a token that [`Value::token`] has made and that is not the text of an instant.
pub(in crate::format) fn cell(token: Token) -> Result<Cell, Reason> {
    match token {
        Token::Text(span) | Token::Number(span) => Ok(Cell::Text(span)),
        Token::Typed(cell) => cell,
        _ => Err(Reason::WrongType),
    }
}

impl Decimal {
    /// From two's complement, the highest byte first. No bytes are zero.
    pub(in crate::format) fn of_bytes(bytes: &[u8], scale: u32) -> Decimal {
        let fill = if bytes.first().is_some_and(|first| *first >= 0x80) { 0xff } else { 0 };
        let significant = &bytes[bytes.iter().take_while(|byte| **byte == fill).count()..];
        let mut wide = [fill; 16];
        let unscaled = 16_usize.checked_sub(significant.len()).and_then(|at| {
            wide[at..].copy_from_slice(significant);
            let value = i128::from_be_bytes(wide);
            // The bit of the sign may have been among those that 128 bits do not hold.
            ((value < 0) == (fill == 0xff)).then_some(value)
        });
        Decimal { unscaled, scale }
    }

    /// The number as text, with as many digits behind the point as the scale says.
    fn digits(self) -> Result<String, Reason> {
        let unscaled = self.unscaled.ok_or(Reason::OutOfRange)?;
        let sign = if unscaled < 0 { "-" } else { "" };
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", unscaled.unsigned_abs().to_string(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let point = if scale > 0 { "." } else { "" };
        Ok(format!("{sign}{whole}{point}{fraction}"))
    }

    fn whole(self) -> Result<i64, Reason> {
        let unscaled = self.unscaled.ok_or(Reason::OutOfRange)?;
        let whole = match 10_i128.checked_pow(self.scale) {
            Some(power) if unscaled % power == 0 => unscaled / power,
            None if unscaled == 0 => 0,
            _ => return Err(Reason::WrongType),
        };
        i64::try_from(whole).map_err(|_| Reason::OutOfRange)
    }
}

/// Appends a text.
fn kept(text: impl fmt::Display, texts: &mut Vec<u8>) -> Span {
    let start = texts.len();
    write!(texts, "{text}").expect("a Vec takes any text");
    Span::resolved(start, texts)
}

/// An instant in microseconds; what is finer is cut off.
fn micros(count: i128, unit: EpochUnit) -> Result<i64, Reason> {
    let us = match unit {
        EpochUnit::Seconds => count.checked_mul(1_000_000),
        EpochUnit::Milliseconds => count.checked_mul(1_000),
        EpochUnit::Microseconds => Some(count),
        EpochUnit::Nanoseconds => Some(count.div_euclid(1_000)),
    };
    let us = us.and_then(|us| i64::try_from(us).ok()).ok_or(Reason::OutOfRange)?;
    if (MIN_INSTANT_US..MAX_INSTANT_US).contains(&us) { Ok(us) } else { Err(Reason::OutOfRange) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cell of a value that is no text.
    fn cell(kind: FieldType, value: Value<'_>) -> Result<Cell, Reason> {
        match value.token(&Field::new("f", kind, false), &mut Vec::new()) {
            Token::Typed(cell) => cell,
            token => panic!("{token:?}"),
        }
    }

    /// The text of a value.
    fn text_for(field: &Field, value: Value<'_>) -> Result<String, Reason> {
        let mut texts = b"before".to_vec();
        match value.token(field, &mut texts) {
            Token::Text(span) | Token::Number(span) => {
                Ok(String::from_utf8(span.of(b"", &texts).to_vec()).expect("UTF-8"))
            }
            Token::Typed(Err(reason)) => Err(reason),
            token => panic!("{token:?}"),
        }
    }

    fn text_of(value: Value<'_>) -> Result<String, Reason> {
        text_for(&Field::new("f", FieldType::String, false), value)
    }

    #[test]
    fn integers_of_any_width_are_taken_if_64_bits_hold_them() {
        let int = |number: i128| cell(FieldType::Int, Value::Int(number));
        assert_eq!(int(i128::from(i64::MIN)), Ok(Cell::Int(i64::MIN)));
        assert_eq!(int(i128::from(u64::MAX)), Err(Reason::OutOfRange));
        assert_eq!(cell(FieldType::Int, Value::Float(1.0)), Err(Reason::WrongType));
        assert_eq!(cell(FieldType::Float, Value::Int(-3)), Ok(Cell::Float(-3.0)));
        assert_eq!(cell(FieldType::Float, Value::Float(f64::NAN)), Err(Reason::OutOfRange));
        assert_eq!(text_of(Value::Int(7)), Err(Reason::WrongType));
        let numbers = Field { numbers: true, ..Field::new("f", FieldType::String, false) };
        assert_eq!(text_for(&numbers, Value::Int(-7)).as_deref(), Ok("-7"));
    }

    #[test]
    fn decimals_are_exact_as_text_and_whole_ones_are_integers() {
        let of = |bytes: &[u8], scale| Value::Decimal(Decimal::of_bytes(bytes, scale));
        assert_eq!(text_of(of(&[0x04, 0xd2], 2)).as_deref(), Ok("12.34"));
        assert_eq!(text_of(of(&[0xff], 3)).as_deref(), Ok("-0.001"));
        assert_eq!(text_of(of(&[], 0)).as_deref(), Ok("0"));
        assert_eq!(text_of(of(&[0xff; 40], 1)).as_deref(), Ok("-0.1"), "the same number in more bytes");
        assert_eq!(text_of(of(&[0x01; 17], 0)), Err(Reason::OutOfRange));
        assert_eq!(text_of(of(&[&[0x00][..], &[0xff; 16]].concat(), 0)), Err(Reason::OutOfRange), "2^128 - 1");
        assert_eq!(cell(FieldType::Int, of(&[0x04, 0xb0], 2)), Ok(Cell::Int(12)));
        assert_eq!(cell(FieldType::Int, of(&[0x04, 0xd2], 2)), Err(Reason::WrongType));
        assert_eq!(cell(FieldType::Int, of(&[0x01], 4_000)), Err(Reason::WrongType));
        assert_eq!(cell(FieldType::Int, of(&[0x00], 4_000)), Ok(Cell::Int(0)));
        assert_eq!(cell(FieldType::Float, of(&[0x01], 1)), Ok(Cell::Float(0.1)));
    }

    #[test]
    fn instants_have_units_and_a_range() {
        let at = |value| cell(FieldType::Timestamp, value);
        assert_eq!(at(Value::Instant(1, EpochUnit::Milliseconds)), Ok(Cell::Int(1_000)));
        assert_eq!(at(Value::Instant(-1, EpochUnit::Nanoseconds)), Ok(Cell::Int(-1)));
        assert_eq!(at(Value::Instant(i128::MAX, EpochUnit::Seconds)), Err(Reason::OutOfRange));
        assert_eq!(at(Value::Instant(i128::from(MAX_INSTANT_US), EpochUnit::Microseconds)), Err(Reason::OutOfRange));
        assert_eq!(at(Value::NoInstant(1)), Err(Reason::WrongType), "a date is no instant");
        assert_eq!(at(Value::Bool(true)), Err(Reason::WrongType));
        let timestamp = Field::new("f", FieldType::Timestamp, false);
        assert_eq!(text_for(&timestamp, Value::Int(-1)).as_deref(), Ok("-1"), "its unit is the field's");
        assert_eq!(text_for(&timestamp, Value::Word("yesterday")).as_deref(), Ok("yesterday"));
    }
}
