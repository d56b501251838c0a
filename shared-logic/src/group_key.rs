//! A group key: the values that a metric groups by, as text.
//!
//! The text is a JSON array of the columns' values, in the order of the metric's `by`. A column that is summed over is
//! `null`, and where all are, the key is `[]`: everything together. A column that is absent is `{}`. No value of a column is
//! an object, so it is mistaken for none, neither for the text `""` nor for `"null"`. Counters in Redis are named by this
//! text, so equal keys must have equal texts, whether they are made of single values or of columns.
//!
//! - `long_text`: texts that are too long to stand in a key as they are.

mod long_text;

use std::fmt;

use polars::prelude::{Column, PolarsResult};

use crate::schema::FieldType;
use crate::time::{format_rfc3339, parse_rfc3339};

pub use long_text::MAX_KEY_BYTES;
pub(crate) use long_text::shorten;
use long_text::shortened;

/// A column that is summed over.
const ALL: &str = "null";
/// A column that is absent.
const MISSING: &str = "{}";

/// A group key as its canonical text, a JSON array.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey(Box<str>);

/// What a group key says of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// Nothing: the column is summed over.
    All,
    /// The column is absent.
    Missing,
    /// The column has this value.
    Value(KeyValue),
}

/// The value of one group-key column.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl GroupKey {
    /// The key that says this of each column.
    pub fn new(parts: &[KeyPart]) -> GroupKey {
        let mut text = String::from("[");
        if parts.iter().any(|part| *part != KeyPart::All) {
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                match part {
                    KeyPart::All => text.push_str(ALL),
                    KeyPart::Missing => text.push_str(MISSING),
                    KeyPart::Value(KeyValue::Text(value)) => push_json(&mut text, value),
                    KeyPart::Value(KeyValue::Int(value)) => push_int(&mut text, *value),
                    KeyPart::Value(KeyValue::Bool(value)) => push_bool(&mut text, *value),
                    KeyPart::Value(KeyValue::Timestamp(us)) => push_instant(&mut text, *us),
                }
            }
        }
        text.push(']');
        GroupKey(text.into())
    }

    /// The keys of many rows, given as columns of that many rows; `None` sums over the column. Where a column is null, it is
    /// absent.
    ///
    /// # Errors
    /// If a column has another type.
    pub fn of_columns(rows: usize, columns: &[Option<(&Column, FieldType)>]) -> PolarsResult<Vec<GroupKey>> {
        let mut keys: Vec<String> = vec!["[".to_owned(); rows];
        let any = columns.iter().any(Option::is_some);
        for (at, column) in columns.iter().enumerate().filter(|_| any) {
            if at > 0 {
                keys.iter_mut().for_each(|key| key.push(','));
            }
            match column {
                None => keys.iter_mut().for_each(|key| key.push_str(ALL)),
                Some((column, kind)) => push_column(&mut keys, column, *kind)?,
            }
        }
        Ok(keys.into_iter().map(|key| GroupKey((key + "]").into_boxed_str())).collect())
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

/// Appends a column's value to the key of each row.
fn push_column(keys: &mut [String], column: &Column, kind: FieldType) -> PolarsResult<()> {
    match kind {
        FieldType::String => push_each(keys, column.str()?.iter(), push_json),
        FieldType::Bool => push_each(keys, column.bool()?.iter(), push_bool),
        FieldType::Timestamp => push_each(keys, column.i64()?.iter(), push_instant),
        FieldType::Int | FieldType::Float => push_each(keys, column.i64()?.iter(), push_int),
    }
    Ok(())
}

fn push_each<T>(keys: &mut [String], values: impl Iterator<Item = Option<T>>, push: impl Fn(&mut String, T)) {
    for (key, value) in keys.iter_mut().zip(values) {
        match value {
            Some(value) => push(key, value),
            None => key.push_str(MISSING),
        }
    }
}

fn push_bool(out: &mut String, value: bool) {
    out.push_str(if value { "true" } else { "false" });
}

fn push_int(out: &mut String, value: i64) {
    out.push_str(&value.to_string());
}

fn push_instant(out: &mut String, us: i64) {
    push_json(out, &format_rfc3339(us));
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
                c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
pub(crate) mod tests;
