//! A line of tab-separated values → one token per field, in the order of the fields.

use super::{Span, Token};
use crate::rejection::Reason;

/// Splits the line into exactly as many columns as there are tokens; one line end at its end is dropped. An empty column
/// is absent.
///
/// # Errors
/// [`Reason::WrongColumns`] if the number of columns differs, or a second line follows.
pub(super) fn tokenize(tokens: &mut [Token], payload: &[u8]) -> Result<(), Reason> {
    let line = payload.strip_suffix(b"\n").unwrap_or(payload);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr::memchr(b'\n', line).is_some() {
        return Err(Reason::WrongColumns);
    }
    let (mut column, mut start) = (0, 0);
    for end in memchr::memchr_iter(b'\t', line).chain([line.len()]) {
        let token = tokens.get_mut(column).ok_or(Reason::WrongColumns)?;
        if end > start {
            *token = Token::Text(Span { start: start as u32, end: end as u32, resolved: false });
        }
        column += 1;
        start = end + 1;
    }
    if column == tokens.len() { Ok(()) } else { Err(Reason::WrongColumns) }
}
