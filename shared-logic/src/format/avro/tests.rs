//! Data that the crate `apache-avro` has written, and what is read of them.

mod properties;

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema};

use super::plan::{AvroPlan, Shape};
use crate::format::places::Places;
use crate::format::registered::SchemaReference;
use crate::format::registered::tests::{framed, read, reader, schema};
use crate::format::{Format, Reader, SchemaId, WriterSchema};
use crate::schema::{EpochUnit, Field, FieldType, InstantFormat, Place, Step};

/// A datum of the schema, framed.
fn written(id: u32, schema: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).expect("a schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("resolved");
    framed(id, &writer.write_value_to_vec(value).expect("a value of the schema"))
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn field(name: &str, kind: FieldType) -> Field {
    Field::new(name, kind, true)
}

fn at(name: &str, kind: FieldType, path: &[Step]) -> Field {
    Field { place: Place::Path(path.to_vec()), ..field(name, kind) }
}

fn member(name: &str) -> Step {
    Step::Member(name.to_owned())
}

fn avro(fields: &[Field], schemas: &[(u32, &str)]) -> Reader {
    let schemas: Vec<(u32, WriterSchema)> = schemas.iter().map(|(id, text)| (*id, schema("AVRO", text))).collect();
    reader(Format::Avro, fields, &schemas)
}

const FIRST: &str = r#"{"type": "record", "name": "View", "namespace": "shop", "fields": [
    {"name": "id", "type": "string"},
    {"name": "old", "type": {"type": "array", "items": "long"}},
    {"name": "n", "type": "int"}]}"#;
/// A field is added in front, one is gone, and two have changed places and types.
const SECOND: &str = r#"{"type": "record", "name": "View", "namespace": "shop", "fields": [
    {"name": "country", "type": ["null", "string"]},
    {"name": "n", "type": "long"},
    {"name": "id", "type": {"type": "enum", "name": "Id", "symbols": ["a", "b"]}}]}"#;

#[test]
fn each_record_is_read_with_the_schema_that_it_names() {
    let fields = [field("id", FieldType::String), field("n", FieldType::Int), field("country", FieldType::String)];
    let reader = avro(&fields, &[(1, FIRST), (2, SECOND)]);
    let old = Value::Array(vec![Value::Long(7); 3]);
    let first = written(1, FIRST, record([("id", text("x")), ("old", old), ("n", Value::Int(-5))]));
    assert_eq!(read(&reader, &fields, &first), Ok(vec!["x".to_owned(), "-5".to_owned(), "-".to_owned()]));

    let country = |branch, value| Value::Union(branch, Box::new(value));
    let second = |country| {
        let symbol = Value::Enum(1, "b".to_owned());
        written(2, SECOND, record([("country", country), ("n", Value::Long(1 << 40)), ("id", symbol)]))
    };
    let cells = |country: &str| Ok(vec!["b".to_owned(), (1_i64 << 40).to_string(), country.to_owned()]);
    assert_eq!(read(&reader, &fields, &second(country(1, text("de")))), cells("de"));
    assert_eq!(read(&reader, &fields, &second(country(0, Value::Null))), cells("-"));

    let other_writer = [&[0, 0, 0, 0, 2][..], &first[5..]].concat();
    assert_eq!(
        read(&reader, &fields, &other_writer),
        Err("not_avro".to_owned()),
        "the schema decides what the bytes mean"
    );
}

