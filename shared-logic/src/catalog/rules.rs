//! Decoding rules: everything that decides what event a record is, if it is one (R11).
//!
//! The archive keeps the bytes of records, and beside them what they were decoded to. Each of its files names the hash
//! of the rules that it was decoded under. Other rules start from the bytes.

use std::fmt::{self, Write};

use chrono_tz::IANA_TZDB_VERSION;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::Source;
use crate::schema::{InstantFormat, Place};

/// Raise this, and [`PLAN_VERSION`](super::PLAN_VERSION) with it, when a change of this crate makes the same source
/// decode a record differently. Every record of every archive is decoded again then.
pub const DECODER_VERSION: u32 = 2;

/// Names the rules by which records were decoded: 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RulesHash(String);

impl RulesHash {
    /// The 16 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RulesHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// From the text of a file's column. If another program wrote it, it equals the rules of no source.
impl From<&str> for RulesHash {
    fn from(text: &str) -> RulesHash {
        RulesHash(text.to_owned())
    }
}

/// The rules of a source: their hash, and the source that declares them. Of records whose bytes were not kept, the hash alone does
/// not say whether the rules can decode them.
#[derive(Debug, Clone)]
pub struct DecodingRules {
    hash: RulesHash,
    source: Option<Source>,
}

impl DecodingRules {
    /// Names the rules.
    pub fn hash(&self) -> &RulesHash {
        &self.hash
    }

    /// The source that declares them; `None`, if only the hash is known.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }
}

/// Rules of which only the hash is known.
impl From<&str> for DecodingRules {
    fn from(hash: &str) -> DecodingRules {
        DecodingRules { hash: hash.into(), source: None }
    }
}

impl Source {
    /// The hash of the rules by which this source decodes records.
    pub fn rules(&self) -> RulesHash {
        let text = format!("decoder {DECODER_VERSION}\n{}", decoding(self));
        RulesHash(format!("{:016x}", xxh3_64(text.as_bytes())))
    }

