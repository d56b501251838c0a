//! `json`: one JSON object per record, whose fields may stand inside of objects and arrays; `null` counts as absent.
//!
//! - `tokenizer`: a document → tokens, checked against RFC 8259 throughout;
//! - `skip`: what no path leads to;
//! - `strings`: where strings end, and their escapes.

mod skip;
mod strings;
#[cfg(test)]
mod tests;
mod tokenizer;

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::number::{float, int};
use super::places::Places;
use super::record::{Cell, Record, Token};
use super::{Codec, FieldValue, Layout, Reader, instant};
use crate::rejection::Reason;
use crate::schema::{Field, FieldType, InstantFormat, Place, Step};

pub(super) use tokenizer::tokenize;

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
        tokenize(&reader.places, payload, record)
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
            (FieldType::String, Token::Number(span)) if field.numbers => Ok(Cell::Text(span)),
            (FieldType::Int, Token::Number(span)) => int(span.of(payload, unescaped)).map(Cell::Int),
            (FieldType::Float, Token::Number(span)) => float(span.of(payload, unescaped)).map(Cell::Float),
            (FieldType::Bool, Token::Bool(value)) => Ok(Cell::Bool(value)),
            _ => Err(Reason::WrongType),
        }
    }

    fn write(&self, layout: Layout<'_>, values: &[Option<FieldValue<'_>>]) -> Vec<u8> {
        let mut document = Value::Object(Map::new());
        for (field, value) in layout.fields.iter().zip(values) {
            let Some(value) = value else { continue };
            let value = match value {
                FieldValue::Text(value) => Value::from(*value),
                FieldValue::Instant(us) => written(field, *us, layout),
                FieldValue::Int(number) => Value::from(*number),
                FieldValue::Float(number) => Value::from(*number),
                FieldValue::Bool(value) => Value::from(*value),
            };
            match &field.place {
                Place::Own => document[field.name.as_str()] = value,
                Place::Path(steps) => put(&mut document, steps, value),
                Place::Joined(_) | Place::Record => {}
            }
        }
        document.to_string().into_bytes()
    }

    fn field_text<'a>(&self, layout: Layout<'_>, payload: &'a [u8], at: usize) -> Option<Cow<'a, [u8]>> {
        let field = layout.fields.get(at)?;
        text_at(&Places::of(std::slice::from_ref(field)), 1, payload)
    }
}

/// The text of the first field of some places, which fill so many tokens.
pub(super) fn text_at<'a>(places: &Places, tokens: usize, payload: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let mut record = Record::new(tokens);
    tokenize(places, payload, &mut record).ok()?;
    match record.tokens[0] {
        Token::Text(span) | Token::Number(span) if span.resolved => {
            Some(Cow::Owned(span.of(payload, &record.unescaped).to_vec()))
        }
        Token::Text(span) | Token::Number(span) => Some(Cow::Borrowed(span.of(payload, &[]))),
        Token::Bool(value) => Some(Cow::Borrowed(if value { &b"true"[..] } else { &b"false"[..] })),
        _ => None,
    }
}

/// An instant as its field declares it. A number of units stands in quotes where it is no integer: a float would round it.
fn written(field: &Field, us: i64, layout: Layout<'_>) -> Value {
    let text = instant::write(&field.instants, us, layout.time_zone);
    match (&field.instants, text.parse::<i64>()) {
        (InstantFormat::Epoch(_), Ok(number)) => Value::from(number),
        _ => Value::from(text),
    }
}

/// Puts a value where the steps lead to. Objects and arrays on the way are made as they are needed; what an array lacks
/// before a position is null.
fn put(at: &mut Value, steps: &[Step], value: Value) {
    match steps.split_first() {
        None => *at = value,
        Some((Step::Member(name), rest)) => {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            put(&mut at[name.as_str()], rest, value);
        }
        Some((Step::Element(position), rest)) => {
            let mut elements = if let Value::Array(elements) = at.take() { elements } else { Vec::new() };
            elements.resize(elements.len().max(position + 1), Value::Null);
            put(&mut elements[*position], rest, value);
            *at = Value::Array(elements);
        }
    }
}
