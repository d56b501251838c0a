//! Texts as servers write them into a log ↔ as clients sent them.
//!
//! Apache writes `\"`, `\\`, `\b`, `\n`, `\r`, `\t`, `\v`, and `\xhh` for any other byte that is not printable ASCII. nginx
//! writes `\xHH` for all of these.

use std::ops::Range;

use crate::format::record::Span;

/// The text of a stretch of the line, with its escapes resolved. Where there are some, it is appended to the resolved texts.
///
/// What is no escape stays as it is written, and so do escaped bytes that are not UTF-8: texts are UTF-8 everywhere.
pub(super) fn resolved(line: &[u8], range: Range<usize>, unescaped: &mut Vec<u8>) -> Span {
    if memchr::memchr(b'\\', &line[range.clone()]).is_none() {
        return Span::plain(range.start, range.end);
    }
    let start = unescaped.len();
    resolve(&line[range], unescaped);
    Span::resolved(start, unescaped)
}

fn resolve(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let length = match rest.get(1) {
            Some(b'x') => bytes(rest, out),
            Some(letter) => control(*letter).map_or(0, |byte| {
                out.push(byte);
                2
            }),
            None => 0,
        };
        if length == 0 {
            out.push(b'\\');
        }
        rest = &rest[length.max(1)..];
    }
    out.extend_from_slice(rest);
}

fn control(letter: u8) -> Option<u8> {
    match letter {
        b'"' | b'\\' => Some(letter),
        b'b' => Some(8),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'v' => Some(11),
        _ => None,
    }
}

/// Resolves all of the `\xhh` that the text begins with, which may be characters only together. Gives how long they are.
fn bytes(text: &[u8], out: &mut Vec<u8>) -> usize {
    let escaped: Vec<u8> = text.chunks_exact(4).map_while(byte).collect();
    let mut at = 0;
    for chunk in escaped.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        at += chunk.valid().len();
        let written = 4 * at..4 * (at + chunk.invalid().len());
        out.extend_from_slice(&text[written]);
        at += chunk.invalid().len();
    }
    4 * at
}

/// The byte of `\xhh`.
fn byte(escape: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low] = escape else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// Appends a text with escapes for quotes, backslashes and control characters, and for blanks too if it stands in no quotes.
pub(super) fn push_escaped(line: &mut String, text: &str, in_quotes: bool) {
    for character in text.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            ' ' if in_quotes => line.push(' '),
            '\0'..=' ' | '\x7f' => line.push_str(&format!("\\x{:02x}", u32::from(character))),
            _ => line.push(character),
        }
    }
}