#[test]
fn values_are_taken_by_their_types() {
    const TYPES: &str = r#"{"type": "record", "name": "T", "fields": [
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "uuid", "type": {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "us", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "raw", "type": "bytes"},
        {"name": "f", "type": "float"}]}"#;
    let value = record([
        ("price", Value::Decimal(Decimal::from(vec![0x04, 0xd2]))),
        ("uuid", Value::Uuid(apache_avro::Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef))),
        ("day", Value::Date(20_000)),
        ("ms", Value::TimestampMillis(1_777_023_000_500)),
        ("us", Value::TimestampMicros(1_777_023_000_500_001)),
        ("raw", Value::Bytes(b"text".to_vec())),
        ("f", Value::Float(0.5)),
    ]);
    let payload = written(1, TYPES, value);
    let is = |name: &str, kind: FieldType| {
        let fields = [field(name, kind)];
        read(&avro(&fields, &[(1, TYPES)]), &fields, &payload).map(|cells| cells.concat())
    };
    use FieldType::{Bool, Float, Int, String, Timestamp};
    assert_eq!(is("price", String).as_deref(), Ok("12.34"));
    assert_eq!(is("price", Float).as_deref(), Ok("12.34"));
    assert_eq!(is("price", Int), Err("wrong_type:price".to_owned()));
    assert_eq!(is("uuid", String).as_deref(), Ok("01234567-89ab-cdef-0123-456789abcdef"));
    assert_eq!(is("day", Int).as_deref(), Ok("20000"));
    assert_eq!(is("day", Timestamp), Err("wrong_type:day".to_owned()), "a day is no instant");
    assert_eq!(is("ms", Timestamp).as_deref(), Ok("1777023000500000"));
    assert_eq!(is("us", Timestamp).as_deref(), Ok("1777023000500001"));
    assert_eq!(is("us", Int), Err("wrong_type:us".to_owned()));
    assert_eq!(is("raw", String), Err("wrong_type:raw".to_owned()), "bytes are no text");
    assert_eq!(is("f", Float).as_deref(), Ok("0.5"));
    assert_eq!(is("f", Bool), Err("wrong_type:f".to_owned()));
    assert_eq!(is("none", Bool).as_deref(), Ok("-"));
}

#[test]
fn instants_that_are_texts_or_plain_numbers_are_read_as_in_any_format() {
    const TIMES: &str = r#"{"type": "record", "name": "T", "fields": [
        {"name": "text", "type": "string"},
        {"name": "logged", "type": "string"},
        {"name": "ms", "type": "long"},
        {"name": "s", "type": "int"},
        {"name": "day", "type": "string"},
        {"name": "clock", "type": "string"},
        {"name": "shift", "type": {"type": "enum", "name": "Shift", "symbols": ["early", "late"]}}]}"#;
    let value = record([
        ("text", text("2026-04-24T11:30:00+02:00")),
        ("logged", text("24/Apr/2026:09:30:00 +0000")),
        ("ms", Value::Long(1_777_023_000_000)),
        ("s", Value::Int(1_777_023_000)),
        ("day", text("2026-04-24")),
        ("clock", text("09:30Z")),
        ("shift", Value::Enum(0, "early".to_owned())),
    ]);
    let payload = written(1, TIMES, value);
    let timestamp = |name: &str, instants| Field { instants, ..field(name, FieldType::Timestamp) };
    let place = Place::Joined(["day", "clock"].map(str::to_owned).into());
    let fields = [
        timestamp("text", InstantFormat::Usual),
        timestamp("logged", InstantFormat::Pattern("%d/%b/%Y:%H:%M:%S %z".to_owned())),
        timestamp("ms", InstantFormat::Usual),
        timestamp("s", InstantFormat::Epoch(EpochUnit::Seconds)),
        field("day", FieldType::String),
        field("clock", FieldType::String),
        Field { place, ..timestamp("joined", InstantFormat::Usual) },
    ];
    let instant = "1777023000000000";
    let expected = [instant, instant, instant, instant, "2026-04-24", "09:30Z", instant];
    assert_eq!(read(&avro(&fields, &[(1, TIMES)]), &fields, &payload), Ok(expected.map(str::to_owned).into()));
    let word = [timestamp("shift", InstantFormat::Usual)];
    assert_eq!(read(&avro(&word, &[(1, TIMES)]), &word, &payload), Err("wrong_type:shift".to_owned()));
}

