//! A line → the key of its record: the text of the field that the catalog names. Where an event lacks that field, it is keyed by
//! its event id, so that its copies still meet in one partition, where speed recognises them.
//!
//! This is lenient: only these fields are decoded, and a line without them is sent without a key. A key only decides the
//! partition; the layers decide whether the record is valid.

use std::borrow::Cow;

use shared_logic::catalog::Source;

/// How a source's records are keyed.
#[derive(Debug, Clone)]
pub struct Keying {
    source: Source,
    /// The positions of the fields that may give a key; the first one that is there does. Without a declared key, none.
    positions: Vec<usize>,
}

impl Keying {
    /// The keying that a source declares.
    pub fn of(source: &Source) -> Keying {
        let fields = source.key.iter().flat_map(|key| [key].into_iter().chain(&source.event_id));
        let position = |name: &String| source.fields.iter().position(|field| field.name == *name);
        Keying { positions: fields.filter_map(position).collect(), source: source.clone() }
    }

    /// The key of a line; `None` if no field that could give it is there and can be read.
    pub fn key<'a>(&self, line: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        self.positions.iter().find_map(|position| self.source.field_text(line, *position))
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;

    use super::*;

    fn keying(source: &str) -> Keying {
        let catalog = Catalog::parse(crate::catalog_file::SHIPPED).expect("the shipped catalog is sound");
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
        assert_eq!(key(&keying, br#"{"video_id":1,"video_id":7}"#).as_deref(), Some("7"), "the last one stands");
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
    fn an_event_without_its_key_is_keyed_by_its_id() {
        let keying = keying("views");
        assert_eq!(key(&keying, br#"{"event_id":"e-1","video_id":null}"#).as_deref(), Some("e-1"));
        assert_eq!(key(&keying, br#"{"event_id":"e-1","video_id":"v"}"#).as_deref(), Some("v"));
    }

    #[test]
    fn tsv_is_keyed_by_the_column() {
        let keying = keying("access_log");
        let line = b"2026-04-24T09:30:12Z\tuser-7\thttps://example.org/\t200\r";
        assert_eq!(key(&keying, line).as_deref(), Some("https://example.org/"));
        assert_eq!(key(&keying, b"too\tshort"), None);
        assert_eq!(key(&keying, b"a\tb\t\t200"), None, "an empty column is absent");
        assert_eq!(key(&keying, b"a\tb\tc\r").as_deref(), Some("c"), "the line end is not part of the column");
    }

    #[test]
    fn a_key_is_found_where_its_field_stands() {
        let catalog = Catalog::parse(
            "[sources.s]\nevent_time = \"at\"\nkey = \"user_id\"\n[sources.s.fields]\nat = \"timestamp\"\n\
             user_id = { type = \"string\", path = \"users[1].id\" }\n\
             [metrics.m]\nsource = \"s\"\nmeasures = { n = \"count()\" }\n",
        );
        let keying = Keying::of(&catalog.expect("a valid catalog").sources["s"]);
        let line = br#"{"user_id":"no","users":[{"id":"first"},{"id":"second"}]}"#;
        assert_eq!(key(&keying, line).as_deref(), Some("second"));
        assert_eq!(
            key(&keying, &[&b"\xef\xbb\xbf"[..], &line[..]].concat()).as_deref(),
            Some("second"),
            "after a mark"
        );
        assert_eq!(key(&keying, br#"{"users":[{"id":"first"}]}"#), None);
        assert_eq!(key(&keying, br#"{"users":[0,{"id":1.50}]}"#).as_deref(), Some("1.50"), "as it is written");
    }
}
