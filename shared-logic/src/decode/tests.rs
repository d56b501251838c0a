//! Payloads and what becomes of them: a table for every reason, and properties against serde_json.

mod properties;
mod tables;

use polars::prelude::AnyValue;

use super::*;
use crate::catalog::Catalog;
use crate::schema::FieldType;
use crate::time::{MAX_INSTANT_US, MIN_INSTANT_US, SECOND_US};

const FIELDS: &str = r#"
id = "string"
at = "timestamp"
user = "string"
note = "string?"
n = "int?"
x = "float?"
b = "bool?"
w = "timestamp?"
"#;

/// Two fields are required beside the event time.
fn source(format: &str) -> Source {
    let text = format!(
        "[sources.s]\nevent_id = \"id\"\nevent_time = \"at\"\nmax_age = \"1h\"\nmax_ahead = \"1m\"\nformat = \"{format}\"\n\
         [sources.s.fields]\n{FIELDS}\n[metrics.m]\nsource = \"s\"\nby = [\"user\"]\ngrain = \"1m\"\n[metrics.m.measures]\nc = \"count()\"\n"
    );
    Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).sources["s"].clone()
}

/// What a payload becomes: the cells by name in the order of the fields, or `reason[:field]`.
fn decoded(source: &Source, payload: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut decoder = Decoder::new(source);
    let event = decoder.decode(Some(payload), None).map_err(|rejected| rejected.text(&source.fields))?;
    let mut columns = Columns::new(source, |_| true, 1);
    columns.push(&event);
    let frame = columns.finish().expect("columns");
    let cell = |name: &str| match frame.column(name).expect("declared").get(0).expect("one row") {
        AnyValue::String(text) => text.to_owned(),
        AnyValue::StringOwned(text) => text.to_string(),
        AnyValue::Float64(x) => format!("{x:?}"),
        other => other.to_string(),
    };
    Ok(source
        .fields
        .iter()
        .map(|field| (field.name.clone(), cell(&field.name)))
        .filter(|(_, cell)| cell != "null")
        .collect())
}

