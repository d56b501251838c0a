//! A group key: the values that a metric groups by, as text.
//!
//! The text is a JSON array of the columns' values, in the order of the metric's `by`. A column that is summed over is
//! `null`, and where all are, the key is `[]`: everything together. A column that is absent is `{}`. No value of a column is
//! an object, so it is mistaken for none, neither for the text `""` nor for `"null"`. Counters in Redis are named by this
//! text, so equal keys must have equal texts, whether they are made of single values or of columns.
//!
//! - `long_text`: texts that are too long to stand in a key as they are;
//! - `pattern`: which keys are meant, where many are looked for.

mod long_text;
mod pattern;

use std::fmt::{self, Write};
use std::iter;

use polars::prelude::{Column, PolarsResult};

use crate::schema::FieldType;
use crate::time::{format_rfc3339, parse_rfc3339};

pub use long_text::MAX_KEY_BYTES;
pub(crate) use long_text::{shorten, shortened, shortened_to};
pub use pattern::{ColumnPattern, KeyPattern};

/// A column that is summed over.
const ALL: &str = "null";
/// A column that is absent.
const MISSING: &str = "{}";

/// A group key as its canonical text, a JSON array.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey(Box<str>);

/// What a group key says of one column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyPart {
    /// Nothing: the column is summed over.
    All,
    /// The column is absent.
    Missing,
    /// The column has this value.
    Value(KeyValue),
}

/// The value of one group-key column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyValue {
    /// Text.
    Text(String),
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// An instant in microseconds.
    Timestamp(i64),
}

/// A [`KeyPart`] whose text is lent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum LentPart<'a> {
    All,
    Missing,
    Text(&'a str),
    Int(i64),
    Bool(bool),
    Timestamp(i64),
}

impl GroupKey {
    /// The key that says this of each column.
    pub fn new(parts: &[KeyPart]) -> GroupKey {
        GroupKey::of_parts(parts.iter().map(LentPart::from), &mut String::new())
    }

    /// The keys of many rows, given as columns of that many rows; `None` sums over the column. Where a column is null, it is
    /// absent.
    ///
    /// # Errors
    /// If a column has another type.
    pub fn of_columns(rows: usize, columns: &[Option<(&Column, FieldType)>]) -> PolarsResult<Vec<GroupKey>> {
        let parts = columns.iter().map(|column| match column {
            Some((column, kind)) => parts_of(column, *kind),
            None => Ok(Box::new(iter::repeat(LentPart::All)) as Parts<'_>),
        });
        let mut columns = parts.collect::<PolarsResult<Vec<_>>>()?;
        let mut room = String::new();
        let key = |_| GroupKey::of_parts(columns.iter_mut().filter_map(Iterator::next), &mut room);
        Ok((0..rows).map(key).collect())
    }

    /// The key that says this of each column. It is written in `room` first, so that its text is allocated once.
    pub(crate) fn of_parts<'a>(parts: impl Iterator<Item = LentPart<'a>>, room: &mut String) -> GroupKey {
        room.clear();
        let mut sums_over_all = true;
        for part in parts {
            room.push(if room.is_empty() { '[' } else { ',' });
            sums_over_all &= part == LentPart::All;
            part.push(room);
        }
        room.push(']');
        GroupKey(if sums_over_all { "[]" } else { room.as_str() }.into())
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeyPart {
    /// The part as it stands in an answer: null for an absent column, and nothing for one that is summed over.
    pub fn to_json(&self) -> Option<serde_json::Value> {
        match self {
            KeyPart::All => None,
            KeyPart::Missing => Some(serde_json::Value::Null),
            KeyPart::Value(value) => Some(value.to_json()),
        }
    }
}

impl KeyValue {
    /// Reads a query parameter as the value of a column of that type; `None` if it is not one. A text that is too long for a
    /// key is shortened as those of events are, so it names their key.
    pub fn parse(kind: FieldType, text: &str) -> Option<KeyValue> {
        match kind {
            FieldType::String => Some(KeyValue::Text(shortened(text).into_owned())),
            FieldType::Int => text.parse().ok().map(KeyValue::Int),
            FieldType::Bool => text.parse().ok().map(KeyValue::Bool),
            FieldType::Timestamp => parse_rfc3339(text.as_bytes()).map(KeyValue::Timestamp),
            FieldType::Float => None,
        }
    }

    /// The value as it stands in an answer.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            KeyValue::Text(value) => value.as_str().into(),
            KeyValue::Int(value) => (*value).into(),
            KeyValue::Bool(value) => (*value).into(),
            KeyValue::Timestamp(us) => format_rfc3339(*us).into(),
        }
    }
}

impl<'a> From<&'a KeyPart> for LentPart<'a> {
    fn from(part: &'a KeyPart) -> LentPart<'a> {
        match part {
            KeyPart::All => LentPart::All,
            KeyPart::Missing => LentPart::Missing,
            KeyPart::Value(KeyValue::Text(text)) => LentPart::Text(text),
            KeyPart::Value(KeyValue::Int(value)) => LentPart::Int(*value),
            KeyPart::Value(KeyValue::Bool(value)) => LentPart::Bool(*value),
            KeyPart::Value(KeyValue::Timestamp(us)) => LentPart::Timestamp(*us),
        }
    }
}

impl LentPart<'_> {
    /// Appends the part to a key's text.
    fn push(self, out: &mut String) {
        match self {
            LentPart::All => out.push_str(ALL),
            LentPart::Missing => out.push_str(MISSING),
            LentPart::Text(text) => push_json(out, text),
            LentPart::Int(value) => write!(out, "{value}").expect("a String takes any text"),
            LentPart::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            LentPart::Timestamp(us) => push_json(out, &format_rfc3339(us)),
        }
    }
}

/// What the keys of a column's rows say of it, one after the other.
type Parts<'a> = Box<dyn Iterator<Item = LentPart<'a>> + 'a>;

fn parts_of(column: &Column, kind: FieldType) -> PolarsResult<Parts<'_>> {
    Ok(match kind {
        FieldType::String => Box::new(column.str()?.iter().map(|text| text.map_or(LentPart::Missing, LentPart::Text))),
        FieldType::Bool => Box::new(column.bool()?.iter().map(|value| value.map_or(LentPart::Missing, LentPart::Bool))),
        FieldType::Timestamp => {
            Box::new(column.i64()?.iter().map(|us| us.map_or(LentPart::Missing, LentPart::Timestamp)))
        }
        FieldType::Int | FieldType::Float => {
            Box::new(column.i64()?.iter().map(|value| value.map_or(LentPart::Missing, LentPart::Int)))
        }
    })
}

/// Appends a text as a JSON string. Escapes only what JSON requires to be escaped.
fn push_json(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                c if (c as u32) < 0x20 => write!(out, "\\u{:04x}", c as u32).expect("a String takes any text"),
                c => out.push(c),
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
pub(crate) mod tests;
