//! Strings of a document: where they end, and what their escapes stand for.
//!
//! JavaScript cuts texts between the halves of a surrogate pair, and RFC 8259 lets `"\ud83d"` pass. A half that stands alone
//! is no character, and is read as U+FFFD, the replacement character.

/// The position of the closing quote of the string that opens at `at`, and whether it holds escapes, which are not looked
/// at. Control characters are refused.
pub(super) fn string_end(payload: &[u8], at: usize) -> Option<(usize, bool)> {
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

/// Checks the escapes of a text; `None` for a bad one.
pub(super) fn check_escapes(text: &[u8]) -> Option<()> {
    let mut at = 0;
    while let Some(step) = memchr::memchr(b'\\', &text[at..]) {
        at = escape(text, at + step)?.1;
    }
    Some(())
}

/// Appends the text with its escapes resolved; `None` for a bad escape.
pub(super) fn resolve(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut at = 0;
    while let Some(step) = memchr::memchr(b'\\', &text[at..]) {
        out.extend_from_slice(&text[at..at + step]);
        let (character, end) = escape(text, at + step)?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        at = end;
    }
    out.extend_from_slice(&text[at..]);
    Some(())
}

/// The character of the escape whose backslash stands at `at`, and the position behind it.
fn escape(text: &[u8], at: usize) -> Option<(char, usize)> {
    let character = match text.get(at + 1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text, at + 2),
        _ => return None,
    };
    Some((character, at + 2))
}

/// The character of `\uXXXX`, or of a surrogate pair, whose digits begin at `at`; and the position behind it.
fn unicode(text: &[u8], at: usize) -> Option<(char, usize)> {
    let first = hex4(text, at)?;
    if !(0xD800..0xE000).contains(&first) {
        return Some((char::from_u32(first)?, at + 4));
    }
    let second = if text.get(at + 4..at + 6) == Some(b"\\u") { hex4(text, at + 6) } else { None };
    match second {
        Some(second @ 0xDC00..0xE000) if first < 0xDC00 => {
            Some((char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))?, at + 10))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, at + 4)),
    }
}

fn hex4(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..at + 4)?.iter().try_fold(0, |n, b| Some(n * 16 + (*b as char).to_digit(16)?))
}