#[test]
fn paths_lead_through_records_maps_and_arrays() {
    const NESTED: &str = r#"{"type": "record", "name": "N", "fields": [
        {"name": "user", "type": ["null", {"type": "record", "name": "User", "fields": [
            {"name": "id", "type": "long"},
            {"name": "friend", "type": ["null", "User"]}]}]},
        {"name": "labels", "type": {"type": "map", "values": "string"}},
        {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Item", "fields": [
            {"name": "sku", "type": "string"}]}}}]}"#;
    let user = |id, friend: Option<Value>| {
        let friend = match friend {
            Some(friend) => Value::Union(1, Box::new(friend)),
            None => Value::Union(0, Box::new(Value::Null)),
        };
        record([("id", Value::Long(id)), ("friend", friend)])
    };
    let item = |sku: &str| record([("sku", text(sku))]);
    let labels = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), text(value)));
    let value = record([
        ("user", Value::Union(1, Box::new(user(1, Some(user(2, Some(user(3, None)))))))),
        ("labels", Value::Map(labels.into())),
        ("items", Value::Array(vec![item("x"), item("y")])),
    ]);
    let fields = [
        at("friend", FieldType::Int, &[member("user"), member("friend"), member("id")]),
        at("b", FieldType::String, &[member("labels"), member("b")]),
        at("second", FieldType::String, &[member("items"), Step::Element(1), member("sku")]),
        at("third", FieldType::String, &[member("items"), Step::Element(2), member("sku")]),
        at("astray", FieldType::String, &[member("items"), member("sku")]),
    ];
    let reader = avro(&fields, &[(1, NESTED)]);
    let payload = written(1, NESTED, value);
    assert_eq!(read(&reader, &fields, &payload), Ok(["2", "2", "y", "-", "-"].map(str::to_owned).into()));
    let whole = [field("user", FieldType::String)];
    assert_eq!(read(&avro(&whole, &[(1, NESTED)]), &whole, &payload), Err("wrong_type:user".to_owned()));
}

/// No writer repeats a key, but bytes can.
#[test]
fn of_a_repeated_key_the_last_entry_stands_with_all_that_is_inside() {
    const MAPS: &str = r#"{"type": "record", "name": "M", "fields": [{"name": "m", "type":
        {"type": "map", "values": ["null", {"type": "map", "values": {"type": "enum", "name": "E", "symbols": ["x", "y"]}}]}}]}"#;
    let fields = [
        at("a", FieldType::String, &[member("m"), member("k"), member("a")]),
        at("b", FieldType::String, &[member("m"), member("k"), member("b")]),
    ];
    let reader = avro(&fields, &[(1, MAPS)]);
    let read = |entries: &[&[u8]]| {
        let count = u8::try_from(2 * entries.len()).expect("few");
        read(&reader, &fields, &framed(1, &[&[count][..], &entries.concat()[..], &b"\x00"[..]].concat()))
    };
    // The key, the branch of the union, and a map of a key and a symbol, or of two.
    let (a, b, none) = (&b"\x02k\x02\x02\x02a\x00\x00"[..], &b"\x02k\x02\x02\x02b\x02\x00"[..], &b"\x02k\x00"[..]);
    let again = &b"\x02k\x02\x04\x02a\x00\x02a\x02\x00"[..];
    let cells = |a: &str, b: &str| Ok(vec![a.to_owned(), b.to_owned()]);
    assert_eq!(read(&[a]), cells("x", "-"));
    assert_eq!(read(&[a, b]), cells("-", "y"));
    assert_eq!(read(&[a, b, none]), cells("-", "-"));
    assert_eq!(read(&[none, again]), cells("y", "-"));
    assert_eq!(read(&[a, &b"\x02l\x00"[..]]), cells("x", "-"), "another key");
}

#[test]
fn types_of_other_schemas_are_found() {
    let text = r#"{"type": "record", "name": "Main", "namespace": "a", "fields": [{"name": "of", "type": "b.Other"}]}"#;
    let other = r#"{"type": "record", "name": "Other", "namespace": "b", "fields": [{"name": "n", "type": "int"}]}"#;
    let reference = SchemaReference { name: "b.Other".to_owned(), text: other.to_owned() };
    let schema = WriterSchema { references: vec![reference], ..schema("AVRO", text) };
    let fields = [at("n", FieldType::Int, &[member("of"), member("n")])];
    let reader = reader(Format::Avro, &fields, &[(1, schema)]);
    assert_eq!(read(&reader, &fields, &framed(1, &[14])), Ok(vec!["7".to_owned()]));
}

