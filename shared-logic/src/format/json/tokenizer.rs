//! A JSON document → one token per declared field, in one pass.
//!
//! The whole document is checked against RFC 8259, the undeclared parts too. Where a member is repeated, the last one stands,
//! with all that is inside of it. Declared members usually come in the declared order, so the next one is tried first.

use super::skip::{literal, skip_colon, skip_space, skip_value};
use super::strings::{resolve, string_end};
use crate::format::number::number_end;
use crate::format::places::Places;
use crate::format::record::{Record, Span, Token};
use crate::rejection::Reason;

/// Fills the record's tokens and resolved texts.
///
/// # Errors
/// [`Reason::NotJson`], or [`Reason::NotObject`] if the document is JSON of another kind.
pub(in crate::format) fn tokenize(places: &Places, payload: &[u8], record: &mut Record) -> Result<(), Reason> {
    let start = skip_space(payload, 0);
    let is_object = payload.get(start) == Some(&b'{');
    let end =
        if is_object { object(places, payload, start, record) } else { skip_value(payload, start, &mut record.open) };
    if end.is_none_or(|end| skip_space(payload, end) < payload.len()) {
        return Err(Reason::NotJson);
    }
    if !is_object {
        return Err(Reason::NotObject);
    }
    Ok(())
}

/// Reads the object that opens at `at`, and gives the position behind it.
fn object(places: &Places, payload: &[u8], at: usize, record: &mut Record) -> Option<usize> {
    let mut at = skip_space(payload, at + 1);
    if payload.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    let mut expected = 0;
    loop {
        let (member, value_at) = name(places, payload, at, expected, record)?;
        at = match member {
            Some(member) => {
                expected = member + 1;
                value(&places.members[member].1, payload, value_at, record)?
            }
            None => skip_value(payload, value_at, &mut record.open)?,
        };
        at = skip_space(payload, at);
        match payload.get(at)? {
            b',' => at = skip_space(payload, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Reads the array that opens at `at`, and gives the position behind it.
fn array(places: &Places, payload: &[u8], at: usize, record: &mut Record) -> Option<usize> {
    let mut at = skip_space(payload, at + 1);
    if payload.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    let mut wanted = places.elements.iter().peekable();
    let mut position = 0;
    loop {
        at = match wanted.next_if(|(at, _)| *at == position) {
            Some((_, element)) => value(element, payload, at, record)?,
            None => skip_value(payload, at, &mut record.open)?,
        };
        position += 1;
        at = skip_space(payload, at);
        match payload.get(at)? {
            b',' => at = skip_space(payload, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The member whose name begins at `at`, if a path leads to it, and the position of its value.
fn name(
    places: &Places,
    payload: &[u8],
    at: usize,
    expected: usize,
    record: &mut Record,
) -> Option<(Option<usize>, usize)> {
    // As a rule it is the expected one, and written as most programs do. Then it is compared, and looked at no further.
    if let Some((_, expected_places)) = places.members.get(expected)
        && payload[at..].starts_with(expected_places.written.as_bytes())
    {
        return Some((Some(expected), skip_space(payload, at + expected_places.written.len())));
    }
    let (end, escaped) = string_end(payload, at)?;
    let name = &payload[at + 1..end];
    let member =
        if escaped { escaped_member(places, name, &mut record.unescaped)? } else { places.member(name, expected) };
    Some((member, skip_colon(payload, end + 1)?))
}

/// [`Places::member`] for a name with escapes; the outer `None` is a bad escape.
fn escaped_member(places: &Places, name: &[u8], unescaped: &mut Vec<u8>) -> Option<Option<usize>> {
    let start = unescaped.len();
    resolve(name, unescaped)?;
    let member = places.member(&unescaped[start..], 0);
    unescaped.truncate(start);
    Some(member)
}

/// Reads a value that a path leads to or through, and gives the position behind it.
fn value(places: &Places, payload: &[u8], at: usize, record: &mut Record) -> Option<usize> {
    // What an earlier member of this name held does not stand.
    for field in &places.inside {
        record.tokens[*field] = Token::Absent;
    }
    let (token, end) = match payload.get(at)? {
        b'{' if !places.members.is_empty() => (Token::Nested, object(places, payload, at, record)?),
        b'[' if !places.elements.is_empty() => (Token::Nested, array(places, payload, at, record)?),
        _ => token(payload, at, record)?,
    };
    for field in &places.fields {
        record.tokens[*field] = token;
    }
    Some(end)
}

/// The token of the value that begins at `at`, and the position behind it.
fn token(payload: &[u8], at: usize, record: &mut Record) -> Option<(Token, usize)> {
    match payload.get(at)? {
        b'"' => {
            let (end, escaped) = string_end(payload, at)?;
            let span = if escaped {
                let start = record.unescaped.len() as u32;
                resolve(&payload[at + 1..end], &mut record.unescaped)?;
                Span { start, end: record.unescaped.len() as u32, resolved: true }
            } else {
                Span { start: at as u32 + 1, end: end as u32, resolved: false }
            };
            Some((Token::Text(span), end + 1))
        }
        b'{' | b'[' => Some((Token::Nested, skip_value(payload, at, &mut record.open)?)),
        b't' => literal(payload, at, b"true").map(|end| (Token::Bool(true), end)),
        b'f' => literal(payload, at, b"false").map(|end| (Token::Bool(false), end)),
        b'n' => literal(payload, at, b"null").map(|end| (Token::Absent, end)),
        _ => {
            let end = number_end(payload, at)?;
            Some((Token::Number(Span { start: at as u32, end: end as u32, resolved: false }), end))
        }
    }
}