/// One field of a JSON object whose required fields are there.
fn json_field(name: &str, value: &str) -> Result<String, String> {
    let payload = format!(r#"{{"id":"i","at":0,"user":"k","{name}":{value}}}"#);
    one(decoded(&source("json"), payload.as_bytes()), name)
}

/// One field of a line whose required fields are there.
fn tsv_field(name: &str, value: &str) -> Result<String, String> {
    let cell = |field: &str, otherwise: &str| if field == name { value.to_owned() } else { otherwise.to_owned() };
    let cells = [("id", "i"), ("at", "0"), ("user", "k"), ("note", ""), ("n", ""), ("x", ""), ("b", ""), ("w", "")];
    let line = cells.map(|(field, otherwise)| cell(field, otherwise)).join("\t");
    one(decoded(&source("tsv"), line.as_bytes()), name)
}

fn one(cells: Result<Vec<(String, String)>, String>, name: &str) -> Result<String, String> {
    cells.map(|cells| cells.into_iter().find(|(field, _)| field == name).map_or("null".to_owned(), |(_, cell)| cell))
}

#[test]
fn documents_are_judged_before_their_fields() {
    let whole = |payload: &[u8]| decoded(&source("json"), payload).err().unwrap_or_else(|| "accepted".to_owned());
    let deep =
        |levels: usize| format!(r#"{{"id":"i","at":0,"user":"k","u":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let table: &[(&[u8], &str)] = &[
        (b"", "empty"),
        (b"\xff", "not_utf8"),
        (b"{\"id\":\"\xc3\x28\"}", "not_utf8"),
        (b"\xed\xa0\x80", "not_utf8"),
        (b" ", "not_json"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\xef\xbb\xbf{}", "missing_field:id"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "not_json"),
        (b" \xef\xbb\xbf{}", "not_json"),
        (b"\xef\xbb{}", "not_utf8"),
        (b"{", "not_json"),
        (b"{}}", "not_json"),
        (b"{} x", "not_json"),
        (b"{\"a\":1,}", "not_json"),
        (b"{\"a\" 1}", "not_json"),
        (b"{a:1}", "not_json"),
        (b"{'a':1}", "not_json"),
        (b"{\"a\":01}", "not_json"),
        (b"{\"n\":01}", "not_json"),
        (b"{\"n\":+1}", "not_json"),
        (b"{\"n\":.5}", "not_json"),
        (b"{\"n\":5.}", "not_json"),
        (b"{\"n\":1e}", "not_json"),
        (b"{\"n\":-}", "not_json"),
        (b"{\"n\":0x10}", "not_json"),
        (b"{\"x\":NaN}", "not_json"),
        (b"{\"x\":Infinity}", "not_json"),
        (b"{\"b\":True}", "not_json"),
        (b"{\"b\":truey}", "not_json"),
        (b"{\"note\":\"a\nb\"}", "not_json"),
        (b"{\"note\":\"\\x41\"}", "not_json"),
        (b"{\"note\":\"\\u12\"}", "not_json"),
        (b"{\"note\":\"\\ud800\\u12\"}", "not_json"),
        (b"{\"u\":\"\\ud800\\u\"}", "not_json"),
        (b"{\"u\":\"\\ud800\"}", "missing_field:id"),
        (b"{\"\\udfff\":[\"\\ud800\"]}", "missing_field:id"),
        (b"{\"u\":[\"\\q\"]}", "not_json"),
        (b"{\"u\":{\"\\q\":1}}", "not_json"),
        (b"{\"note\":\"\\\"", "not_json"),
        (b"{\"note\":\"\\", "not_json"),
        (b"{\"u\":[1,]}", "not_json"),
        (b"{\"u\":[1 2]}", "not_json"),
        (b"{\"u\":[1}}", "not_json"),
        (b"{\"u\":{\"a\":1]}", "not_json"),
        (b"{\"u\":{\"a\"}}", "not_json"),
        (b"{\"u\":{1:1}}", "not_json"),
        (b"{\"u\":[[],{},[{}]]", "not_json"),
        (b"{\"u\":nul}", "not_json"),
        (b"/* */{}", "not_json"),
        (b"[1,2]", "not_object"),
        (b"null", "not_object"),
        (b" \"text\" ", "not_object"),
        (b"-0.5e+10", "not_object"),
        (b"[1,2", "not_json"),
        (b"1 2", "not_json"),
        (b"{}", "missing_field:id"),
        (b"{\"id\":null}", "missing_field:id"),
        (b"{\"id\":1}", "wrong_type:id"),
        (b" \t\r\n{ \"id\" : \"i\" , \"at\" : 0 , \"user\" : \"k\" } \n", "accepted"),
    ];
    for (payload, expected) in table {
        assert_eq!(whole(payload), *expected, "{}", String::from_utf8_lossy(payload));
    }
    assert_eq!(whole(deep(400_000).as_bytes()), "accepted");
    assert_eq!(whole(deep(400_000).replacen(']', "", 1).as_bytes()), "not_json");
    assert_eq!(whole(deep(400_000).replacen("]]", "]}", 1).as_bytes()), "not_json");
    assert_eq!(whole("[".repeat(1_000_000).as_bytes()), "not_json");
    assert_eq!(whole(&b"{\"u\":".repeat(150_000)), "not_json");
}

#[test]
fn fields_are_read_as_declared() {
    let ok = |cell: &str| Ok(cell.to_owned());
    let err = |why: &str| Err(why.to_owned());
    let table = [
        // Text.
        ("note", r#""a\"\\\/\b\f\n\r\tz""#, ok("a\"\\/\u{8}\u{c}\n\r\tz")),
        ("note", r#""\u00fc \uD83D\uDE00 \u0000""#, ok("ü 😀 \u{0}")),
        ("note", "\"ü 😀 \u{7f}\"", ok("ü 😀 \u{7f}")),
        ("note", r#""""#, ok("")),
        ("note", "null", ok("null")),
        ("note", r#""cut \ud83d""#, ok("cut \u{fffd}")),
        ("note", r#""\ude00\ud83d\ud83d\ude00\ud83dA""#, ok("\u{fffd}\u{fffd}😀\u{fffd}A")),
        ("note", r#""\ud83d\u0041""#, ok("\u{fffd}A")),
        ("note", "5", err("wrong_type:note")),
        ("note", "[\"a\"]", err("wrong_type:note")),
        ("note", "{}", err("wrong_type:note")),
        ("user", "null", err("missing_field:user")),
        // Integers.
        ("n", "9007199254740993", ok("9007199254740993")),
        ("n", "1795305600123456789", ok("1795305600123456789")),
        ("n", "999999999999999999", ok("999999999999999999")),
        ("n", "1000000000000000000", ok("1000000000000000000")),
        ("n", "9223372036854775807", ok("9223372036854775807")),
        ("n", "-9223372036854775808", ok("-9223372036854775808")),
        ("n", "9223372036854775808", err("out_of_range:n")),
        ("n", "-9223372036854775809", err("out_of_range:n")),
        ("n", "18446744073709551616", err("out_of_range:n")),
        ("n", "123456789012345678901234567890", err("out_of_range:n")),
        ("n", "-0", ok("0")),
        ("n", "-0.0", ok("0")),
        ("n", "0e999999999999999999999", ok("0")),
        ("n", "3.0", ok("3")),
        ("n", "-3.000e0", ok("-3")),
        ("n", "1e2", ok("100")),
        ("n", "1.2E+3", ok("1200")),
        ("n", "30e-1", ok("3")),
        ("n", "0.00012e5", ok("12")),
        ("n", "9007199254740993.0", ok("9007199254740993")),
        ("n", "9223372036854775807.000000000000000000000000", ok("9223372036854775807")),
        ("n", "-922337203685477580.8e1", ok("-9223372036854775808")),
        ("n", "92233720368547758080e-1", err("out_of_range:n")),
        ("n", "1e18", ok("1000000000000000000")),
        ("n", "1e19", err("out_of_range:n")),
        ("n", "1e400", err("out_of_range:n")),
        ("n", "-1e999999999999999999999", err("out_of_range:n")),
        ("n", "0.5", err("wrong_type:n")),
        ("n", "1.25e1", err("wrong_type:n")),
        ("n", "1e-1", err("wrong_type:n")),
        ("n", "1e-999999999999999999999", err("wrong_type:n")),
        ("n", "9223372036854775807.5", err("wrong_type:n")),
        ("n", "\"1\"", err("wrong_type:n")),
        ("n", "true", err("wrong_type:n")),
        ("n", "null", ok("null")),
        // Floats.
        ("x", "1", ok("1.0")),
        ("x", "-0", ok("0.0")),
        ("x", "-0.0", ok("0.0")),
        ("x", "0.1", ok("0.1")),
        ("x", "1e308", ok("1e308")),
        ("x", "1e400", err("out_of_range:x")),
        ("x", "-1E+400", err("out_of_range:x")),
        ("x", "1e-400", ok("0.0")),
        ("x", "\"NaN\"", err("wrong_type:x")),
        ("x", "\"1\"", err("wrong_type:x")),
        // Truth.
        ("b", "true", ok("true")),
        ("b", "false", ok("false")),
        ("b", "0", err("wrong_type:b")),
        ("b", "\"true\"", err("wrong_type:b")),
        // Instants.
        ("w", "\"1970-01-01T00:00:01.5Z\"", ok("1500000")),
        ("w", "\"1970-01-01T01:00:00+01:00\"", ok("0")),
        ("w", "\"1970-01-01T00:00:00\\u005a\"", ok("0")),
        ("w", "1500", ok("1500000")),
        ("w", "-1", ok("-1000")),
        ("w", "253402300799999", ok("253402300799999000")),
        ("w", "253402300800000", err("out_of_range:w")),
        ("w", "-62135596800000", ok("-62135596800000000")),
        ("w", "-62135596800001", err("out_of_range:w")),
        ("w", "9223372036854775807", err("out_of_range:w")),
        ("w", "1.5e3", ok("1500000")),
        ("w", "1500.5", ok("1500500")),
        ("w", "1.7953056e12", ok("1795305600000000")),
        ("w", "1e99", err("out_of_range:w")),
        ("w", "\"1500\"", ok("1500000")),
        ("w", "\"1500.0009\"", ok("1500000")),
        ("w", "\"+1500\"", err("wrong_type:w")),
        ("w", "\"1970-01-01T00:00Z\"", ok("0")),
        ("w", "\"1970-01-01T01:00:00+0100\"", ok("0")),
        ("w", "\"1970-01-01T00:00:60Z\"", ok("59999999")),
        ("w", "\"1970-01-01T00:00:00\"", err("wrong_type:w")),
        ("w", "\"0000-12-31T23:59:59Z\"", err("out_of_range:w")),
        ("w", "true", err("wrong_type:w")),
        ("w", "[0]", err("wrong_type:w")),
        ("w", "\"yesterday\"", err("wrong_type:w")),
        ("w", "\"2026-02-29T00:00:00Z\"", err("wrong_type:w")),
    ];
    for (name, value, expected) in table {
        assert_eq!(json_field(name, value), expected, "{name}: {value}");
    }
}

#[test]
fn a_value_is_what_its_column_holds() {
    let source = source("json");
    let mut decoder = Decoder::new(&source);
    let payload = br#"{"id":"i","at":0,"user":"k","note":"a\u0062","n":-7,"x":2,"b":true,"w":"1970-01-01T00:00:01Z"}"#;
    let event = decoder.decode(Some(payload), None).expect("an event");
    let value = |name: &str| event.value(source.fields.iter().position(|field| field.name == name).expect("declared"));
    assert_eq!((value("note"), value("n")), (Some(FieldValue::Text("ab")), Some(FieldValue::Int(-7))));
    assert_eq!((value("x"), value("b")), (Some(FieldValue::Float(2.0)), Some(FieldValue::Bool(true))));
    assert_eq!(value("w"), Some(FieldValue::Instant(1_000_000)));
    let event = decoder.decode(Some(br#"{"id":"i","at":0,"user":"k","n":null}"#), None).expect("an event");
    assert_eq!((event.value(3), event.value(4)), (None, None), "what is absent");
}

#[test]
fn a_repeated_member_stands_as_its_last_one() {
    let source = source("json");
    let n = |payload: &str| one(decoded(&source, payload.as_bytes()), "n");
    assert_eq!(n(r#"{"id":"i","at":0,"user":"k","n":1,"n":2}"#), Ok("2".to_owned()));
    assert_eq!(n(r#"{"n":1,"id":"i","at":0,"user":"k","\u006e":2}"#), Ok("2".to_owned()));
    assert_eq!(n(r#"{"n":"no","id":"i","at":0,"user":"k","n":null}"#), Ok("null".to_owned()));
    assert_eq!(n(r#"{"n":1,"id":"i","at":0,"user":"k","n":"no"}"#), Err("wrong_type:n".to_owned()));
}

#[test]
fn undeclared_members_are_passed_over() {
    let members = r#""u" : {"a":[1, "\u00fc", {}],"n":7},"":[ ] , "N":1e400 ,"n ":{ } "#;
    let payload = format!(r#"{{{members},"id":"i","at":0,"user":"k",{members}}}"#);
    let plain = decoded(&source("json"), br#"{"id":"i","at":0,"user":"k"}"#);
    assert_eq!(decoded(&source("json"), payload.as_bytes()), plain);
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_line() {
    let line = "\u{feff}i\t0\tk\t\t\t\t\t";
    let cells = decoded(&source("tsv"), line.as_bytes());
    assert_eq!(one(cells, "id"), Ok("i".to_owned()));
}

#[test]
fn lines_are_split_at_tabs() {
    let line = |line: &str| decoded(&source("tsv"), line.as_bytes()).err().unwrap_or_else(|| "accepted".to_owned());
    for (text, expected) in [
        ("i\t0\tk\t\t\t\t\t", "accepted"),
        ("i\t0\tk\t\t\t\t\t\n", "accepted"),
        ("i\t0\tk\t\t\t\t\t\r\n", "accepted"),
        ("i\t0\tk\t\t\t\t", "wrong_columns"),
        ("i\t0\tk\t\t\t\t\t\t", "wrong_columns"),
        ("i\t0\tk\t\t\t\t\t\ni\t0\tk\t\t\t\t\t", "wrong_columns"),
        ("\n", "wrong_columns"),
        ("\t0\tk\t\t\t\t\t", "missing_field:id"),
        ("i\t\tk\t\t\t\t\t", "missing_field:at"),
        ("i\tx\tk\t\t\t\t\t", "wrong_type:at"),
    ] {
        assert_eq!(line(text), expected, "{text:?}");
    }
    let ok = |cell: &str| Ok(cell.to_owned());
    let err = |why: &str| Err(why.to_owned());
    for (name, value, expected) in [
        ("note", "\"a\\n\"", ok("\"a\\n\"")),
        ("note", " ", ok(" ")),
        ("n", "007", ok("7")),
        ("n", "-0", ok("0")),
        ("n", "+1", err("wrong_type:n")),
        ("n", "1.0", ok("1")),
        ("n", "007.50e1", ok("75")),
        ("n", "00000000000000000000000000000007", ok("7")),
        ("n", "-9223372036854775808", ok("-9223372036854775808")),
        ("n", "9223372036854775808", err("out_of_range:n")),
        ("n", "-", err("wrong_type:n")),
        ("n", "--1", err("wrong_type:n")),
        ("n", "1.", err("wrong_type:n")),
        ("n", ".5e1", err("wrong_type:n")),
        ("n", "1e", err("wrong_type:n")),
        ("n", "1e+", err("wrong_type:n")),
        ("n", "1e2e3", err("wrong_type:n")),
        ("n", "1e2.0", err("wrong_type:n")),
        ("n", "1.0.0", err("wrong_type:n")),
        ("n", "123456789012345678x", err("wrong_type:n")),
        ("x", "1e3", ok("1000.0")),
        ("x", "1e400", err("out_of_range:x")),
        ("x", "NaN", err("wrong_type:x")),
        ("x", "inf", err("wrong_type:x")),
        ("x", "+1", err("wrong_type:x")),
        ("x", ".5", err("wrong_type:x")),
        ("b", "true", ok("true")),
        ("b", "1", ok("true")),
        ("b", "2", err("wrong_type:b")),
        ("w", "1970-01-01T00:00:01Z", ok("1000000")),
        ("w", "1000", ok("1000000")),
        ("w", "253402300800000", err("out_of_range:w")),
        ("w", "now", err("wrong_type:w")),
    ] {
        assert_eq!(tsv_field(name, value), expected, "{name}: {value}");
    }
}

#[test]
fn only_a_whole_record_can_be_too_long() {
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    for name in ["user", "note"] {
        assert_eq!(json_field(name, &text(1_000_000)).map(|cell| cell.len()), Ok(1_000_000), "{name}");
        assert_eq!(tsv_field(name, &"x".repeat(1_000_000)).map(|cell| cell.len()), Ok(1_000_000), "{name}");
    }
    let source = Source { max_record: 100, ..source("json") };
    let record = |bytes: usize| {
        let payload = format!(r#"{{"id":"i","at":0,"user":"k"}}{}"#, " ".repeat(bytes - 28));
        assert_eq!(payload.len(), bytes);
        decoded(&source, payload.as_bytes()).map(drop)
    };
    assert_eq!((record(100), record(101)), (Ok(()), Err("too_long".to_owned())));
    // Nothing else is said of such a record.
    assert_eq!(decoded(&source, &[0xff; 101]), Err("too_long".to_owned()));
    assert_eq!(decoded(&source, &[0xff; 100]), Err("not_utf8".to_owned()));
}

#[test]
fn what_is_no_table_does_not_look_at_keys() {
    let mut decoder = Decoder::new(&source("json"));
    let payload = br#"{"id":"i","at":0,"user":"k","n":null}"#.as_slice();
    for key in [None, Some(b"another".as_slice())] {
        assert!(decoder.decode_keyed(key, Some(payload), None).is_ok(), "{key:?}");
        let refused = decoder.decode_keyed(key, None, None).map(|event| event.time_us);
        assert_eq!(refused, Err(Rejected::whole(Reason::Empty)), "{key:?}");
    }
}

#[test]
fn a_record_of_a_stream_without_a_payload_is_a_mark() {
    let why_not = |is_stream, payload: Option<&[u8]>| {
        let source = Source { is_stream, ..source("json") };
        let rejected = Decoder::new(&source).decode(payload, Some(0)).map(|event| event.time_us).expect_err("no event");
        (rejected.text(&source.fields), rejected.reason.is_reject())
    };
    assert_eq!(why_not(true, None), ("mark".to_owned(), false));
    assert_eq!(why_not(true, Some(b"")), ("empty".to_owned(), true));
    assert_eq!(why_not(false, None), ("empty".to_owned(), true), "a tombstone");
    assert!(Reason::ALL.iter().all(|reason| reason.is_reject()), "all that are listed are rejects");
}

#[test]
fn an_event_is_identified_by_every_field_of_its_id() {
    let identity = |event_id: &[&str], id: &str, user: &str, n: i64| {
        let event_id = event_id.iter().map(|name| (*name).to_owned()).collect();
        let source = Source { event_id, ..source("json") };
        let payload = format!(r#"{{"id":"{id}","at":5,"user":"{user}","n":{n}}}"#);
        Decoder::new(&source).decode(Some(payload.as_bytes()), None).expect("an event").identity()
    };
    assert_eq!(identity(&[], "i", "k", 1), None);
    assert_eq!(identity(&["id"], "i", "k", 1), Some(Identity::of([b"i"], 5_000)));
    assert_eq!(identity(&["n"], "i", "k", 1), Some(Identity::of([1_i64.to_le_bytes()], 5_000)));
    let both = identity(&["id", "user"], "i", "k", 1);
    assert_eq!(both, Some(Identity::of([b"i", b"k"], 5_000)));
    assert_eq!(both, identity(&["id", "user"], "i", "k", 2), "another field is no part of it");
    assert_ne!(both, identity(&["id", "user"], "i", "l", 1));
    assert_ne!(both, identity(&["id", "user"], "ik", "", 1));
    assert_ne!(identity(&["user", "n"], "i", "k", 1), identity(&["user", "n"], "i", "k", 2));
}

#[test]
fn age_is_judged_by_the_records_own_timestamp() {
    let source = source("json");
    let mut decoder = Decoder::new(&source);
    let mut judged = |at_ms: i64, record_us: Option<i64>| {
        let payload = format!(r#"{{"id":"i","at":{at_ms},"user":"k"}}"#);
        let event = decoder.decode(Some(payload.as_bytes()), record_us).map(|event| event.time_us);
        event.map_err(|rejected| rejected.text(&source.fields))
    };
    let now_us = 1_777_032_060 * SECOND_US;
    let at = |us: i64| now_us / 1_000 + us / 1_000;
    let (hour, minute) = (3_600 * SECOND_US, 60 * SECOND_US);
    assert_eq!(judged(at(-hour), Some(now_us)), Ok(now_us - hour));
    assert_eq!(judged(at(-hour - 1_000), Some(now_us)), Err("too_old:at".to_owned()));
    assert_eq!(judged(at(minute), Some(now_us)), Ok(now_us + minute));
    assert_eq!(judged(at(minute + 1_000), Some(now_us)), Err("too_far_ahead:at".to_owned()));
    for far in [-62_135_596_800_000, 253_402_300_799_999] {
        assert!(judged(far, None).is_ok(), "a record without a timestamp is not judged");
        assert!(judged(far, Some(i64::MAX)).is_err() && judged(far, Some(i64::MIN)).is_err());
    }
}

#[test]
fn tombstones_are_empty() {
    let (json, tsv) = (source("json"), source("tsv"));
    for source in [&json, &tsv] {
        for payload in [None, Some(&b""[..])] {
            let rejected = Decoder::new(source).decode(payload, Some(0)).err();
            assert_eq!(rejected, Some(Rejected::whole(Reason::Empty)));
        }
    }
}

#[cfg(feature = "registry")]
#[test]
fn binary_records_are_no_texts_and_have_a_bound_all_the_same() {
    let decoder = Decoder::new(&source("avro"));
    let reason = |payload: &[u8]| decoder.clone().decode(Some(payload), None).err().map(|rejected| rejected.reason);
    let (named, mark): (&[u8], &[u8]) = (b"\x00\x00\x00\x00\x07\xff", b"\xef\xbb\xbf");
    assert_eq!(reason(named), Some(Reason::UnknownSchema), "they need not be UTF-8");
    assert_eq!(reason(mark), Some(Reason::NotAvro), "a byte-order mark is something");
    assert_eq!(reason(&[mark, named].concat()), Some(Reason::NotAvro), "and no frame begins with one");
    assert_eq!(reason(b""), Some(Reason::Empty));
    let long = [named, &[0; 1 << 20]].concat();
    assert_eq!(reason(&long), Some(Reason::TooLong));
    let missing = |payload: &[u8]| decoder.missing_schema(Some(payload));
    assert_eq!((missing(named), missing(&long)), (Some(SchemaId(7)), None), "what is too long waits for no schema");
}

#[test]
fn every_reason_has_been_seen() {
    let long = " ".repeat(2 << 20);
    let seen = ["", &long, "\u{1}", "[]", "{}", r#"{"id":1}"#, r#"{"id":"i","at":1e99}"#];
    let json = seen.map(|payload| decoded(&source("json"), payload.as_bytes()).expect_err("rejected"));
    let reasons =
        ["empty", "too_long", "not_json", "not_object", "missing_field:id", "wrong_type:id", "out_of_range:at"];
    assert_eq!(json, reasons);
    // Names are what the archive and the API say; none is told twice.
    let mut names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert_eq!(serde_json::to_value(reason).expect("a word"), reason.name());
    }
}
