//! Any data of any schemas: the crate writes them, and what is read of them is what a plain look at their values finds. Broken
//! bytes are read only where the crate reads them too.

use std::cell::Cell as Counter;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::util::max_allocation_bytes;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{at, avro, field, framed, member, read, written};
use crate::schema::{Field, FieldType, Place, Step};

/// A value in three ways: its schema, as the crate holds it, and as JSON, in which anything that no field takes is an object
/// with a mark.
#[derive(Debug, Clone)]
struct Made {
    schema: Json,
    value: Value,
    json: Json,
}

fn made(schema: Json, value: Value, json: Json) -> Made {
    Made { schema, value, json }
}

fn marked(what: &str) -> Json {
    json!({ "no value": what })
}

/// A value that is no record, array, map or union.
fn plain() -> impl Strategy<Value = Made> {
    let bytes = prop::collection::vec(any::<u8>(), 0..9);
    prop_oneof![
        any::<bool>().prop_map(|truth| made(json!("boolean"), Value::Boolean(truth), json!(truth))),
        any::<i32>().prop_map(|number| made(json!("int"), Value::Int(number), json!(number))),
        any::<i64>().prop_map(|number| made(json!("long"), Value::Long(number), json!(number))),
        any::<f64>().prop_map(|number| {
            let shown = if number.is_finite() { json!(number) } else { marked("infinite") };
            made(json!("double"), Value::Double(number), shown)
        }),
        ".{0,9}".prop_map(|text| made(json!("string"), Value::String(text.clone()), json!(text))),
        bytes.prop_map(|bytes| made(json!("bytes"), Value::Bytes(bytes), marked("bytes"))),
        (0..3_u32).prop_map(|at| {
            let symbols = ["A", "B", "C"];
            let schema = json!({"type": "enum", "name": "", "symbols": symbols});
            let symbol = symbols[at as usize];
            made(schema, Value::Enum(at, symbol.to_owned()), json!(symbol))
        }),
        any::<[u8; 3]>().prop_map(|bytes| {
            let schema = json!({"type": "fixed", "name": "", "size": 3});
            made(schema, Value::Fixed(3, bytes.to_vec()), marked("fixed"))
        }),
    ]
}

/// Any value. Names of types are empty.
fn any_value() -> impl Strategy<Value = Made> {
    plain().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize).prop_map(|(item, count)| {
                let (values, shown) = (vec![item.value; count], vec![item.json; count]);
                made(json!({"type": "array", "items": item.schema}), Value::Array(values), json!(shown))
            }),
            (inner.clone(), prop::sample::subsequence(vec!["a", "b", "c"], 0..3)).prop_map(|(entry, keys)| {
                let values = keys.iter().map(|key| ((*key).to_owned(), entry.value.clone())).collect();
                let shown = keys.iter().map(|key| ((*key).to_owned(), entry.json.clone())).collect();
                made(json!({"type": "map", "values": entry.schema}), Value::Map(values), Json::Object(shown))
            }),
            (inner.clone(), any::<bool>(), any::<bool>()).prop_filter_map(
                "a union in a union",
                |(some, there, first)| {
                    if some.schema.is_array() {
                        return None;
                    }
                    let (schema, null) = match first {
                        true => (json!(["null", some.schema]), 0),
                        false => (json!([some.schema, "null"]), 1),
                    };
                    Some(match there {
                        true => made(schema, Value::Union(1 - null, Box::new(some.value)), some.json),
                        false => made(schema, Value::Union(null, Box::new(Value::Null)), Json::Null),
                    })
                }
            ),
            named(inner, 1..4),
        ]
    })
}

/// A record with some of a few names.
fn named(inner: impl Strategy<Value = Made>, count: std::ops::Range<usize>) -> impl Strategy<Value = Made> {
    let names = prop::sample::subsequence(vec!["a", "b", "c", "d", "e"], count).prop_shuffle();
    (names, prop::collection::vec(inner, 5)).prop_map(|(names, values)| {
        let fields: Vec<(&str, Made)> = names.into_iter().zip(values).collect();
        let schema = fields.iter().map(|(name, made)| json!({"name": name, "type": made.schema}));
        let schema = json!({"type": "record", "name": "", "fields": schema.collect::<Vec<_>>()});
        let value = fields.iter().map(|(name, made)| ((*name).to_owned(), made.value.clone())).collect();
        let shown = fields.into_iter().map(|(name, made)| (name.to_owned(), made.json)).collect();
        made(schema, Value::Record(value), Json::Object(shown))
    })
}

