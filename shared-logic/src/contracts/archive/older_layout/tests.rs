//! What a document tells is what the payload tells, and where it is taken to tell too little, it does.

use polars::prelude::Column;
use test_kit::{Dice, first_seed, repetitions};

use super::*;
use crate::catalog::Catalog;
use crate::decode::{Columns, Decoder, Event};
use crate::rejection::Rejected;

/// 2026-04-24, microseconds.
const RECORD_US: i64 = 1_776_988_800_000_000;

/// Values as producers write them.
const TOKENS: [&str; 32] = [
    "5",
    "5.0",
    "5e0",
    "50e-1",
    "-0",
    "-7",
    "0.5",
    "2.0",
    "2.00000000000000000001",
    "9007199254740993",
    "9223372036854775807",
    "1e300",
    "20260424",
    "1776988800",
    "1776988800000",
    "1.7769888e12",
    "1776988800000.5",
    "\"5\"",
    "\"a\"",
    "\"\"",
    r#""\u00e9\n\ud83d \"{}\"""#,
    "\"true\"",
    "\"20260424\"",
    "\"1776988800000\"",
    "\"2026-04-24T00:00:00.25Z\"",
    "\"2026-04-24 02:00 +0200\"",
    "\"2026-04-24T00:00:00\"",
    "true",
    "false",
    "null",
    r#"{"in": 5, "of": ["a"]}"#,
    "[1]",
];

/// The names of members, as they may be written.
const NAMES: [(&str, &str); 5] = [("a", "a"), (r"\u0061", "a"), ("b", "b"), ("c", "c"), ("a b", "a b")];

/// How a field may be declared, by builds that kept no bytes and by others.
const OLDER: [&str; 5] = ["string", "int", "float", "bool", "timestamp"];
const DECLARED: [&str; 12] = [
    "string",
    "int",
    "float",
    "bool",
    "timestamp",
    r#"{ type = "string", numbers = true }"#,
    r#"{ type = "timestamp", format = "epoch_s" }"#,
    r#"{ type = "timestamp", format = "%Y%m%d" }"#,
    r#"{ type = "int", path = "a.in" }"#,
    r#"{ type = "string", path = ["a b"] }"#,
    r#"{ type = "string", path = "b.of[0]" }"#,
    r#"{ type = "timestamp", path = "c" }"#,
];

/// A source with these fields beside the event time.
fn source(fields: &[(&str, String)], zone: &str) -> Source {
    let fields: Vec<String> = fields.iter().map(|(name, kind)| format!("{name} = {kind}\n")).collect();
    let head = format!("[sources.s]\nevent_time = \"at\"\n{zone}[sources.s.fields]\nat = \"timestamp\"\n");
    let text = format!("{head}{}", fields.concat());
    Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}")).sources["s"].clone()
}

/// A declaration, which may say that the field may be absent.
fn optional(kind: &str, optional: bool) -> String {
    match (optional, kind.starts_with('{')) {
        (false, true) => kind.to_owned(),
        (true, true) => ["string", "int", "timestamp"].iter().fold(kind.to_owned(), |kind, word| {
            kind.replacen(&format!("type = \"{word}\""), &format!("type = \"{word}?\""), 1)
        }),
        (optional, false) => format!("\"{kind}{}\"", if optional { "?" } else { "" }),
    }
}

/// The columns of a table that was written under the rules of that source.
fn declared(source: &Source) -> Schema {
    let fields = source.fields.iter().map(|field| (PlSmallStr::from(field.name.as_str()), field.kind.table_type()));
    fields.chain([(PlSmallStr::from(EXTRA), DataType::String)]).collect()
}

fn layout(source: &Source) -> OlderLayout {
    OlderLayout::of(source, &declared(source)).expect("a known layout")
}

/// A member: its name as it is written and as it is meant, and its value.
type Member = ((&'static str, &'static str), &'static str);

fn object<'a>(members: impl Iterator<Item = &'a Member>) -> String {
    let members: Vec<String> = members.map(|((name, _), value)| format!("\"{name}\" : {value}")).collect();
    format!("{{{}}}", members.join(", "))
}

fn payload(members: &[Member]) -> String {
    let event_time: Member = (("at", "at"), "1776988800000");
    object([event_time].iter().chain(members))
}

