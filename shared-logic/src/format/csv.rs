//! `csv`: one row of comma-separated values per record (RFC 4180), columns in the order of the fields.
//!
//! A column may stand in quotes, and then hold commas, line ends and, doubled, quotes. Quotes change nothing else: a text in
//! quotes that stands for an absent value does so too.

use std::borrow::Cow;

use super::record::{Cell, Record, Span, Token};
use super::{Codec, FieldValue, Layout, Reader, text};
use crate::rejection::Reason;
use crate::schema::Field;

pub(super) struct Csv;

/// One column of a row.
struct Column {
    /// Where its text stands in the row, without the quotes around it.
    start: usize,
    end: usize,
    /// Whether the text holds doubled quotes.
    doubled: bool,
    /// Where the column behind it begins; `None` at the end of the row.
    next: Option<usize>,
}

impl Codec for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn is_positional(&self) -> bool {
        true
    }

    fn null(&self) -> Option<&'static str> {
        Some("")
    }

    fn reasons(&self) -> &'static [Reason] {
        &[Reason::WrongColumns]
    }

    /// Splits the row into exactly as many columns as there are fields with one.
    fn tokenize(&self, reader: &Reader, payload: &[u8], record: &mut Record) -> Result<(), Reason> {
        let row = text::without_line_end(payload);
        let Record { tokens, unescaped, .. } = record;
        // Most rows have no quotes.
        if memchr::memchr3(b'"', b'\n', b'\r', row).is_none() {
            return text::split(reader, row, b',', tokens);
        }
        let mut next = Some(0);
        for token in &mut tokens[..reader.columns] {
            let column = next.and_then(|at| Column::at(row, at)).ok_or(Reason::WrongColumns)?;
            *token = text::token(&reader.null, column.span(row, unescaped), payload, unescaped);
            next = column.next;
        }
        if next.is_none() { Ok(()) } else { Err(Reason::WrongColumns) }
    }

    fn cell(
        &self,
        _reader: &Reader,
        field: &Field,
        token: Token,
        payload: &[u8],
        unescaped: &[u8],
    ) -> Result<Cell, Reason> {
        text::cell(field, token, payload, unescaped)
    }

    fn write(&self, layout: Layout<'_>, values: &[Option<FieldValue<'_>>]) -> Vec<u8> {
        let columns: Vec<String> = text::columns(layout, values).into_iter().map(quoted).collect();
        let row = columns.join(",");
        // A record of no bytes is none.
        if row.is_empty() { b"\"\"".to_vec() } else { row.into_bytes() }
    }

    fn field_text<'a>(&self, layout: Layout<'_>, payload: &'a [u8], at: usize) -> Option<Cow<'a, [u8]>> {
        let row = text::without_line_end(payload);
        let mut column = Column::at(row, 0)?;
        for _ in 0..at {
            column = Column::at(row, column.next?)?;
        }
        let mut unescaped = Vec::new();
        let span = column.span(row, &mut unescaped);
        if text::is_null(layout.null, span.of(payload, &unescaped)) {
            return None;
        }
        Some(if column.doubled { Cow::Owned(unescaped) } else { Cow::Borrowed(&payload[column.start..column.end]) })
    }
}

impl Column {
    /// The column that begins at `at`. `None` if a quote stands elsewhere than around a text or doubled in one, or if the row
    /// ends before the text does.
    fn at(row: &[u8], at: usize) -> Option<Column> {
        let (mut column, end) = match row.get(at) {
            Some(b'"') => Column::in_quotes(row, at + 1)?,
            _ => Column::plain(row, at),
        };
        column.next = match row.get(end) {
            None => None,
            Some(b',') => Some(end + 1),
            Some(_) => return None,
        };
        Some(column)
    }

    /// A text without quotes, and where it ends.
    fn plain(row: &[u8], start: usize) -> (Column, usize) {
        let is_end = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
        let end = row[start..].iter().position(is_end).map_or(row.len(), |length| start + length);
        (Column { start, end, doubled: false, next: None }, end)
    }

    /// A text whose first byte stands at `start`, and the position behind its closing quote.
    fn in_quotes(row: &[u8], start: usize) -> Option<(Column, usize)> {
        let (mut end, mut doubled) = (start, false);
        loop {
            end += memchr::memchr(b'"', row.get(end..)?)?;
            if row.get(end + 1) != Some(&b'"') {
                return Some((Column { start, end, doubled, next: None }, end + 1));
            }
            doubled = true;
            end += 2;
        }
    }

    /// Its text. Where quotes are doubled in it, the text with single ones is appended to the resolved texts.
    fn span(&self, row: &[u8], unescaped: &mut Vec<u8>) -> Span {
        if !self.doubled {
            return Span::plain(self.start, self.end);
        }
        let start = unescaped.len();
        let mut rest = &row[self.start..self.end];
        while let Some(quote) = memchr::memchr(b'"', rest) {
            unescaped.extend_from_slice(&rest[..=quote]);
            rest = &rest[quote + 2..];
        }
        unescaped.extend_from_slice(rest);
        Span::resolved(start, unescaped)
    }
}

/// The text as a column, in quotes where it needs them.
fn quoted(text: String) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests;
