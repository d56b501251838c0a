//! A group key: the values that a metric groups by, as text.
//!
//! The text is a JSON array of the columns' values, in the order of the metric's `by`. A column that is summed over is
//! `null`, and where all are, the key is `[]`: everything together. Counters in Redis are named by this text, so equal
//! keys must have equal texts, whether they are made of single values or of columns.

use std::fmt;

use polars::prelude::{Column, PolarsResult};

use crate::schema::FieldType;
use crate::time::{format_rfc3339, parse_rfc3339};

/// A text in a column that some metric groups by may be this long, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// A group key as its canonical text, a JSON array.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey(Box<str>);

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
    /// The key of those column values; `None` sums over the column.
    pub fn new(values: &[Option<KeyValue>]) -> GroupKey {
        let mut text = String::from("[");
        if values.iter().any(Option::is_some) {
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                match value {
                    None => text.push_str("null"),
                    Some(KeyValue::Text(value)) => push_json(&mut text, value),
                    Some(KeyValue::Int(value)) => text.push_str(&value.to_string()),
                    Some(KeyValue::Bool(value)) => text.push_str(if *value { "true" } else { "false" }),
                    Some(KeyValue::Timestamp(us)) => push_json(&mut text, &format_rfc3339(*us)),
                }
            }
        }
        text.push(']');
        GroupKey(text.into())
    }

    /// The keys of many rows, given as columns of that many rows; `None` sums over the column.
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
                None => keys.iter_mut().for_each(|key| key.push_str("null")),
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

impl KeyValue {
    /// Reads a query parameter as the value of a column of that type; `None` if it is not one.
    pub fn parse(kind: FieldType, text: &str) -> Option<KeyValue> {
        match kind {
            FieldType::String => Some(KeyValue::Text(text.to_owned())),
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

fn push_column(keys: &mut [String], column: &Column, kind: FieldType) -> PolarsResult<()> {
    match kind {
        FieldType::String => {
            for (key, value) in keys.iter_mut().zip(column.str()?.iter()) {
                push_json(key, value.unwrap_or_default());
            }
        }
        FieldType::Bool => {
            for (key, value) in keys.iter_mut().zip(column.bool()?.iter()) {
                key.push_str(if value.unwrap_or_default() { "true" } else { "false" });
            }
        }
        _ => {
            for (key, value) in keys.iter_mut().zip(column.i64()?.iter()) {
                let value = value.unwrap_or_default();
                match kind {
                    FieldType::Timestamp => push_json(key, &format_rfc3339(value)),
                    _ => key.push_str(&value.to_string()),
                }
            }
        }
    }
    Ok(())
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