/// A datum: a record of any fields, and its schema as text, in which every type has a name of its own.
fn any_datum() -> impl Strategy<Value = (String, Value, Json)> {
    named(any_value(), 1..6).prop_map(|Made { mut schema, value, json }| {
        name_types(&mut schema, &Counter::new(0));
        (schema.to_string(), value, json)
    })
}

fn name_types(schema: &mut Json, named: &Counter<u32>) {
    match schema {
        Json::Array(branches) => branches.iter_mut().for_each(|branch| name_types(branch, named)),
        Json::Object(members) => {
            if members.get("name") == Some(&json!("")) {
                named.set(named.get() + 1);
                members.insert("name".to_owned(), json!(format!("T{}", named.get())));
            }
            members.values_mut().for_each(|member| name_types(member, named));
        }
        _ => {}
    }
}

/// Fields of every type, some of which lie deep.
fn fields() -> Vec<Field> {
    use FieldType::{Bool, Float, Int};
    vec![
        field("a", FieldType::String),
        field("b", Int),
        Field { numbers: true, ..field("c", FieldType::String) },
        at("inner", Float, &[member("d"), member("a")]),
        at("item", Bool, &[member("e"), Step::Element(1)]),
        at("deep", FieldType::String, &[member("a"), member("b"), member("c")]),
        at("deeper", Int, &[member("b"), Step::Element(0), member("a")]),
        at("same", Float, &[member("c")]),
    ]
}

/// What a look at the values finds: the cells, or the first reason.
fn naively(datum: &Json) -> Result<Vec<String>, String> {
    let cell = |field: &Field| {
        let own = [member(&field.name)];
        let path: &[Step] = if let Place::Path(path) = &field.place { path } else { &own };
        let found = path.iter().try_fold(datum, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Element(at) => value.get(at),
        });
        let found = match found {
            None | Some(Json::Null) => return Ok("-".to_owned()),
            Some(found) => found,
        };
        let cell = match (field.kind, found) {
            (FieldType::String, Json::String(text)) => Some(text.clone()),
            (FieldType::String, Json::Number(number)) if field.numbers && number.is_i64() => Some(number.to_string()),
            (FieldType::Int, Json::Number(number)) => number.as_i64().map(|number| number.to_string()),
            (FieldType::Float, Json::Number(number)) => number.as_f64().map(|number| format!("{:?}", number + 0.0)),
            (FieldType::Bool, Json::Bool(truth)) => Some(truth.to_string()),
            _ => None,
        };
        let is_infinite = *found == marked("infinite") && field.kind == FieldType::Float;
        let reason = if is_infinite { "out_of_range" } else { "wrong_type" };
        cell.ok_or_else(|| format!("{reason}:{}", field.name))
    };
    fields().iter().map(cell).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_read_is_what_was_written((schema, value, json) in any_datum()) {
        let payload = written(1, &schema, value);
        let reader = avro(&fields(), &[(1, &schema)]);
        prop_assert_eq!(read(&reader, &fields(), &payload), naively(&json), "{} of {}", json, schema);
        prop_assert!(read(&reader, &fields(), &payload[..payload.len() - 1]).is_err(), "a byte is missing");
        let more = [&payload[..], b"\x00"].concat();
        prop_assert_eq!(read(&reader, &fields(), &more), Err("not_avro".to_owned()));
    }

    #[test]
    fn broken_bytes_are_read_only_where_the_crate_reads_them(
        (schema, value, _) in any_datum(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        max_allocation_bytes(1 << 20);
        let mut payload = written(1, &schema, value);
        for (at, byte) in changes {
            let at = 5 + at.index(payload.len() - 4);
            payload.resize(payload.len().max(at + 1), 0);
            payload[at] = byte;
        }
        let reader = avro(&fields(), &[(1, &schema)]);
        let is_avro = read(&reader, &fields(), &payload) != Err("not_avro".to_owned());
        let (schema, mut datum) = (Schema::parse_str(&schema).expect("a schema"), &payload[5..]);
        let theirs = GenericDatumReader::builder(&schema).build().expect("resolved").read_value(&mut datum);
        if is_avro {
            prop_assert!(theirs.is_ok() && datum.is_empty(), "{:?}, {} bytes left", theirs, datum.len());
        }
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic((schema, _, _) in any_datum(), datum in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&avro(&fields(), &[(1, &schema)]), &fields(), &framed(1, &datum));
    }
}
