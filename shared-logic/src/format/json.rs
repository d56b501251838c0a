//! `json`: one JSON object per record. Members that the source does not declare are kept; `null` counts as absent.
//!
//! - `tokenizer`: a document → tokens, checked against RFC 8259 throughout;
//! - `member`: the text of one member, leniently.

mod member;
mod tokenizer;

use std::borrow::Cow;
use std::fmt::Write;

use super::number::{float, int};
use super::record::{Cell, Record, Token};
use super::{Codec, FieldValue, Layout, Reader, instant};
use crate::rejection::Reason;
use crate::schema::{Field, FieldType, InstantFormat};

pub use tokenizer::MAX_DEPTH;

pub(super) struct Json;

impl Codec for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    /// The members of an object have no order.
    fn is_positional(&self) -> bool {
        false
    }

    /// `null` is no text, and a member may be left out.
    fn null(&self) -> Option<&'static str> {
        None
    }

    fn reasons(&self) -> &'static [Reason] {
        &[Reason::NotJson, Reason::NotObject]
    }

    fn tokenize(&self, reader: &Reader, payload: &[u8], record: &mut Record) -> Result<(), Reason> {
        tokenizer::tokenize(&reader.fields, payload, record)
    }

    fn cell(
        &self,
        _reader: &Reader,
        field: &Field,
        token: Token,
        payload: &[u8],
        unescaped: &[u8],
    ) -> Result<Cell, Reason> {
        match (field.kind, token) {
            (FieldType::String, Token::Text(span)) => Ok(Cell::Text(span)),
            (FieldType::Int, Token::Number(span)) => int(span.of(payload, unescaped)).map(Cell::Int),
            (FieldType::Float, Token::Number(span)) => float(span.of(payload, unescaped)).map(Cell::Float),
            (FieldType::Bool, Token::Bool(value)) => Ok(Cell::Bool(value)),
            _ => Err(Reason::WrongType),
        }
    }

    fn write(&self, layout: Layout<'_>, values: &[Option<FieldValue<'_>>]) -> Vec<u8> {
        let mut text = String::from("{");
        for (field, value) in layout.fields.iter().zip(values).filter(|(field, _)| field.has_column()) {
            let Some(value) = value else { continue };
            let comma = if text.len() > 1 { "," } else { "" };
            let name = quoted(&field.name);
            let value = match value {
                FieldValue::Text(value) => quoted(value),
                FieldValue::Instant(us) => {
                    let written = instant::write(&field.instants, *us, layout.time_zone);
                    if matches!(field.instants, InstantFormat::Epoch(_)) { written } else { quoted(&written) }
                }
                FieldValue::Int(_) | FieldValue::Float(_) | FieldValue::Bool(_) => value.to_string(),
            };
            // A String takes any text.
            let _ = write!(text, "{comma}{name}:{value}");
        }
        text.push('}');
        text.into_bytes()
    }

    fn field_text<'a>(&self, layout: Layout<'_>, payload: &'a [u8], at: usize) -> Option<Cow<'a, [u8]>> {
        member::text(payload, &layout.fields.get(at)?.name).map(|text| Cow::Owned(text.into_bytes()))
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
