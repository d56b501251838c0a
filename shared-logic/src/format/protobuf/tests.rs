//! Messages that the crate `prost-reflect` has written, and what is read of them.

use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, Value};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use crate::format::registered::SchemaReference;
use crate::format::registered::tests::{framed, read, reader, schema};
use crate::format::{Format, Reader, SchemaId, WriterSchema};
use crate::schema::{EpochUnit, Field, FieldType, InstantFormat, Place, Step};

const EVENTS: &str = r#"
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

message Envelope {
  map<string, string> labels = 1;
  message Note { string text = 1; }
  Note note = 2;
}

message Event {
  string id = 1;
  int64 n = 2;
  optional int32 maybe = 3;
  google.protobuf.Timestamp at = 4;
  google.protobuf.DoubleValue weight = 5;
  enum Kind { NONE = 0; VIEW = 7; }
  Kind kind = 6;
  message User { uint64 id = 1; repeated string names = 2; User friend = 3; }
  User user = 7;
  map<string, User> users = 8;
  oneof way { string web = 9; bool app = 10; }
  bytes raw = 11;
  float f = 12;
}
"#;
/// The messages' places in the file.
const NOTE: &[u8] = &[4, 0, 0];
const EVENT: &[u8] = &[2, 2];

/// A message of the schema, as text, and in its frame.
fn written(name: &str, place: &[u8], fill: impl FnOnce(&mut DynamicMessage)) -> Vec<u8> {
    /// One file, and no other.
    struct One;
    impl FileResolver for One {
        fn open_file(&self, name: &str) -> Result<File, protox::Error> {
            if name == "one.proto" { File::from_source(name, EVENTS) } else { Err(protox::Error::file_not_found(name)) }
        }
    }
    let mut files = ChainFileResolver::new();
    files.add(One);
    files.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(files);
    let pool = compiler.open_file("one.proto").expect("a schema").descriptor_pool();
    let mut message = DynamicMessage::new(pool.get_message_by_name(name).expect("a message"));
    fill(&mut message);
    framed(1, &[place, &message.encode_to_vec()].concat())
}

fn event(fill: impl FnOnce(&mut DynamicMessage)) -> Vec<u8> {
    written("shop.Event", EVENT, fill)
}

fn field(name: &str, kind: FieldType) -> Field {
    Field::new(name, kind, true)
}

fn at(path: &[Step], kind: FieldType) -> Field {
    Field { place: Place::Path(path.to_vec()), ..field("f", kind) }
}

fn member(name: &str) -> Step {
    Step::Member(name.to_owned())
}

fn events(fields: &[Field]) -> Reader {
    reader(Format::Protobuf, fields, &[(1, schema("PROTOBUF", EVENTS))])
}

