//! `tsv`: one line of tab-separated values per record, columns in the order of the fields. An empty column is absent.

use std::borrow::Cow;

use super::number::{epoch_ms, float, int, is_number};
use super::record::{Cell, Record, Span, Token};
use super::{Codec, FieldValue, Reader};
use crate::rejection::Reason;
use crate::schema::{Field, FieldType};
use crate::time::parse_rfc3339;

pub(super) struct Tsv;

impl Codec for Tsv {
    fn name(&self) -> &'static str {
        "tsv"
    }

    fn is_positional(&self) -> bool {
        true
    }

    fn reasons(&self) -> &'static [Reason] {
        &[Reason::WrongColumns]
    }

    fn tokenize(&self, _reader: &Reader, payload: &[u8], record: &mut Record) -> Result<(), Reason> {
        tokenize(&mut record.tokens, payload)
    }

    fn cell(
        &self,
        _reader: &Reader,
        field: &Field,
        token: Token,
        payload: &[u8],
        unescaped: &[u8],
    ) -> Result<Cell, Reason> {
        // A line holds texts only.
        let Token::Text(span) = token else { return Err(Reason::WrongType) };
        let text = span.of(payload, unescaped);
        match field.kind {
            FieldType::String => Ok(Cell::Text(span)),
            FieldType::Int => int(text).map(Cell::Int),
            FieldType::Float if is_number(text) => float(text).map(Cell::Float),
            FieldType::Bool if text == b"true" => Ok(Cell::Bool(true)),
            FieldType::Bool if text == b"false" => Ok(Cell::Bool(false)),
            FieldType::Float | FieldType::Bool => Err(Reason::WrongType),
            FieldType::Timestamp => match parse_rfc3339(text) {
                Some(us) => Ok(Cell::Int(us)),
                None => epoch_ms(text).map(Cell::Int),
            },
        }
    }

    fn write(&self, _fields: &[Field], values: &[Option<FieldValue<'_>>]) -> Vec<u8> {
        let columns = values.iter().map(|value| value.map(|value| value.to_string()).unwrap_or_default());
        columns.collect::<Vec<_>>().join("\t").into_bytes()
    }

    fn field_text<'a>(&self, payload: &'a [u8], _field: &Field, position: usize) -> Option<Cow<'a, [u8]>> {
        let line = payload.strip_suffix(b"\r").unwrap_or(payload);
        line.split(|byte| *byte == b'\t').nth(position).filter(|text| !text.is_empty()).map(Cow::Borrowed)
    }
}

/// Splits the line into exactly as many columns as there are tokens; one line end at its end is dropped. An empty column
/// is absent.
///
/// # Errors
/// [`Reason::WrongColumns`] if the number of columns differs, or a second line follows.
fn tokenize(tokens: &mut [Token], payload: &[u8]) -> Result<(), Reason> {
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
