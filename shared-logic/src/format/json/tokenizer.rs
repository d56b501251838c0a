//! A JSON document → one token per declared field, in one pass.
//!
//! The whole document is checked against RFC 8259, the undeclared parts too. Where a member is repeated, the last one
//! stands. Declared members usually come in the declared order, so the next field is tried first.

use crate::format::number::number_end;
use crate::format::record::{Record, Span, Token};
use crate::rejection::Reason;
use crate::schema::Field;

/// JSON nested deeper than this is refused as `not_json`.
pub const MAX_DEPTH: u32 = 128;

/// Fills the record's tokens, resolved texts and undeclared members.
///
/// # Errors
/// [`Reason::NotJson`], or [`Reason::NotObject`] if the document is JSON of another kind.
pub(super) fn tokenize(fields: &[Field], payload: &[u8], record: &mut Record) -> Result<(), Reason> {
    let mut at = skip_space(payload, 0);
    if payload.get(at) != Some(&b'{') {
        let end = skip_value(payload, at, 0).ok_or(Reason::NotJson)?;
        let whole = skip_space(payload, end) == payload.len();
        return Err(if whole { Reason::NotObject } else { Reason::NotJson });
    }
    at = skip_space(payload, at + 1);
    if payload.get(at) == Some(&b'}') {
        at += 1;
    } else {
        at = members(fields, payload, at, record).ok_or(Reason::NotJson)?;
    }
    if skip_space(payload, at) == payload.len() { Ok(()) } else { Err(Reason::NotJson) }
}