/// What one field holds.
fn cell(field: Field, payload: &[u8]) -> Result<String, String> {
    let fields = [field];
    read(&events(&fields), &fields, payload).map(|cells| cells.concat())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn what_is_not_on_the_wire_is_absent_where_that_can_be_told_and_else_a_default() {
    let nothing = event(|_| {});
    let is = |name: &str, kind: FieldType| cell(field(name, kind), &nothing);
    use FieldType::{Bool, Float, Int, String, Timestamp};
    assert_eq!(is("id", String).as_deref(), Ok(""));
    assert_eq!(is("n", Int).as_deref(), Ok("0"));
    assert_eq!(is("kind", String).as_deref(), Ok("NONE"));
    assert_eq!(is("f", Float).as_deref(), Ok("0.0"));
    for (name, kind) in [("maybe", Int), ("at", Timestamp), ("weight", Float), ("web", String), ("app", Bool)] {
        assert_eq!(is(name, kind).as_deref(), Ok("-"), "{name}");
    }
    let id = || at(&[member("user"), member("id")], Int);
    assert_eq!(cell(id(), &nothing).as_deref(), Ok("-"), "there is no user");
    let user = |message: &mut DynamicMessage| {
        message.get_field_by_name_mut("user").expect("declared").as_message_mut().expect("a message").clear();
    };
    assert_eq!(cell(id(), &event(user)).as_deref(), Ok("0"), "there is a user without an id");
    assert_eq!(is("none", Int).as_deref(), Ok("-"), "the writer has no such field");
    let required = Field { optional: false, ..field("maybe", Int) };
    assert_eq!(cell(required, &nothing), Err("missing_field:maybe".to_owned()));
}

#[test]
fn values_are_taken_by_their_types() {
    let payload = event(|message| {
        let mut set = |name: &str, value: Value| message.set_field_by_name(name, value);
        set("n", Value::I64(-(1 << 60)));
        set("maybe", Value::I32(0));
        set("kind", Value::EnumNumber(7));
        set("app", Value::Bool(false));
        set("raw", Value::Bytes(b"x".to_vec().into()));
        set("f", Value::F32(0.5));
        let mut inside = |name: &str, number: u32, value: Value| {
            let field = message.get_field_by_name_mut(name).expect("declared");
            field.as_message_mut().expect("a message").set_field_by_number(number, value);
        };
        inside("at", 1, Value::I64(1_777_023_000));
        inside("at", 2, Value::I32(1_999));
        inside("weight", 1, Value::F64(-2.5));
        inside("user", 1, Value::U64(u64::MAX));
        inside("user", 2, Value::List(vec![text("a"), text("b")]));
    });
    let is = |name: &str, kind: FieldType| cell(field(name, kind), &payload);
    use FieldType::{Bool, Float, Int, String, Timestamp};
    assert_eq!(is("n", Int), Ok((-(1_i64 << 60)).to_string()));
    assert_eq!(is("n", Float), Ok(format!("{:?}", -((1_i64 << 60) as f64))));
    assert_eq!(is("maybe", Int).as_deref(), Ok("0"));
    assert_eq!(is("kind", String).as_deref(), Ok("VIEW"));
    assert_eq!(is("app", Bool).as_deref(), Ok("false"));
    assert_eq!(is("at", Timestamp).as_deref(), Ok("1777023000000001"), "nanoseconds are cut off");
    assert_eq!(is("at", Int), Err("wrong_type:at".to_owned()));
    assert_eq!(is("weight", Float).as_deref(), Ok("-2.5"));
    assert_eq!(is("raw", String), Err("wrong_type:raw".to_owned()));
    assert_eq!(is("user", String), Err("wrong_type:user".to_owned()));
    let user = |steps: &[Step], kind| cell(at(&[&[member("user")][..], steps].concat(), kind), &payload);
    assert_eq!(user(&[member("id")], Int), Err("out_of_range:f".to_owned()));
    assert_eq!(user(&[member("names"), Step::Element(1)], String).as_deref(), Ok("b"));
    assert_eq!(user(&[member("names"), Step::Element(2)], String).as_deref(), Ok("-"));
    assert_eq!(user(&[member("names")], String), Err("wrong_type:f".to_owned()));
    let seconds = Field { instants: InstantFormat::Epoch(EpochUnit::Seconds), ..field("maybe", Timestamp) };
    assert_eq!(cell(seconds, &payload).as_deref(), Ok("0"));
}

#[test]
fn messages_are_named_by_their_places_and_maps_are_not_among_them() {
    let note = written("shop.Envelope.Note", NOTE, |message| message.set_field_by_name("text", text("hi")));
    assert_eq!(cell(field("text", FieldType::String), &note).as_deref(), Ok("hi"));
    let entry = |message: &mut DynamicMessage| {
        let labels =
            [("a", "1"), ("b", "2")].map(|(key, value)| (prost_reflect::MapKey::String(key.into()), text(value)));
        message.set_field_by_name("labels", Value::Map(labels.into()));
    };
    // One zero is short for the first message.
    for place in [&[0][..], &[2, 0]] {
        let envelope = written("shop.Envelope", place, entry);
        let label = |key: &str| cell(at(&[member("labels"), member(key)], FieldType::String), &envelope);
        assert_eq!((label("b").as_deref(), label("c").as_deref()), (Ok("2"), Ok("-")));
    }
    for place in [&[][..], &[2], &[2, 4], &[1], &[4, 0, 2], &[6, 0, 0, 0], &[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        let astray = written("shop.Event", place, |_| {});
        assert_eq!(cell(field("id", FieldType::String), &astray), Err("not_protobuf".to_owned()), "{place:?}");
    }
    let whole = event(|message| message.set_field_by_name("id", text("abc")));
    let cut_off = &whole[..whole.len() - 1];
    assert_eq!(cell(field("id", FieldType::String), cut_off), Err("not_protobuf".to_owned()));
}

#[test]
fn imports_come_with_the_schema() {
    let main = "syntax = \"proto3\"; import \"shared/id.proto\"; message M { shared.Id of = 1; }";
    let id = "syntax = \"proto3\"; package shared; message Id { sint32 n = 1; }";
    let reference = SchemaReference { name: "shared/id.proto".to_owned(), text: id.to_owned() };
    let with = WriterSchema { references: vec![reference], ..schema("PROTOBUF", main) };
    let fields = [at(&[member("of"), member("n")], FieldType::Int)];
    let reader = reader(Format::Protobuf, &fields, &[(1, with)]);
    // The first message; field 1, three bytes: field 1, the integer -75.
    assert_eq!(read(&reader, &fields, &framed(1, b"\x00\x0a\x03\x08\x95\x01")), Ok(vec!["-75".to_owned()]));

    let mut alone = Reader::new(Format::Protobuf, &fields, &[], None);
    for (kind, text) in [("PROTOBUF", main), ("AVRO", id), ("PROTOBUF", "message {")] {
        let learned = alone.learn(SchemaId(1), Some(&schema(kind, text)));
        assert!(learned.is_err_and(|unusable| !unusable.to_string().contains('\n')), "{kind} {text}");
        assert_eq!(read(&alone, &fields, &framed(1, b"\x00")), Err("unknown_schema".to_owned()));
    }
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(
        id in ".{0,9}", n in any::<i64>(), maybe in any::<Option<i32>>(), web in any::<Option<bool>>(), seconds in -9_i64..9,
    ) {
        let payload = event(|message| {
            message.set_field_by_name("id", text(&id));
            message.set_field_by_name("n", Value::I64(n));
            if let Some(maybe) = maybe {
                message.set_field_by_name("maybe", Value::I32(maybe));
            }
            match web {
                Some(true) => message.set_field_by_name("web", text("w")),
                Some(false) => message.set_field_by_name("app", Value::Bool(true)),
                None => {}
            }
            let at = message.get_field_by_name_mut("at").expect("declared").as_message_mut().expect("a message");
            at.set_field_by_number(1, Value::I64(seconds));
        });
        let kinds = [FieldType::String, FieldType::Int, FieldType::Int, FieldType::String, FieldType::Bool, FieldType::Timestamp];
        let names = ["id", "n", "maybe", "web", "app", "at"];
        let fields: Vec<Field> = names.into_iter().zip(kinds).map(|(name, kind)| field(name, kind)).collect();
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let expected = vec![
            id,
            n.to_string(),
            shown(maybe.map(|maybe| maybe.to_string())),
            shown((web == Some(true)).then(|| "w".to_owned())),
            shown((web == Some(false)).then(|| "true".to_owned())),
            (seconds * 1_000_000).to_string(),
        ];
        prop_assert_eq!(read(&events(&fields), &fields, &payload), Ok(expected));
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(place in 0..4_u8, datum in prop::collection::vec(any::<u8>(), 0..64)) {
        let fields = [field("id", FieldType::String), at(&[member("user"), member("id")], FieldType::Int)];
        let _ = read(&events(&fields), &fields, &framed(1, &[&[2, place * 2][..], &datum].concat()));
    }
}
