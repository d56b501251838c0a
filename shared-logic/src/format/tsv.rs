//! `tsv`: one line of tab-separated values per record, columns in the order of the fields.

use std::borrow::Cow;

use super::record::{Cell, Record, Token};
use super::{Codec, FieldValue, Layout, Reader, text};
use crate::rejection::Reason;
use crate::schema::Field;

pub(super) struct Tsv;

impl Codec for Tsv {
    fn name(&self) -> &'static str {
        "tsv"
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

    fn tokenize(&self, reader: &Reader, payload: &[u8], record: &mut Record) -> Result<(), Reason> {
        let line = text::without_line_end(payload);
        if memchr::memchr(b'\n', line).is_some() {
            return Err(Reason::WrongColumns);
        }
        text::split(reader, line, b'\t', &mut record.tokens)
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
        text::columns(layout, values).join("\t").into_bytes()
    }

    fn field_text<'a>(&self, layout: Layout<'_>, payload: &'a [u8], at: usize) -> Option<Cow<'a, [u8]>> {
        let line = text::without_line_end(payload);
        let text = line.split(|byte| *byte == b'\t').nth(at)?;
        (!text::is_null(layout.null, text)).then_some(Cow::Borrowed(text))
    }
}
