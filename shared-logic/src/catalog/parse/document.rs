//! TOML tables and values with their positions, and the list of mistakes.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use crate::catalog::Mistake;
use crate::suggest;

/// The mistakes found so far.
pub(super) struct Mistakes {
    /// The offset of every line feed.
    line_ends: Vec<usize>,
    found: RefCell<Vec<Mistake>>,
}

impl Mistakes {
    pub(super) fn new(text: &str) -> Mistakes {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Mistakes { line_ends, found: RefCell::default() }
    }

    /// Notes a mistake at a byte offset of the text.
    pub(super) fn report(&self, at: usize, what: impl Into<String>, fix: impl Into<String>) {
        let line = self.line_ends.partition_point(|end| *end < at) + 1;
        self.found.borrow_mut().push(Mistake { line, what: one_line(what.into()), fix: one_line(fix.into()) });
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// All of them by line; on one line, in the order in which they were found.
    pub(super) fn in_order(self) -> Vec<Mistake> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|mistake| mistake.line);
        found
    }
}

/// Joins the lines of a message, so that a mistake is one line in a terminal even where it quotes names, values or a
/// parser's message that contain line breaks.
fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.split(char::is_control).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A text of the document and its byte offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) value: &'t str,
    pub(super) at: usize,
}

/// A table that is being read. It remembers which keys were read: all others are unknown.
pub(super) struct Table<'t> {
    /// How the file names the table, for example `[sources.views]`.
    pub(super) title: String,
    /// Where its name stands.
    pub(super) at: usize,
    pub(super) mistakes: &'t Mistakes,
    path: String,
    entries: &'t DeTable<'t>,
    known: Vec<String>,
}

impl<'t> Table<'t> {
    pub(super) fn root(entries: &'t DeTable<'t>, mistakes: &'t Mistakes) -> Table<'t> {
        let title = "the catalog".to_owned();
        Table { title, at: 0, mistakes, path: String::new(), entries, known: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The keys in the order of the file.
    pub(super) fn keys_in_order(&self) -> Vec<Text<'t>> {
        let mut keys: Vec<Text<'t>> =
            self.entries.keys().map(|key| Text { value: key.get_ref(), at: key.span().start }).collect();
        keys.sort_by_key(|key| key.at);
        keys
    }

    /// A table below this one.
    pub(super) fn table(&mut self, key: &str) -> Option<Table<'t>> {
        let (at, value) = self.value(key)?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        match value {
            DeValue::Table(entries) => {
                let at = self.key_at(key).unwrap_or(at);
                let title = format!("[{path}]");
                Some(Table { title, at, mistakes: self.mistakes, path, entries, known: Vec::new() })
            }
            other => {
                self.mistakes.report(at, format!("`{key}` is {}, not a table", kind(other)), format!("write [{path}]"));
                None
            }
        }
    }

    /// Whether the key is there.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Where the key stands, if it does; it is then not unknown.
    pub(super) fn set_aside(&mut self, key: &str) -> Option<usize> {
        let at = self.key_at(key)?;
        self.known.push(key.to_owned());
        Some(at)
    }

    /// Whether the key is there and holds a table.
    pub(super) fn holds_table(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Table(_)))
    }

    /// Whether the key is there and holds a list.
    pub(super) fn holds_list(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Array(_)))
    }

    /// A truth value.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let (at, value) = self.value(key)?;
        match value {
            DeValue::Boolean(value) => Some(*value),
            other => {
                let what = format!("`{key}` is {}, not true or false", kind(other));
                self.mistakes.report(at, what, format!("write {key} = true"));
                None
            }
        }
    }

    /// A string.
    pub(super) fn text(&mut self, key: &str) -> Option<Text<'t>> {
        let (at, value) = self.value(key)?;
        match value {
            DeValue::String(text) => Some(Text { value: text, at }),
            other => {
                let what = format!("`{key}` is {}, not a string", kind(other));
                self.mistakes.report(at, what, format!("write {key} = \"…\""));
                None
            }
        }
    }

    /// A required string; `example` is a value for the fix.
    pub(super) fn required_text(&mut self, key: &str, example: &str) -> Option<Text<'t>> {
        if self.value(key).is_none() {
            let what = format!("{} has no `{key}`", self.title);
            self.mistakes.report(self.at, what, format!("add {key} = \"{example}\""));
        }
        self.text(key)
    }

    /// An integer within a range.
    pub(super) fn integer(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let (at, value) = self.value(key)?;
        let number = match value {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        let inside = number.filter(|number| range.contains(number));
        if inside.is_none() {
            let shown = if let DeValue::Integer(digits) = value { digits.to_string() } else { kind(value).to_owned() };
            let fix = format!("write an integer from {} to {}", range.start(), range.end());
            self.mistakes.report(at, format!("`{key}` is {shown}"), fix);
        }
        inside
    }

    /// A list of strings; none if the key is absent.
    pub(super) fn texts(&mut self, key: &str) -> Vec<Text<'t>> {
        let Some((at, value)) = self.value(key) else { return Vec::new() };
        let wrong = |at, what: &DeValue<'_>| {
            let what = format!("`{key}` holds {}, not a list of strings", kind(what));
            self.mistakes.report(at, what, format!("write {key} = [\"…\", \"…\"]"));
        };
        let DeValue::Array(items) = value else {
            wrong(at, value);
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => texts.push(Text { value: text, at: item.span().start }),
                other => wrong(item.span().start, other),
            }
        }
        texts
    }

    /// A string, or a list of at least one; none if the key is absent.
    pub(super) fn text_or_texts(&mut self, key: &str) -> Vec<Text<'t>> {
        match self.value(key) {
            Some((at, DeValue::Array(items))) if items.is_empty() => {
                self.mistakes.report(
                    at,
                    format!("`{key}` is an empty list"),
                    "name at least one, or leave the key out",
                );
                Vec::new()
            }
            Some((_, DeValue::Array(_))) => self.texts(key),
            _ => self.text(key).into_iter().collect(),
        }
    }

    /// Reports every key that was not read.
    pub(super) fn refuse_unknown_keys(&self) {
        for key in self.keys_in_order() {
            if !self.known.iter().any(|known| known == key.value) {
                let fix = suggest::fix(key.value, "keys", self.known.iter().map(String::as_str));
                self.mistakes.report(key.at, format!("unknown key `{}` in {}", key.value, self.title), fix);
            }
        }
    }

    /// Where the key stands.
    pub(super) fn key_at(&self, key: &str) -> Option<usize> {
        self.entries.get_key_value(key).map(|(key, _)| key.span().start)
    }

    fn value(&mut self, key: &str) -> Option<(usize, &'t DeValue<'t>)> {
        if !self.known.iter().any(|known| known == key) {
            self.known.push(key.to_owned());
        }
        self.entries.get(key).map(|value| (value.span().start, value.get_ref()))
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