/// What was kept of an event by builds that kept no bytes; `None`: the record is no event, and its bytes were kept.
fn row(own: &Source, members: &[Member]) -> Option<DataFrame> {
    let (mut decoder, mut columns) = (Decoder::new(own), Columns::new(own, |_| true, 1));
    columns.push(&decoder.decode(Some(payload(members).as_bytes()), Some(RECORD_US)).ok()?);
    let is_undeclared = |((_, name), _): &&Member| own.field(name).is_none();
    let mut undeclared = members.iter().filter(is_undeclared).peekable();
    let extra = undeclared.peek().is_some().then(|| object(undeclared));
    let mut row = columns.finish().expect("columns");
    row.with_column(Column::new(EXTRA.into(), [extra])).expect("a row");
    Some(row)
}

/// What becomes of a record: its fields, or why it is invalid.
fn told(source: &Source, decoded: Result<Event<'_>, Rejected>) -> String {
    let event = match decoded {
        Ok(event) => event,
        Err(rejected) => return rejected.text(&source.fields),
    };
    let mut columns = Columns::new(source, |_| true, 1);
    columns.push(&event);
    let row = columns.finish().expect("columns");
    let cell = |column: &Column| format!("{}: {:?}", column.name(), column.get(0).expect("a row"));
    row.columns().iter().map(cell).collect::<Vec<_>>().join(", ")
}

fn by_payload(source: &Source, members: &[Member]) -> String {
    told(source, Decoder::new(source).decode(Some(payload(members).as_bytes()), Some(RECORD_US)))
}

fn by_document(source: &Source, document: &[u8]) -> String {
    told(source, Decoder::new(source).decode_document(document, Some(RECORD_US)))
}

#[test]
fn a_document_tells_what_the_payload_tells_under_all_rules_that_read_the_layout() {
    let (mut told, mut events) = (0, 0);
    let (first, count) = (first_seed(), repetitions(3_000, 200_000));
    for seed in first..first + count {
        let mut dice = Dice::new(seed);
        let mut fields = |kinds: &[&str]| -> Vec<(&'static str, String)> {
            let chosen = ["a", "b", "c"].into_iter().filter(|_| dice.chance(70)).collect::<Vec<_>>();
            chosen.into_iter().map(|name| (name, optional(dice.pick::<&str>(kinds), dice.chance(60)))).collect()
        };
        let (own, other) = (fields(&OLDER), fields(&DECLARED));
        let (own, other) = (source(&own, ""), source(&other, "time_zone = \"Europe/Berlin\"\n"));
        let members: Vec<Member> = (0..dice.below(6)).map(|_| (*dice.pick(&NAMES), *dice.pick(&TOKENS))).collect();
        let layout = layout(&own);
        let Some(row) = row(&own, &members).filter(|_| layout.is_read_by(&other)) else { continue };
        let document = layout.documents(&row).expect("documents").document(0);
        let (expected, seen) = (by_payload(&other, &members), by_document(&other, &document));
        let shown = String::from_utf8_lossy(&document);
        assert_eq!(seen, expected, "seed {seed}: {shown} for {}, {own:?} and {other:?}", payload(&members));
        (told, events) = (told + 1, events + usize::from(expected.starts_with("at: ")));
    }
    assert!(told > 100 && events > 20 && events < told, "{told} records, {events} events");
}

