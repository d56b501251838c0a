//! What the formats share that hold nothing but texts: `tsv`, `csv` and `combined`.

use super::number::{float, int, is_number};
use super::record::{Cell, Span, Token};
use super::{FieldValue, Layout, Reader, instant};
use crate::rejection::Reason;
use crate::schema::{Field, FieldType};

/// The payload without one line end at its end.
pub(super) fn without_line_end(payload: &[u8]) -> &[u8] {
    let line = payload.strip_suffix(b"\n").unwrap_or(payload);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether the text stands for an absent value.
pub(super) fn is_null(null: &[String], text: &[u8]) -> bool {
    null.iter().any(|null| null.as_bytes() == text)
}

/// The token of a column's text, without its quotes and escapes.
pub(super) fn token(null: &[String], span: Span, payload: &[u8], unescaped: &[u8]) -> Token {
    if is_null(null, span.of(payload, unescaped)) { Token::Absent } else { Token::Text(span) }
}

/// Splits a line at each delimiter, into exactly as many columns as there are fields with one. The line is the begin of the
/// payload.
///
/// # Errors
/// `wrong_columns` if there are more or fewer.
pub(super) fn split(reader: &Reader, line: &[u8], delimiter: u8, tokens: &mut [Token]) -> Result<(), Reason> {
    let mut columns = tokens[..reader.columns].iter_mut();
    let mut start = 0;
    for end in memchr::memchr_iter(delimiter, line).chain([line.len()]) {
        let column = columns.next().ok_or(Reason::WrongColumns)?;
        *column = token(&reader.null, Span::plain(start, end), line, &[]);
        start = end + 1;
    }
    if columns.next().is_none() { Ok(()) } else { Err(Reason::WrongColumns) }
}

/// The cell of a field that is no instant.
///
/// # Errors
/// `wrong_type` or `out_of_range`.
pub(super) fn cell(field: &Field, token: Token, payload: &[u8], unescaped: &[u8]) -> Result<Cell, Reason> {
    let Token::Text(span) = token else { return Err(Reason::WrongType) };
    let text = span.of(payload, unescaped);
    match field.kind {
        FieldType::String => Ok(Cell::Text(span)),
        FieldType::Int => int(text).map(Cell::Int),
        FieldType::Float if is_number(text) => float(text).map(Cell::Float),
        FieldType::Bool => truth(text).map(Cell::Bool).ok_or(Reason::WrongType),
        FieldType::Float | FieldType::Timestamp => Err(Reason::WrongType),
    }
}

/// The words that databases and spreadsheets write for true and false, in any case.
fn truth(text: &[u8]) -> Option<bool> {
    let is = |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    if is(["true", "t", "1", "yes", "y"]) {
        return Some(true);
    }
    is(["false", "f", "0", "no", "n"]).then_some(false)
}

/// The text of a value, before a format quotes it.
pub(super) fn written(layout: Layout<'_>, field: &Field, value: FieldValue<'_>) -> String {
    match value {
        FieldValue::Instant(us) => instant::write(&field.instants, us, layout.time_zone),
        value => value.to_string(),
    }
}

/// The texts of the values that have a column of their own; an absent one is the first text that stands for that.
pub(super) fn columns(layout: Layout<'_>, values: &[Option<FieldValue<'_>>]) -> Vec<String> {
    let columns = layout.fields.iter().zip(values).filter(|(field, _)| field.has_column());
    let text = |(field, value): (&Field, &Option<FieldValue<'_>>)| match value {
        Some(value) => written(layout, field, *value),
        None => layout.null.first().cloned().unwrap_or_default(),
    };
    columns.map(text).collect()
}