#[test]
fn an_enum_takes_memory_once_however_often_it_is_named() {
    let symbols: Vec<String> = (0..1_000).map(|n| format!("\"S{n}\"")).collect();
    let again: String = (1..1_000).map(|n| format!(r#", {{"name": "c{n}", "type": "Colour"}}"#)).collect();
    let colour = format!(r#"{{"type": "enum", "name": "Colour", "symbols": [{}]}}"#, symbols.join(", "));
    let text = format!(r#"{{"type": "record", "name": "T", "fields": [{{"name": "c0", "type": {colour}}}{again}]}}"#);
    let fields = [field("c7", FieldType::String)];
    let plan = AvroPlan::new(&fields, &Places::of(&fields), &schema("AVRO", &text)).expect("a schema");
    let enums = plan.nodes.iter().filter(|node| matches!(node.shape, Shape::Enum(_)));
    assert_eq!(enums.count(), 2, "one that is passed over, and the one that a field holds");
}

#[test]
fn schemas_that_cannot_be_used_reject_their_records() {
    let fields = [field("id", FieldType::String)];
    let mut reader = avro(&fields, &[]);
    let record = framed(5, b"\x02x");
    for (kind, text) in [("PROTOBUF", FIRST), ("AVRO", "{"), ("AVRO", r#"{"type": "nothing"}"#)] {
        let learned = reader.learn(SchemaId(5), Some(&schema(kind, text)));
        assert!(learned.is_err_and(|unusable| !unusable.to_string().contains('\n')), "{kind} {text}");
        assert_eq!(read(&reader, &fields, &record), Err("unknown_schema".to_owned()));
    }
    assert_eq!(reader.learn(SchemaId(5), None), Ok(()));
    assert_eq!(read(&reader, &fields, &record), Err("unknown_schema".to_owned()));
}

/// What the crate takes for null, and what would exhaust memory or time.
#[test]
fn data_that_end_early_or_promise_too_much_are_rejected() {
    const SHAPES: &str = r#"{"type": "record", "name": "S", "fields": [
        {"name": "id", "type": "string"},
        {"name": "note", "type": ["null", "string"]},
        {"name": "nothings", "type": {"type": "array", "items": "null"}}]}"#;
    let fields = [field("id", FieldType::String), field("note", FieldType::String)];
    let reader = avro(&fields, &[(1, SHAPES)]);
    let read = |datum: &[u8]| read(&reader, &fields, &framed(1, datum));
    assert_eq!(read(b"\x02a\x00\x00"), Ok(vec!["a".to_owned(), "-".to_owned()]));
    // Two billion nulls take no bytes, and no time.
    assert_eq!(read(b"\x02a\x00\xfe\xff\xff\xff\x0f\x00"), Ok(vec!["a".to_owned(), "-".to_owned()]));
    let rejected: [&[u8]; 8] = [
        b"",
        b"\x02a",
        b"\x02a\x00",
        b"\x02a\x00\x00more",
        b"\x04a\x00\x00",
        b"\x02\xff\x00\x00",
        b"\x02a\x04\x00\x00",
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x03a\x00\x00",
    ];
    for datum in rejected {
        assert_eq!(read(datum), Err("not_avro".to_owned()), "{}", datum.escape_ascii());
    }
}

#[test]
fn a_type_that_holds_itself_is_read_to_a_depth() {
    const LIST: &str = r#"{"type": "record", "name": "L", "fields": [
        {"name": "n", "type": "int"}, {"name": "rest", "type": ["null", "L"]}]}"#;
    let fields = [field("n", FieldType::Int)];
    let reader = avro(&fields, &[(1, LIST)]);
    let list = |length: usize| framed(1, &[b"\x02\x02".repeat(length - 1), b"\x02\x00".to_vec()].concat());
    assert_eq!(read(&reader, &fields, &list(200)), Ok(vec!["1".to_owned()]));
    assert_eq!(read(&reader, &fields, &list(201)), Err("not_avro".to_owned()));
    assert_eq!(read(&reader, &fields, &list(1_000_000)), Err("not_avro".to_owned()));

    // Such a type has no values, and types that double each other would have more of them than can be looked at.
    let endless = r#"{"type": "record", "name": "E", "fields": [{"name": "again", "type": "E"}]}"#;
    let doubled = (1..30).fold(r#"{"type": "record", "name": "D0", "fields": []}"#.to_owned(), |below, level| {
        let fields = format!(r#"{{"name": "a", "type": {below}}}, {{"name": "b", "type": "D{}"}}"#, level - 1);
        format!(r#"{{"type": "record", "name": "D{level}", "fields": [{fields}]}}"#)
    });
    let reader = avro(&fields, &[(1, endless), (2, &doubled)]);
    assert_eq!(read(&reader, &fields, &framed(1, b"")), Err("not_avro".to_owned()));
    assert_eq!(read(&reader, &fields, &framed(2, b"")), Ok(vec!["-".to_owned()]));
}