    /// The same rules, with all that they say.
    pub fn decoding_rules(&self) -> DecodingRules {
        DecodingRules { hash: self.rules(), source: Some(self.clone()) }
    }
}

/// How bytes become an event: format, fields, identity, time and size. One fact a line.
pub(super) fn decoding(source: &Source) -> String {
    let mut fields: Vec<_> = source.fields.iter().collect();
    if !source.format.is_positional() {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let mut text = String::new();
    let mut line = |fact: fmt::Arguments<'_>| writeln!(text, "{fact}").expect("a String takes any text");
    line(format_args!("format {}", source.format.name()));
    for field in fields {
        line(format_args!("field {} {}{}", field.name, field.kind.name(), if field.optional { "?" } else { "" }));
        if field.place != Place::Own {
            line(format_args!("place {:?}", field.place));
        }
        if field.instants != InstantFormat::Usual {
            line(format_args!("instants {:?}", field.instants));
        }
        if field.numbers {
            line(format_args!("numbers"));
        }
    }
    if source.format.null().is_some() {
        line(format_args!("null {:?}", source.null));
    }
    // Clocks of a zone are changed by laws, of which a newer database knows more.
    if let Some(zone) = source.time_zone {
        line(format_args!("time_zone {} {IANA_TZDB_VERSION}", zone.name()));
    }
    line(format_args!("event_id {}", event_id(source)));
    line(format_args!("event_time {}", source.event_time));
    line(format_args!("age_us {} {}", source.max_age_us, source.max_ahead_us));
    line(format_args!("max_record {}", source.max_record));
    if source.is_stream {
        line(format_args!("marks"));
    }
    if source.is_table {
        line(format_args!("changes by {}", source.key.as_deref().unwrap_or("-")));
    }
    text
}

/// The fields that identify an event, sorted, since their order tells no event from another.
fn event_id(source: &Source) -> String {
    let mut fields: Vec<&str> = source.event_id.iter().map(String::as_str).collect();
    fields.sort_unstable();
    if fields.is_empty() { "-".to_owned() } else { fields.join(" ") }
}

#[cfg(test)]
mod tests {
    use crate::catalog::{Catalog, Source};

    const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
max_age = "400d"
max_ahead = "1h"
format = "json"
dedup_window = 1000
[sources.s.fields]
id = "string"
at = "timestamp"
sent_at = "timestamp"
site = "string"
[metrics.m]
source = "s"
where = "site = 'a'"
by = []
grain = "1m"
[metrics.m.measures]
events = "count()"
"#;

    fn rules_of(text: &str) -> String {
        Catalog::parse(text).expect("a valid catalog").sources["s"].rules().to_string()
    }

    #[test]
    fn whatever_can_change_an_event_changes_its_rules_and_nothing_else_does() {
        let changes = [
            ("event_id = \"id\"\n", "", true),
            ("event_time = \"at\"", "event_time = \"sent_at\"", true),
            ("400d", "399d", true),
            ("\"1h\"", "\"2h\"", true),
            ("\"json\"", "\"tsv\"", true),
            ("site = \"string\"", "site = \"string?\"", true),
            ("site = \"string\"", "site = \"string\"\nmore = \"int?\"", true),
            ("format = \"json\"", "format = \"json\"\ntime_zone = \"UTC\"", true),
            ("sent_at = \"timestamp\"", "sent_at = { type = \"timestamp\", format = \"epoch_s\" }", true),
            ("sent_at = \"timestamp\"", "sent_at = { type = \"timestamp\", format = \"%+\" }", true),
            ("site = \"string\"", "site = { type = \"string\", path = \"place.site\" }", true),
            ("site = \"string\"", "site = { type = \"string\", numbers = true }", true),
            ("site = \"string\"", "site = { type = \"string\", path = [\"site\"], numbers = false }", false),
            ("event_id = \"id\"", "event_id = [\"id\", \"site\"]", true),
            ("event_id = \"id\"", "event_id = [\"id\"]", false),
            ("400d\"", "400d\"\nmax_record = \"2MiB\"", true),
            ("400d\"", "400d\"\nmax_record = \"1024KiB\"", false),
            ("400d\"", "400d\"\nretain = \"500d\"", false),
            ("by = []", "by = [\"site\"]", false),
            ("1000", "1001", false),
            ("'a'", "'b'", false),
            ("1m", "2m", false),
            ("at = \"timestamp\"\nsent_at = \"timestamp\"", "sent_at = \"timestamp\"\nat = \"timestamp\"", false),
        ];
        for (from, to, differs) in changes {
            let changed = CATALOG.replacen(from, to, 1);
            assert_ne!(changed, CATALOG, "{from} is not in the catalog");
            assert_eq!(rules_of(&changed) != rules_of(CATALOG), differs, "{from} -> {to}");
        }
    }

    /// In a stream, a record without a payload is a mark.
    #[test]
    fn what_a_record_without_a_payload_is_belongs_to_the_rules() {
        let source = Catalog::parse(CATALOG).expect("a valid catalog").sources["s"].clone();
        assert_ne!(Source { is_stream: true, ..source.clone() }.rules(), source.rules());
    }

    /// In a table, such a record is a delete, and which key a record has to have is that of its row.
    #[test]
    fn what_a_table_is_keyed_by_belongs_to_its_rules() {
        let table = |key: &str, format: &str| {
            let text = format!(
                "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n[tables.t]\nkey = \"{key}\"\n\
                 format = \"{format}\"\n[tables.t.fields]\na = \"string\"\nb = \"int\"\n"
            );
            Catalog::parse(&text).expect("a valid catalog").sources["t"].rules()
        };
        assert_eq!(table("a", "json"), table("a", "json"));
        assert_ne!(table("a", "json"), table("b", "json"));
        assert_ne!(table("a", "json"), table("a", "debezium"));
    }

    #[test]
    fn the_fields_of_an_event_id_have_no_order() {
        let two = |fields: &str| rules_of(&CATALOG.replacen("event_id = \"id\"", &format!("event_id = {fields}"), 1));
        assert_eq!(two(r#"["id", "site"]"#), two(r#"["site", "id"]"#));
        assert_ne!(two(r#"["id", "site"]"#), two(r#"["site"]"#));
    }

    #[test]
    fn texts_of_absent_values_are_rules_of_formats_that_hold_texts() {
        let with = |format: &str, null: &str| {
            rules_of(&CATALOG.replacen("format = \"json\"", &format!("format = \"{format}\"\n{null}"), 1))
        };
        assert_eq!(with("tsv", ""), with("tsv", "null = [\"\"]"));
        assert_ne!(with("tsv", ""), with("tsv", "null = [\"\", \"-\"]"));
        assert_ne!(with("tsv", ""), with("csv", ""));
    }

    #[test]
    fn columns_with_names_have_no_order() {
        let log = |fields: &str| {
            let head = "[sources.s]\nformat = \"combined\"\nevent_time = \"time\"\n[sources.s.fields]";
            rules_of(&format!("{head}\n{fields}\n"))
        };
        let (time, user) = ("time = \"timestamp\"", "user = \"string\"");
        assert_eq!(log(&format!("{time}\n{user}")), log(&format!("{user}\n{time}")));
        // The usual form of a log's times, written out, is the same rule.
        let written = "time = { type = \"timestamp\", format = \"%d/%b/%Y:%H:%M:%S %z\" }";
        assert_eq!(log(&format!("{written}\n{user}")), log(&format!("{time}\n{user}")));
        assert_ne!(log(time), log("time = { type = \"timestamp\", format = \"%+\" }"));
    }
}
