//! A line → where its columns stand.

use std::ops::Range;

use super::{
    BYTES, COLUMNS, IDENT, METHOD, PROTOCOL, REFERER, REMOTE_HOST, REQUEST, STATUS, TARGET, TIME_OF_REQUEST, USER,
    USER_AGENT, escapes, request,
};
use crate::format::record::Span;

/// The text of each column, by its number; `None` where the line has none. Texts with escapes are appended to the resolved
/// ones.
pub(super) type Columns = [Option<Span>; COLUMNS.len()];

/// Splits a line. `None` if it has another form, such as one with a virtual host in front.
///
/// What follows the user agent is left out, as in nginx's packaged format `main`, where forwarded addresses follow.
pub(super) fn columns(line: &[u8], unescaped: &mut Vec<u8>) -> Option<Columns> {
    if memchr::memchr(b'\n', line).is_some() {
        return None;
    }
    let mut columns: Columns = [None; COLUMNS.len()];
    // Where a user's name holds `] "`, the quote is escaped. So the first such quote begins the request, behind the time.
    let quote = memchr::memchr_iter(b'"', line).find(|at| line[..*at].ends_with(b"] "))?;
    let time_end = quote - 2;
    let bracket = memchr::memrchr_iter(b'[', &line[..time_end]).find(|at| line[..*at].ends_with(b" "))?;
    columns[TIME_OF_REQUEST] = Some(Span::plain(bracket + 1, time_end));
    let client = client(&line[..bracket - 1])?;
    for (column, range) in [REMOTE_HOST, IDENT, USER].into_iter().zip(client) {
        columns[column] = Some(escapes::resolved(line, range, unescaped));
    }

    let (request, end) = in_quotes(line, quote + 1)?;
    let request = escapes::resolved(line, request, unescaped);
    columns[REQUEST] = Some(request);
    if let Some(parts) = request::parts(request.of(line, unescaped)) {
        for (column, part) in [METHOD, TARGET, PROTOCOL].into_iter().zip(parts) {
            columns[column] = part.map(|part| part_of(request, &part));
        }
    }

    let (status, end) = word(line, end)?;
    let (bytes, end) = word(line, end)?;
    columns[STATUS] = Some(Span::plain(status.start, status.end));
    columns[BYTES] = Some(Span::plain(bytes.start, bytes.end));
    if end == line.len() {
        return Some(columns);
    }
    let (referer, end) = next_in_quotes(line, end)?;
    let (user_agent, end) = next_in_quotes(line, end)?;
    columns[REFERER] = Some(escapes::resolved(line, referer, unescaped));
    columns[USER_AGENT] = Some(escapes::resolved(line, user_agent, unescaped));
    matches!(line.get(end), None | Some(b' ')).then_some(columns)
}

/// Host, ident and user. Only the user may hold blanks, and only without an ident: with one, a virtual host stands in front.
fn client(text: &[u8]) -> Option<[Range<usize>; 3]> {
    let host_end = memchr::memchr(b' ', text)?;
    let ident_end = host_end + 1 + memchr::memchr(b' ', &text[host_end + 1..])?;
    let (ident, user) = (host_end + 1..ident_end, ident_end + 1..text.len());
    let is_plain = memchr::memchr(b' ', &text[user.clone()]).is_none() || text[ident.clone()] == *b"-";
    let all = [0..host_end, ident, user];
    (is_plain && all.iter().all(|part| !part.is_empty())).then_some(all)
}

/// The text up to the next quote that is not escaped, and the position behind that quote.
fn in_quotes(line: &[u8], start: usize) -> Option<(Range<usize>, usize)> {
    let mut at = start;
    loop {
        at += memchr::memchr2(b'"', b'\\', line.get(at..)?)?;
        if line[at] == b'"' {
            return Some((start..at, at + 1));
        }
        at += 2;
    }
}

/// The text in quotes behind a blank.
fn next_in_quotes(line: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    if line.get(at..at + 2) == Some(b" \"") { in_quotes(line, at + 2) } else { None }
}

/// The text behind a blank, up to the next one.
fn word(line: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let start = at + 1;
    if line.get(at) != Some(&b' ') {
        return None;
    }
    let end = memchr::memchr(b' ', &line[start..]).map_or(line.len(), |length| start + length);
    (end > start).then_some((start..end, end))
}

fn part_of(whole: Span, part: &Range<usize>) -> Span {
    let (start, end) = (whole.start + part.start as u32, whole.start + part.end as u32);
    Span { start, end, resolved: whole.resolved }
}
