//! Which group keys are meant, where many are looked for at once.

use std::iter;

use super::{ALL, GroupKey, KeyPart, LentPart, MISSING, push_json};
use crate::schema::FieldType;

/// What is asked of one column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnPattern {
    /// The key says this of it.
    Is(KeyPart),
    /// The key says anything but that it is summed over.
    Any,
    /// The column has a value whose text begins like this, see [`ColumnPattern::beginning`].
    Begins(String),
}

/// What is asked of a group key, column by column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPattern {
    columns: Vec<Element>,
    beginning: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    /// It is this text.
    Is(String),
    Any,
    Begins(String),
}

impl ColumnPattern {
    /// A column of that type has a value that begins with this text.
    pub fn beginning(kind: FieldType, text: &str) -> ColumnPattern {
        let mut beginning = String::new();
        match kind {
            FieldType::String | FieldType::Timestamp => {
                push_json(&mut beginning, text);
                beginning.pop();
            }
            FieldType::Int | FieldType::Bool | FieldType::Float => beginning.push_str(text),
        }
        ColumnPattern::Begins(beginning)
    }
}

impl KeyPattern {
    /// Keys that say this of each column.
    pub fn new(columns: &[ColumnPattern]) -> KeyPattern {
        let element = |column: &ColumnPattern| match column {
            ColumnPattern::Is(part) => {
                let mut text = String::new();
                LentPart::from(part).push(&mut text);
                Element::Is(text)
            }
            ColumnPattern::Any => Element::Any,
            ColumnPattern::Begins(text) => Element::Begins(text.clone()),
        };
        let columns: Vec<Element> = columns.iter().map(element).collect();
        let mut beginning = "[".to_owned();
        for element in &columns {
            match element {
                Element::Is(text) => beginning.extend([text.as_str(), ","]),
                Element::Any => break,
                Element::Begins(text) => {
                    beginning.push_str(text);
                    break;
                }
            }
        }
        if columns.iter().all(|element| matches!(element, Element::Is(_))) {
            beginning = "[".to_owned();
        }
        KeyPattern { columns, beginning }
    }

    /// The text with which every such key begins. In the order of keys' texts they lie together.
    pub fn text_begins(&self) -> &str {
        &self.beginning
    }

    /// Whether a key's text lies behind those of all keys that are meant.
    pub fn is_behind(&self, key: &str) -> bool {
        key > self.beginning.as_str() && !key.starts_with(&self.beginning)
    }

    /// Whether a key is meant, by its canonical text.
    pub fn matches(&self, key: &str) -> bool {
        if !key.starts_with(&self.beginning) {
            return false;
        }
        let mut parts = texts(key, self.columns.len());
        let fits = |element: &Element| match (element, parts.next()) {
            (_, None) => false,
            (Element::Is(text), Some(part)) => part == text,
            (Element::Any, Some(part)) => part != ALL,
            (Element::Begins(text), Some(part)) => part != ALL && part != MISSING && part.starts_with(text),
        };
        self.columns.iter().all(fits)
    }
}

impl GroupKey {
    /// What the key with that canonical text says of each of so many columns, as it stands in an answer: `None` where it sums over the
    /// column, null where that is absent.
    pub fn values_of(key: &str, columns: usize) -> Vec<Option<serde_json::Value>> {
        let value = |text: &str| match text {
            ALL => None,
            MISSING => Some(serde_json::Value::Null),
            text => Some(serde_json::from_str(text).unwrap_or(serde_json::Value::Null)),
        };
        texts(key, columns).map(value).collect()
    }
}

/// The texts of the columns in a key's text, of so many columns.
fn texts(key: &str, columns: usize) -> Box<dyn Iterator<Item = &str> + '_> {
    if key == "[]" {
        return Box::new(iter::repeat_n(ALL, columns));
    }
    let mut rest = key.strip_prefix('[').and_then(|key| key.strip_suffix(']')).unwrap_or_default();
    Box::new(iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (text, after) = rest.split_at(end_of_first(rest));
        rest = after.strip_prefix(',').unwrap_or(after);
        Some(text)
    }))
}

