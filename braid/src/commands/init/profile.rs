//! What was seen in the sample: the values at each place of its records.
//!
//! - `json`: the members of documents, however deep they stand;
//! - `rows`: the columns of rows;
//! - `null`: the texts that stand for absent values in rows.

mod json;
mod null;
mod rows;

use std::collections::HashSet;
use std::fmt;

pub(super) use json::of_documents;
pub(super) use rows::of_rows;

/// A value of the sample, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// A text. In formats with columns, every value is one.
    Text(String),
    /// A number of JSON.
    Number(String),
    /// A truth value of JSON.
    Bool(bool),
    /// An array of JSON. What it holds has no place of its own.
    List,
    /// An object of JSON, the members of which have places of their own.
    Object,
}

/// What was seen at one place.
#[derive(Debug)]
pub(super) struct Seen {
    /// The names of the members that lead there; the column's name in formats with columns.
    pub(super) steps: Vec<String>,
    /// The values and the records that they stand in. Where a record has none, the value is absent or null.
    pub(super) values: Vec<(usize, Value)>,
}

/// What was seen in all records that could be read.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// When each record was sent, in microseconds since 1970: what the age of its event is judged against.
    pub(super) sent_us: Vec<i64>,
    /// The places in the order in which they were met.
    pub(super) places: Vec<Seen>,
    /// The texts that stand for an absent value, in formats that hold nothing but texts.
    pub(super) null: Vec<String>,
}

impl Profile {
    /// How many records there are.
    pub(super) fn records(&self) -> usize {
        self.sent_us.len()
    }

    /// Keeps the records for which `keep` has something, in their order.
    pub(super) fn retain<T>(&mut self, keep: &[Option<T>]) {
        let is_kept = |record: usize| keep.get(record).is_some_and(Option::is_some);
        let mut kept = 0;
        let positions: Vec<usize> = (0..self.records())
            .map(|record| {
                kept += usize::from(is_kept(record));
                kept.saturating_sub(1)
            })
            .collect();
        for seen in &mut self.places {
            seen.values.retain(|(record, _)| is_kept(*record));
            for (record, _) in &mut seen.values {
                *record = positions.get(*record).copied().unwrap_or_default();
            }
        }
        let mut record = 0;
        self.sent_us.retain(|_| {
            record += 1;
            is_kept(record - 1)
        });
    }
}

impl Seen {
    fn at(steps: Vec<String>) -> Seen {
        Seen { steps, values: Vec::new() }
    }

    /// How many different values there are.
    pub(super) fn distinct(&self) -> usize {
        self.values.iter().map(|(_, value)| value).collect::<HashSet<_>>().len()
    }

    /// The values that are texts or numbers, as they are written.
    pub(super) fn written(&self) -> impl Iterator<Item = (usize, &str)> {
        self.values.iter().filter_map(|(record, value)| match value {
            Value::Text(text) | Value::Number(text) => Some((*record, text.as_str())),
            Value::Bool(_) | Value::List | Value::Object => None,
        })
    }
}

/// As a person writes it: a text without quotes.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) | Value::Number(text) => f.write_str(text),
            Value::Bool(value) => value.fmt(f),
            Value::List => f.write_str("[…]"),
            Value::Object => f.write_str("{…}"),
        }
    }
}

/// Whether so many of them are the exception: at most one in a hundred. A sample may hold broken records, and no guess may
/// hang on them.
pub(super) fn few(count: usize, of: usize) -> bool {
    count * 100 <= of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_are_kept_keep_their_values() {
        let documents = [r#"{"a": 1}"#, r#"{"a": 2, "b": 1}"#, r#"{"b": 2}"#, r#"{"a": 3}"#];
        let mut profile =
            of_documents(documents.iter().zip(1..).map(|(document, sent_us)| (document.as_bytes(), sent_us)));
        profile.retain(&[None, Some(()), None, Some(())]);
        assert_eq!(profile.sent_us, [2, 4]);
        let values = |name: &str| {
            let seen = profile.places.iter().find(|seen| seen.steps == [name]).expect(name);
            seen.written().map(|(record, text)| format!("{record}:{text}")).collect::<Vec<_>>()
        };
        assert_eq!(values("a"), ["0:2", "1:3"]);
        assert_eq!(values("b"), ["0:1"]);
    }

    #[test]
    fn one_in_a_hundred_is_few() {
        assert!(few(0, 0) && few(0, 5) && few(1, 100) && few(2, 299));
        assert!(!few(1, 99) && !few(2, 199));
    }
}
