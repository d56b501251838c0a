//! A line → the key of its record: the text of the field that the catalog names.
//!
//! This is lenient: only that field is decoded, and a line without it is sent without a key. A key only decides the
//! partition; the layers decide whether the record is valid.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use shared_logic::catalog::{Format, Source};

/// How a source's records are keyed.
#[derive(Debug, Clone)]
pub enum Keying {
    /// Without a key: a record may go to any partition.
    None,
    /// By a member of a JSON object.
    Member(String),
    /// By the column at that position of a TSV line.
    Column(usize),
}

impl Keying {
    /// The keying that a source declares.
    pub fn of(source: &Source) -> Keying {
        let Some(key) = &source.key else { return Keying::None };
        match source.format {
            Format::Json => Keying::Member(key.clone()),
            Format::Tsv => {
                source.fields.iter().position(|field| field.name == *key).map_or(Keying::None, Keying::Column)
            }
        }
    }

    /// The key of a line; `None` if the field is absent or cannot be read.
    pub fn key<'a>(&self, line: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match self {
            Keying::None => None,
            Keying::Member(name) => member(line, name).map(|text| Cow::Owned(text.into_bytes())),
            Keying::Column(position) => column(line, *position).map(Cow::Borrowed),
        }
    }
}

fn column(line: &[u8], position: usize) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.split(|byte| *byte == b'\t').nth(position).filter(|text| !text.is_empty())
}

/// The text of a member: a string's characters, or a number or boolean as JSON writes it. If a member repeats, the last one
/// wins, as in the layers.
fn member(line: &[u8], name: &str) -> Option<String> {
    let mut document = serde_json::Deserializer::from_slice(line);
    match Member(name).deserialize(&mut document).ok()?? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Reads one member of an object and skips the others.
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

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;

    use super::*;

    fn keying(source: &str) -> Keying {
        let catalog = Catalog::parse(crate::catalog_file::SHIPPED).expect("the shipped catalog is valid");
        Keying::of(&catalog.sources[source])
    }

    fn key(keying: &Keying, line: &[u8]) -> Option<String> {
        keying.key(line).map(|key| String::from_utf8_lossy(&key).into_owned())
    }

    #[test]
    fn json_is_keyed_by_the_members_text() {
        let keying = keying("views");
        assert_eq!(key(&keying, br#"{"video_id":"video-42","status":200}"#).as_deref(), Some("video-42"));
        assert_eq!(key(&keying, br#"{"status":"oops","video_id":"a\u00e9\n"}"#).as_deref(), Some("a\u{e9}\n"));
        assert_eq!(key(&keying, br#"{"video_id":1,"video_id":7}"#).as_deref(), Some("7"), "the last one wins");
        assert_eq!(key(&keying, br#"{"video_id":true}"#).as_deref(), Some("true"));
        assert_eq!(key(&keying, br#"{"\u0076ideo_id":"v"}"#).as_deref(), Some("v"));
    }

    #[test]
    fn lines_without_a_key_are_no_mistake() {
        let keying = keying("views");
        let without: [&[u8]; 8] = [
            b"",
            b"not json",
            b"[1]",
            b"{}",
            br#"{"video_id":null}"#,
            br#"{"video_id":{}}"#,
            br#"{"video_id":"v""#,
            b"\xff",
        ];
        for line in without {
            assert_eq!(key(&keying, line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn tsv_is_keyed_by_the_column() {
        let keying = keying("access_log");
        let line = b"2026-04-24T09:30:12Z\tuser-7\thttps://example.org/\t200\r";
        assert_eq!(key(&keying, line).as_deref(), Some("https://example.org/"));
        assert_eq!(key(&keying, b"too\tshort"), None);
        assert_eq!(key(&keying, b"a\tb\t\t200"), None, "an empty column is absent");
        assert_eq!(key(&Keying::Column(1), b"a\tb\r").as_deref(), Some("b"), "the line end is not part of the column");
    }
}
