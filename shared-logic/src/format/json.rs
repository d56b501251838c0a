//! `json`: one JSON object per record. Members that the source does not declare are kept; `null` counts as absent.
//!
//! - `tokenizer`: a document → tokens, checked against RFC 8259 throughout;
//! - `member`: the text of one member, leniently.

mod member;
mod tokenizer;

use std::borrow::Cow;
use std::fmt::Write;

use super::number::{epoch_ms, float, int};
use super::record::{Cell, Record, Token};
use super::{Codec, FieldValue, Reader};
use crate::rejection::Reason;
use crate::schema::{Field, FieldType};
use crate::time::parse_rfc3339;

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
            (FieldType::Timestamp, Token::Text(span)) => {
                parse_rfc3339(span.of(payload, unescaped)).map(Cell::Int).ok_or(Reason::WrongType)
            }
            (FieldType::Timestamp, Token::Number(span)) => epoch_ms(span.of(payload, unescaped)).map(Cell::Int),
            _ => Err(Reason::WrongType),
        }
    }

    fn write(&self, fields: &[Field], values: &[Option<FieldValue<'_>>]) -> Vec<u8> {
        let mut text = String::from("{");
        for (field, value) in fields.iter().zip(values) {
            let Some(value) = value else { continue };
            let comma = if text.len() > 1 { "," } else { "" };
            let name = quoted(&field.name);
            let value = match value {
                FieldValue::Text(value) => quoted(value),
                FieldValue::Instant(_) => quoted(&value.to_string()),
                FieldValue::Int(_) | FieldValue::Float(_) | FieldValue::Bool(_) => value.to_string(),
            };
            // A String takes any text.
            let _ = write!(text, "{comma}{name}:{value}");
        }
        text.push('}');
        text.into_bytes()
    }

    fn field_text<'a>(&self, payload: &'a [u8], name: &str, _position: usize) -> Option<Cow<'a, [u8]>> {
        member::text(payload, name).map(|text| Cow::Owned(text.into_bytes()))
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