/// Where the first column's text ends: at a comma that is not within a string.
fn end_of_first(parts: &str) -> usize {
    let (mut is_text, mut is_escaped) = (false, false);
    for (at, byte) in parts.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b',' if !is_text => return at,
            _ => {}
        }
    }
    parts.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::group_key::KeyValue;

    fn text(value: &str) -> KeyPart {
        KeyPart::Value(KeyValue::Text(value.to_owned()))
    }

    fn key(parts: &[KeyPart]) -> String {
        GroupKey::new(parts).as_str().to_owned()
    }

    #[test]
    fn a_key_is_meant_if_each_column_is() {
        let pattern = KeyPattern::new(&[ColumnPattern::Any, ColumnPattern::Is(text("de"))]);
        for meant in [text("a"), text("x\",\"y"), text("back\\"), KeyPart::Missing, KeyPart::Value(KeyValue::Int(7))] {
            assert!(pattern.matches(&key(&[meant.clone(), text("de")])), "{meant:?}");
            assert!(!pattern.matches(&key(&[meant.clone(), text("fr")])), "{meant:?}");
            assert!(!pattern.matches(&key(&[meant.clone(), KeyPart::All])), "{meant:?}");
        }
        assert!(!pattern.matches(&key(&[KeyPart::All, text("de")])), "that is summed over");
        assert!(!pattern.matches("[]"));
        let all = KeyPattern::new(&[ColumnPattern::Is(KeyPart::All), ColumnPattern::Is(KeyPart::All)]);
        assert!(all.matches("[]") && !all.matches(&key(&[text("a"), KeyPart::All])));
    }

    #[test]
    fn keys_that_begin_alike_lie_together() {
        let quoted = ColumnPattern::beginning(FieldType::String, "a\"b");
        let pattern = KeyPattern::new(&[ColumnPattern::Is(KeyPart::All), quoted]);
        assert_eq!(pattern.text_begins(), "[null,\"a\\\"b");
        let behind =
            [text("a\"a"), text("a\"bc"), text("a\"c")].map(|part| pattern.is_behind(&key(&[KeyPart::All, part])));
        assert_eq!(behind, [false, false, true]);
        assert!(pattern.matches(&key(&[KeyPart::All, text("a\"bc")])));
        assert!(pattern.matches(&key(&[KeyPart::All, text("a\"b")])));
        assert!(!pattern.matches(&key(&[KeyPart::All, text("a")])));
        assert!(!pattern.matches(&key(&[text("x"), text("a\"b")])));
        let number =
            KeyPattern::new(&[ColumnPattern::beginning(FieldType::Int, "12"), ColumnPattern::Is(KeyPart::All)]);
        let int = |number| key(&[KeyPart::Value(KeyValue::Int(number)), KeyPart::All]);
        assert_eq!([12, 123, -12, 1, 2].map(|n| number.matches(&int(n))), [true, true, false, false, false]);
        let anything =
            KeyPattern::new(&[ColumnPattern::beginning(FieldType::Int, ""), ColumnPattern::Is(KeyPart::All)]);
        assert!(anything.matches(&int(5)) && !anything.matches("[]"));
    }

    #[test]
    fn what_is_absent_begins_with_nothing_however_it_is_written() {
        for kind in [FieldType::Int, FieldType::Float, FieldType::Bool, FieldType::String, FieldType::Timestamp] {
            for beginning in ["", "{", "{}", "n", "null"] {
                let pattern = KeyPattern::new(&[ColumnPattern::beginning(kind, beginning)]);
                for absent in [KeyPart::Missing, KeyPart::All] {
                    assert!(!pattern.matches(&key(std::slice::from_ref(&absent))), "{kind:?} {beginning} {absent:?}");
                }
            }
        }
    }

    #[test]
    fn a_key_is_read_as_an_answer_shows_it() {
        let parts = [text("a,\"b\\"), KeyPart::Missing, KeyPart::All, KeyPart::Value(KeyValue::Bool(true))];
        let values = [Some(json!("a,\"b\\")), Some(json!(null)), None, Some(json!(true))];
        assert_eq!(GroupKey::values_of(&key(&parts), 4), values);
        assert_eq!(GroupKey::values_of("[]", 2), [None, None]);
        let parts = [KeyPart::Value(KeyValue::Int(-7)), KeyPart::Value(KeyValue::Timestamp(0))];
        let expected: Vec<_> = parts.iter().map(KeyPart::to_json).collect();
        assert_eq!(GroupKey::values_of(&key(&parts), 2), expected);
    }
}
