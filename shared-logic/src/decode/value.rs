//! A token → a typed cell, as its field declares.

use super::{Cell, Span, Token};
use crate::catalog::Format;
use crate::rejection::Reason;
use crate::schema::MAX_INT;
use crate::schema::{Field, FieldType};
use crate::time::{MAX_INSTANT_US, MIN_INSTANT_US, parse_rfc3339};

/// The cell of one field.
///
/// # Errors
/// `missing_field`, `wrong_type` or `out_of_range`.
pub(super) fn cell(
    field: &Field,
    format: Format,
    token: Token,
    payload: &[u8],
    unescaped: &[u8],
) -> Result<Cell, Reason> {
    match (token, format) {
        (Token::Absent, _) if field.optional => Ok(Cell::Null),
        (Token::Absent, _) => Err(Reason::MissingField),
        (Token::Text(span), Format::Tsv) => from_text(field.kind, span, span.of(payload, unescaped)),
        (token, _) => from_json(field.kind, token, payload, unescaped),
    }
}

fn from_json(kind: FieldType, token: Token, payload: &[u8], unescaped: &[u8]) -> Result<Cell, Reason> {
    match (kind, token) {
        (FieldType::String, Token::Text(span)) => Ok(Cell::Text(span)),
        (FieldType::Int, Token::Number(span)) => int(span.of(payload, unescaped)).map(Cell::Int),
        (FieldType::Float, Token::Number(span)) => float(span.of(payload, unescaped)).map(Cell::Float),
        (FieldType::Bool, Token::Bool(value)) => Ok(Cell::Bool(value)),
        (FieldType::Timestamp, Token::Text(span)) => {
            parse_rfc3339(span.of(payload, unescaped)).map(Cell::Int).ok_or(Reason::WrongType)
        }
        (FieldType::Timestamp, Token::Number(span)) => epoch_ms(span.of(payload, unescaped)),
        _ => Err(Reason::WrongType),
    }
}

fn from_text(kind: FieldType, span: Span, text: &[u8]) -> Result<Cell, Reason> {
    match kind {
        FieldType::String => Ok(Cell::Text(span)),
        FieldType::Int => int(text).map(Cell::Int),
        FieldType::Float if is_number(text) => float(text).map(Cell::Float),
        FieldType::Bool if text == b"true" => Ok(Cell::Bool(true)),
        FieldType::Bool if text == b"false" => Ok(Cell::Bool(false)),
        FieldType::Float | FieldType::Bool => Err(Reason::WrongType),
        FieldType::Timestamp => match parse_rfc3339(text) {
            Some(us) => Ok(Cell::Int(us)),
            None => epoch_ms(text),
        },
    }
}

/// Text that the JSON grammar would take as a number: no `NaN`, no `inf`, no `+1`, no `.5`.
fn is_number(text: &[u8]) -> bool {
    super::json::number_end(text, 0) == Some(text.len())
}

/// An integer without fraction or exponent, within ±(2^53−1).
fn int(text: &[u8]) -> Result<i64, Reason> {
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
fn float(text: &[u8]) -> Result<f64, Reason> {
    let text = std::str::from_utf8(text).map_err(|_| Reason::WrongType)?;
    let value: f64 = text.parse().map_err(|_| Reason::WrongType)?;
    if value.is_finite() { Ok(value + 0.0) } else { Err(Reason::OutOfRange) }
}

/// Milliseconds since 1970, as an instant in microseconds.
fn epoch_ms(text: &[u8]) -> Result<Cell, Reason> {
    let us = int(text)?.checked_mul(1_000).ok_or(Reason::OutOfRange)?;
    if (MIN_INSTANT_US..MAX_INSTANT_US).contains(&us) { Ok(Cell::Int(us)) } else { Err(Reason::OutOfRange) }
}
