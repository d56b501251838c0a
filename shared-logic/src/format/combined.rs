//! `combined`: a line of the access log of Apache httpd or nginx, in the form that both call so. Apache's `common`, which ends
//! before the referer, is read too.
//!
//! ```text
//! 203.0.113.7 - frank [25/Nov/2026:10:00:00 +0100] "GET /start?q=1 HTTP/1.1" 200 512 "https://example.org/" "Mozilla/5.0"
//! ```
//!
//! A client decides what stands in the user, the request, the referer and the user agent. Both servers write a quote in them
//! with a backslash before it or as `\x22`, so no client can end a column.
//!
//! - `line`: a line → where its columns stand;
//! - `request`: a request → its method, target and protocol;
//! - `escapes`: texts as servers write them ↔ as clients sent them;
//! - `write`: values → a line.

mod escapes;
mod line;
mod request;
mod write;

use std::borrow::Cow;

use super::instant::COMMON_LOG;
use super::record::{Cell, Record, Token};
use super::{Codec, FieldValue, Layout, NamedColumn, Reader, text};
use crate::rejection::Reason;
use crate::schema::{Field, FieldType, InstantFormat};

const TEXT: &[FieldType] = &[FieldType::String];
const NUMBER: &[FieldType] = &[FieldType::Int, FieldType::Float, FieldType::String];
const TIME: &[FieldType] = &[FieldType::Timestamp, FieldType::String];

/// The columns of a line by their numbers: their names, and the types that their fields may have.
const COLUMNS: [NamedColumn; 12] = [
    NamedColumn { name: "remote_host", kinds: TEXT },
    NamedColumn { name: "ident", kinds: TEXT },
    NamedColumn { name: "user", kinds: TEXT },
    NamedColumn { name: "time", kinds: TIME },
    NamedColumn { name: "request", kinds: TEXT },
    NamedColumn { name: "method", kinds: TEXT },
    NamedColumn { name: "target", kinds: TEXT },
    NamedColumn { name: "protocol", kinds: TEXT },
    NamedColumn { name: "status", kinds: NUMBER },
    NamedColumn { name: "bytes", kinds: NUMBER },
    NamedColumn { name: "referer", kinds: TEXT },
    NamedColumn { name: "user_agent", kinds: TEXT },
];
const REMOTE_HOST: usize = 0;
const IDENT: usize = 1;
const USER: usize = 2;
const TIME_OF_REQUEST: usize = 3;
const REQUEST: usize = 4;
const METHOD: usize = 5;
const TARGET: usize = 6;
const PROTOCOL: usize = 7;
const STATUS: usize = 8;
const BYTES: usize = 9;
const REFERER: usize = 10;
const USER_AGENT: usize = 11;

pub(super) struct Combined;

impl Codec for Combined {
    fn name(&self) -> &'static str {
        "combined"
    }

    /// Fields name the columns that they take.
    fn is_positional(&self) -> bool {
        false
    }

    fn null(&self) -> Option<&'static str> {
        Some("-")
    }

    fn usual_instants(&self) -> InstantFormat {
        InstantFormat::Pattern(COMMON_LOG.to_owned())
    }

    fn named_columns(&self) -> &'static [NamedColumn] {
        &COLUMNS
    }

    fn reasons(&self) -> &'static [Reason] {
        &[Reason::WrongColumns]
    }

    fn tokenize(&self, reader: &Reader, payload: &[u8], record: &mut Record) -> Result<(), Reason> {
        let Record { tokens, unescaped, .. } = record;
        let columns = line::columns(text::without_line_end(payload), unescaped).ok_or(Reason::WrongColumns)?;
        for (token, column) in tokens.iter_mut().zip(&reader.named) {
            if let Some(span) = column.and_then(|column| columns[column]) {
                *token = text::token(&reader.null, span, payload, unescaped);
            }
        }
        Ok(())
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
        write::line(layout, values).into_bytes()
    }

    fn field_text<'a>(&self, layout: Layout<'_>, payload: &'a [u8], at: usize) -> Option<Cow<'a, [u8]>> {
        let mut unescaped = Vec::new();
        let columns = line::columns(text::without_line_end(payload), &mut unescaped)?;
        let span = columns[column(layout.fields.get(at)?)?]?;
        let text = span.of(payload, &unescaped);
        if text::is_null(layout.null, text) {
            return None;
        }
        Some(if span.resolved {
            Cow::Owned(text.to_vec())
        } else {
            Cow::Borrowed(&payload[span.start as usize..span.end as usize])
        })
    }
}

/// The number of the column that a field takes.
fn column(field: &Field) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == field.column())
}

#[cfg(test)]
mod tests;
