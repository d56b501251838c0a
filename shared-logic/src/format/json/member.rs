//! The text of one member of a document, whatever the other members hold.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// The text of a member: a string's characters, or a number or boolean as JSON writes it. The last one of a
/// repeated member counts, as in the tokenizer.
pub(super) fn text(document: &[u8], name: &str) -> Option<String> {
    let mut document = serde_json::Deserializer::from_slice(document);
    match Member(name).deserialize(&mut document).ok()?? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Reads one member of an object and passes over the others without keeping them.
struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<Option<Value>, D::Error> {
        document.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Option<Value>, A::Error> {
        let mut found = None;
        loop {
            match members.next_key::<Cow<'de, str>>() {
                Ok(Some(name)) if name == self.0 => found = Some(members.next_value()?),
                Ok(Some(_)) => drop(members.next_value::<IgnoredAny>()?),
                Ok(None) => return Ok(found),
                Err(error) => return Err(A::Error::custom(error)),
            }
        }
    }
}