#[test]
fn what_is_a_gap_cannot_be_told() {
    let numbers = r#"{ type = "string", numbers = true }"#;
    let (epoch, pattern) =
        (r#"{ type = "timestamp", format = "epoch_s" }"#, r#"{ type = "timestamp", format = "%Y%m%d" }"#);
    // Two values of which the same was kept, and which differ under the other declaration.
    let table = [
        ("int", numbers, "5", "5.0"),
        ("int", pattern, "20260424", "2.0260424e7"),
        ("float", numbers, "5", "5.0"),
        ("float", "\"int\"", "2.0", "2.00000000000000000001"),
        ("float", "\"timestamp\"", "1776988800000.5", "1776988800000.4999999"),
        ("float", epoch, "1776988800.5", "1776988800.4999999999"),
        ("timestamp", "\"string\"", "1776988800000", "\"1776988800000\""),
        ("timestamp", numbers, "1776988800000", "\"2026-04-24T00:00:00Z\""),
        ("timestamp", "\"int\"", "1776988800000", "\"1776988800000\""),
        ("timestamp", "\"float\"", "1776988800000", "\"1776988800000\""),
        ("timestamp", epoch, "1776988800000", "\"2026-04-24T00:00:00Z\""),
        ("timestamp", pattern, "20260424", "20260424.0"),
    ];
    let zone = "time_zone = \"UTC\"\n";
    for (own, other, one, two) in table {
        let (own, other) = (source(&[("a", format!("{own:?}"))], ""), source(&[("a", other.to_owned())], zone));
        let [one, two] = [one, two].map(|value| vec![(("a", "a"), value)]);
        let rows = [&one, &two].map(|members| row(&own, members).expect("an event"));
        assert!(rows[0].equals_missing(&rows[1]), "{rows:?}");
        assert_ne!(by_payload(&other, &one), by_payload(&other, &two), "{own:?} → {other:?}");
        assert!(!layout(&own).is_read_by(&other), "{own:?} → {other:?}");
    }
}

#[test]
fn a_layout_is_known_where_the_table_was_written_under_the_rules_and_older_builds_knew_them() {
    let own = source(&[("a", "\"int\"".to_owned())], "");
    let without = |name: &str| -> Schema {
        let columns = declared(&own);
        columns.iter().filter(|(column, _)| column.as_str() != name).map(|(n, t)| (n.clone(), t.clone())).collect()
    };
    assert_eq!(OlderLayout::of(&own, &without("a")), None, "the field was added before bytes were kept");
    assert_eq!(OlderLayout::of(&own, &without(EXTRA)), None);
    let others = [
        ("\"int\"", "time_zone = \"UTC\"\n"),
        ("\"int\"", "format = \"tsv\"\n"),
        (r#"{ type = "int", path = "x" }"#, ""),
        (r#"{ type = "string", numbers = true }"#, ""),
        (r#"{ type = "timestamp", format = "epoch_s" }"#, ""),
    ];
    for (kind, more) in others {
        let other = source(&[("a", kind.to_owned())], more);
        assert_eq!(OlderLayout::of(&other, &declared(&other)), None, "{kind} {more}");
    }
}

#[test]
fn what_a_change_of_the_catalog_asks_of_the_layout() {
    let own = source(&[("a", "\"int\"".to_owned())], "max_record = \"10KiB\"\n");
    let mut columns = declared(&own);
    columns.with_column("gone".into(), DataType::String);
    let layout = OlderLayout::of(&own, &columns).expect("known");
    let reads = |fields: &[(&str, &str)], more: &str| {
        let fields: Vec<_> = fields.iter().map(|(name, kind)| (*name, (*kind).to_owned())).collect();
        layout.is_read_by(&source(&fields, more))
    };
    assert!(reads(&[], "max_record = \"10KiB\"\n"), "a field is taken out");
    assert!(reads(&[("a", "\"int?\""), ("b", "\"string\"")], "max_record = \"11KiB\"\nmax_age = \"1h\"\n"));
    assert!(reads(&[("a", "\"float\"")], ""), "and retyped");
    assert!(!reads(&[], "max_record = \"9KiB\"\n"), "how long the payloads were is not known");
    assert!(!reads(&[("gone", "\"string?\"")], ""), "older builds dropped what was taken out");
    assert!(!reads(&[("x", r#"{ type = "string", path = "gone" }"#)], ""));
    assert!(!reads(&[], "format = \"tsv\"\n"));
    let raised = OlderLayout { decoder: DECODER_VERSION + 1, ..layout.clone() };
    assert!(!raised.is_read_by(&own), "another decoder");

    let text = serde_json::to_string(&layout).expect("written");
    let members = r#""members":{"a":"int","at":"timestamp","gone":null}"#;
    assert!(text.contains(members), "{text}");
    assert_eq!(serde_json::from_str::<OlderLayout>(&text).expect("read"), layout);
}

#[test]
fn a_member_that_was_declared_later_than_its_row_was_written_counts() {
    let (own, before) = (source(&[("a", "\"int?\"".to_owned())], ""), source(&[], ""));
    let members: Vec<Member> = vec![(("a", "a"), "5")];
    let mut row = row(&before, &members).expect("an event");
    row.with_column(Column::new("a".into(), [None::<i64>])).expect("a row");
    let document = layout(&own).documents(&row).expect("documents").document(0);
    assert_eq!(by_document(&own, &document), by_payload(&own, &members));
}
