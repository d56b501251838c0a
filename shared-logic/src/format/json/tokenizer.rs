//! A JSON document → one token per declared field, in one pass.
//!
//! The whole document is checked against RFC 8259, the undeclared parts too. Where a member is repeated, the last one stands,
//! with all that is inside of it. Declared members usually come in the declared order, so the next one is tried first.

use super::places::{Node, Places};
use super::skip::{literal, skip_colon, skip_space, skip_value};
use super::strings::{resolve, string_end};
use crate::format::number::number_end;
use crate::format::record::{Record, Span, Token};
use crate::rejection::Reason;

/// Fills the record's tokens and resolved texts.
///
/// # Errors
/// [`Reason::NotJson`], or [`Reason::NotObject`] if the document is JSON of another kind.
pub(super) fn tokenize(places: &Places, payload: &[u8], record: &mut Record) -> Result<(), Reason> {
    let start = skip_space(payload, 0);
    let is_object = payload.get(start) == Some(&b'{');
    let end = if is_object {
        object(&places.root, payload, start, record)
    } else {
        skip_value(payload, start, &mut record.open)
    };
    if end.is_none_or(|end| skip_space(payload, end) < payload.len()) {
        return Err(Reason::NotJson);
    }
    if !is_object {
        return Err(Reason::NotObject);
    }
    for (earlier, field) in &places.alike {
        record.tokens[*field] = record.tokens[*earlier];
    }
    Ok(())
}

/// Reads the object that opens at `at`, and gives the position behind it.
fn object(node: &Node, payload: &[u8], at: usize, record: &mut Record) -> Option<usize> {
    let mut at = skip_space(payload, at + 1);
    if payload.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    let mut expected = 0;
    loop {
        let (name_end, escaped) = string_end(payload, at)?;
        let name = &payload[at + 1..name_end];
        let member =
            if escaped { escaped_member(node, name, &mut record.unescaped)? } else { node.member(name, expected) };
        at = skip_colon(payload, name_end + 1)?;
        at = match member {
            Some(member) => {
                expected = member + 1;
                value(&node.members[member].1, payload, at, record)?
            }
            None => skip_value(payload, at, &mut record.open)?,
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
fn array(node: &Node, payload: &[u8], at: usize, record: &mut Record) -> Option<usize> {
    let mut at = skip_space(payload, at + 1);
    if payload.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    let mut wanted = node.elements.iter().peekable();
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

/// [`Node::member`] for a name with escapes; the outer `None` is a bad escape.
fn escaped_member(node: &Node, name: &[u8], unescaped: &mut Vec<u8>) -> Option<Option<usize>> {
    let start = unescaped.len();
    resolve(name, unescaped)?;
    let member = node.member(&unescaped[start..], 0);
    unescaped.truncate(start);
    Some(member)
}

/// Reads a value that a path leads to or through, and gives the position behind it.
fn value(node: &Node, payload: &[u8], at: usize, record: &mut Record) -> Option<usize> {
    // What an earlier member of this name held does not stand.
    for field in &node.inside {
        record.tokens[*field] = Token::Absent;
    }
    let (token, end) = match payload.get(at)? {
        b'{' if !node.members.is_empty() => (Token::Nested, object(node, payload, at, record)?),
        b'[' if !node.elements.is_empty() => (Token::Nested, array(node, payload, at, record)?),
        _ => token(payload, at, record)?,
    };
    if let Some(field) = node.field {
        record.tokens[field] = token;
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