/// Reads members up to and including the closing brace; gives the position behind it.
fn members(fields: &[Field], payload: &[u8], mut at: usize, record: &mut Record) -> Option<usize> {
    let mut expected = 0;
    loop {
        let member_start = at;
        let name_start = at + 1;
        let (name_end, name_escaped) = string_end(payload, at)?;
        at = skip_space(payload, name_end + 1);
        if payload.get(at) != Some(&b':') {
            return None;
        }
        at = skip_space(payload, at + 1);
        let name = &payload[name_start..name_end];
        let field = if name_escaped { escaped_field(fields, name)? } else { field(fields, name, expected) };
        match field {
            Some(field) => {
                let (token, end) = token(payload, at, record)?;
                record.tokens[field] = token;
                expected = field + 1;
                at = end;
            }
            None => {
                at = skip_value(payload, at, 1)?;
                record.extra.push((member_start as u32, at as u32));
            }
        }
        at = skip_space(payload, at);
        match payload.get(at)? {
            b',' => at = skip_space(payload, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The position of the field of that name, trying `expected` first.
fn field(fields: &[Field], name: &[u8], expected: usize) -> Option<usize> {
    if fields.get(expected).is_some_and(|field| field.name.as_bytes() == name) {
        return Some(expected);
    }
    fields.iter().position(|field| field.name.as_bytes() == name)
}

/// Like [`field`], for a name with escapes; the outer `None` is a bad escape.
fn escaped_field(fields: &[Field], name: &[u8]) -> Option<Option<usize>> {
    let mut resolved = Vec::new();
    resolve(name, &mut resolved)?;
    Some(field(fields, &resolved, 0))
}

/// Reads a declared member's value and gives the position behind it.
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
        b'{' | b'[' => Some((Token::Nested, skip_value(payload, at, 1)?)),
        b't' => literal(payload, at, b"true").map(|end| (Token::Bool(true), end)),
        b'f' => literal(payload, at, b"false").map(|end| (Token::Bool(false), end)),
        b'n' => literal(payload, at, b"null").map(|end| (Token::Absent, end)),
        _ => {
            let end = number_end(payload, at)?;
            Some((Token::Number(Span { start: at as u32, end: end as u32, resolved: false }), end))
        }
    }
}

fn skip_space(payload: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = payload.get(at) {
        at += 1;
    }
    at
}

/// Checks any value and gives the position behind it.
fn skip_value(payload: &[u8], at: usize, depth: u32) -> Option<usize> {
    match payload.get(at)? {
        b'"' => {
            let (end, escaped) = string_end(payload, at)?;
            if escaped {
                check_escapes(&payload[at + 1..end])?;
            }
            Some(end + 1)
        }
        b'{' if depth < MAX_DEPTH => skip_object(payload, at, depth + 1),
        b'[' if depth < MAX_DEPTH => skip_array(payload, at, depth + 1),
        b't' => literal(payload, at, b"true"),
        b'f' => literal(payload, at, b"false"),
        b'n' => literal(payload, at, b"null"),
        _ => number_end(payload, at),
    }
}

fn skip_object(payload: &[u8], at: usize, depth: u32) -> Option<usize> {
    let mut at = skip_space(payload, at + 1);
    if payload.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        let (end, escaped) = string_end(payload, at)?;
        if escaped {
            check_escapes(&payload[at + 1..end])?;
        }
        at = skip_space(payload, end + 1);
        if payload.get(at) != Some(&b':') {
            return None;
        }
        at = skip_value(payload, skip_space(payload, at + 1), depth)?;
        at = skip_space(payload, at);
        match payload.get(at)? {
            b',' => at = skip_space(payload, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn skip_array(payload: &[u8], at: usize, depth: u32) -> Option<usize> {
    let mut at = skip_space(payload, at + 1);
    if payload.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    loop {
        at = skip_value(payload, at, depth)?;
        at = skip_space(payload, at);
        match payload.get(at)? {
            b',' => at = skip_space(payload, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn literal(payload: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    payload[at..].starts_with(word).then_some(at + word.len())
}

/// The position of the closing quote of the string that opens at `at`, and whether it holds escapes. Control characters
/// are refused.
fn string_end(payload: &[u8], at: usize) -> Option<(usize, bool)> {
    if payload.get(at) != Some(&b'"') {
        return None;
    }
    let mut escaped = false;
    let mut at = at + 1;
    loop {
        at = plain_end(payload, at);
        match payload.get(at)? {
            b'"' => return Some((at, escaped)),
            b'\\' => {
                escaped = true;
                at += 2;
            }
            _ => return None,
        }
    }
}

/// The position of the first quote, backslash or control character at or behind `at`; eight bytes at a time.
fn plain_end(payload: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = payload.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        let zero = |x: u64| x.wrapping_sub(ONES) & !x & HIGHS;
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while payload.get(at).is_some_and(|b| *b >= 0x20 && *b != b'"' && *b != b'\\') {
        at += 1;
    }
    at
}

fn check_escapes(text: &[u8]) -> Option<()> {
    resolve(text, &mut Vec::new())
}

/// Appends the text with its escapes resolved; `None` for a bad escape or half a surrogate pair.
fn resolve(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut at = 0;
    while let Some(step) = memchr::memchr(b'\\', &text[at..]) {
        out.extend_from_slice(&text[at..at + step]);
        at += step + 2;
        match text.get(at - 1)? {
            b'"' => out.push(b'"'),
            b'\\' => out.push(b'\\'),
            b'/' => out.push(b'/'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (scalar, end) = unicode(text, at)?;
                out.extend_from_slice(scalar.encode_utf8(&mut [0; 4]).as_bytes());
                at = end;
            }
            _ => return None,
        }
    }
    out.extend_from_slice(&text[at..]);
    Some(())
}

/// The character of `\uXXXX`, or of a surrogate pair, whose digits begin at `at`; and the position behind it.
fn unicode(text: &[u8], at: usize) -> Option<(char, usize)> {
    let first = hex4(text, at)?;
    if !(0xD800..0xE000).contains(&first) {
        return Some((char::from_u32(first)?, at + 4));
    }
    if text.get(at + 4..at + 6) != Some(b"\\u") {
        return None;
    }
    let second = hex4(text, at + 6)?;
    if first >= 0xDC00 || !(0xDC00..0xE000).contains(&second) {
        return None;
    }
    Some((char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))?, at + 10))
}

fn hex4(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..at + 4)?.iter().try_fold(0, |n, b| Some(n * 16 + (*b as char).to_digit(16)?))
}
