//! Values that no path leads to: checked against RFC 8259, and passed over.
//!
//! Which brackets are open is noted in a list and not on the stack, so a document may be nested as deep as it is long.

use super::strings::{check_escapes, string_end};
use crate::format::number::number_end;

/// Checks the value that begins at `at`, and gives the position behind it. `open` is room for the list of open brackets.
pub(super) fn skip_value(payload: &[u8], mut at: usize, open: &mut Vec<u8>) -> Option<usize> {
    open.clear();
    loop {
        // Here begins a value.
        at = match payload.get(at)? {
            b'{' => {
                let first = skip_space(payload, at + 1);
                if payload.get(first) != Some(&b'}') {
                    open.push(b'}');
                    at = skip_name(payload, first)?;
                    continue;
                }
                first + 1
            }
            b'[' => {
                let first = skip_space(payload, at + 1);
                if payload.get(first) != Some(&b']') {
                    open.push(b']');
                    at = first;
                    continue;
                }
                first + 1
            }
            _ => skip_scalar(payload, at)?,
        };
        // Here one has ended, and perhaps what holds it.
        loop {
            let Some(&close) = open.last() else { return Some(at) };
            at = skip_space(payload, at);
            match *payload.get(at)? {
                b',' => {
                    let next = skip_space(payload, at + 1);
                    at = if close == b'}' { skip_name(payload, next)? } else { next };
                    break;
                }
                byte if byte == close => {
                    open.pop();
                    at += 1;
                }
                _ => return None,
            }
        }
    }
}

pub(super) fn skip_space(payload: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = payload.get(at) {
        at += 1;
    }
    at
}

/// The position of a member's value, where `at` lies behind the member's name.
pub(super) fn skip_colon(payload: &[u8], at: usize) -> Option<usize> {
    let at = skip_space(payload, at);
    (payload.get(at) == Some(&b':')).then(|| skip_space(payload, at + 1))
}

/// The position behind the word that begins at `at`, if it is that one.
pub(super) fn literal(payload: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    payload[at..].starts_with(word).then_some(at + word.len())
}

/// Checks a member's name, and gives the position of its value.
fn skip_name(payload: &[u8], at: usize) -> Option<usize> {
    skip_colon(payload, skip_string(payload, at)?)
}

fn skip_scalar(payload: &[u8], at: usize) -> Option<usize> {
    match payload.get(at)? {
        b'"' => skip_string(payload, at),
        b't' => literal(payload, at, b"true"),
        b'f' => literal(payload, at, b"false"),
        b'n' => literal(payload, at, b"null"),
        _ => number_end(payload, at),
    }
}

fn skip_string(payload: &[u8], at: usize) -> Option<usize> {
    let (end, escaped) = string_end(payload, at)?;
    if escaped {
        check_escapes(&payload[at + 1..end])?;
    }
    Some(end + 1)
}
