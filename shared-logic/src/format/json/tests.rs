//! Where values stand in documents: a table, and properties against serde_json.

use proptest::prelude::*;

use super::*;
use crate::format::Format;
use crate::rejection::Rejected;

fn path(steps: &str) -> Place {
    let step = |step: &str| step.parse::<usize>().map_or_else(|_| Step::Member(step.to_owned()), Step::Element);
    Place::Path(steps.split('/').map(step).collect())
}

fn field(name: &str, kind: FieldType, place: Place) -> Field {
    Field { place, ..Field::new(name, kind, true) }
}

/// The cells of a document, as text.
fn cells(fields: &[Field], payload: &str) -> Result<Vec<Option<String>>, Rejected> {
    let mut record = Record::new(fields.len());
    Reader::new(Format::Json, fields, &[], None).read(payload.as_bytes(), &mut record)?;
    let text = |cell: &Cell| match cell {
        Cell::Null => None,
        Cell::Text(span) => Some(String::from_utf8_lossy(span.of(payload.as_bytes(), &record.unescaped)).into_owned()),
        Cell::Int(value) => Some(value.to_string()),
        Cell::Float(value) => Some(value.to_string()),
        Cell::Bool(value) => Some(value.to_string()),
    };
    Ok(record.cells.iter().map(text).collect())
}

#[test]
fn values_are_found_where_their_paths_lead() {
    let place = |steps: &str, payload: &str| {
        let fields = [field("f", FieldType::String, path(steps)), field("own", FieldType::Int, Place::Own)];
        match cells(&fields, payload) {
            Ok(cells) => cells[0].clone().unwrap_or_else(|| "absent".to_owned()),
            Err(rejected) => rejected.text(&fields),
        }
    };
    for (steps, payload, expected) in [
        ("user/id", r#"{"user":{"id":"u"}}"#, "u"),
        ("user/id", r#"{"own":1,"user" : { "name":"n", "id" : "u" , "more":[{}]}, "id":"no"}"#, "u"),
        ("user/id", r#"{"user":{"\u0069d":"\u00fc"}}"#, "ü"),
        ("@timestamp", r#"{"@timestamp":"t"}"#, "t"),
        ("foo.bar/id", r#"{"foo":{"bar":{"id":"no"}},"foo.bar":{"id":"u"}}"#, "u"),
        ("items/0/sku", r#"{"items":[{"sku":"a"},{"sku":"b"}]}"#, "a"),
        ("items/1/sku", r#"{"items":[{"sku":"a"},{"sku":"b"}]}"#, "b"),
        ("items/2/sku", r#"{"items":[{"sku":"a"},{"sku":"b"}]}"#, "absent"),
        ("grid/1/0", r#"{"grid":[["a"],[ "b" ]]}"#, "b"),
        // However the name is written.
        ("a\"b/id", r#"{"a\"b":{"id":"u"}}"#, "u"),
        ("a\"b/id", "{\"a\\u0022b\" :\n{\"id\":\"u\"}}", "u"),
        ("a\"b/id", r#"{"a"b":{"id":"u"}}"#, "not_json"),
        ("user/id", r#"{"user_":{"id":"no"},"user":{"id":"u"}}"#, "u"),
        ("user/id", r#"{"user":"#, "not_json"),
        // Whatever is not there is absent.
        ("user/id", r#"{}"#, "absent"),
        ("user/id", r#"{"user":null}"#, "absent"),
        ("user/id", r#"{"user":"u"}"#, "absent"),
        ("user/id", r#"{"user":["id","u"]}"#, "absent"),
        ("user/id", r#"{"user":{}}"#, "absent"),
        ("user/id", r#"{"user":{"id":null}}"#, "absent"),
        ("items/0", r#"{"items":[]}"#, "absent"),
        ("items/0", r#"{"items":{"0":"a"}}"#, "absent"),
        // What is there is typed.
        ("user/id", r#"{"user":{"id":7}}"#, "wrong_type:f"),
        ("user", r#"{"user":{"id":7}}"#, "wrong_type:f"),
        ("items/0", r#"{"items":[["a"]]}"#, "wrong_type:f"),
        // The last member of a name stands, with all that is inside of it.
        ("user/id", r#"{"user":{"id":"a","id":"b"}}"#, "b"),
        ("user/id", r#"{"user":{"id":"a"},"user":{"id":"b"}}"#, "b"),
        ("user/id", r#"{"user":{"id":"a"},"user":{"name":"b"}}"#, "absent"),
        ("user/id", r#"{"user":{"id":"a"},"us\u0065r":null}"#, "absent"),
        ("user/id", r#"{"user":{"id":"a"},"user":[]}"#, "absent"),
        ("items/0/sku", r#"{"items":[{"sku":"a"}],"items":[{}]}"#, "absent"),
        // Nothing is JSON only where it is looked at.
        ("user/id", r#"{"user":{"id":"a",}}"#, "not_json"),
        ("user/id", r#"{"user":{"id":"a"]}"#, "not_json"),
        ("user/id", r#"{"user":{"id":"a" "b":1}}"#, "not_json"),
        ("user/id", r#"{"user":{"id" "a"}}"#, "not_json"),
        ("user/id", r#"{"user":{"i\d":1}}"#, "not_json"),
        ("items/0", r#"{"items":["a",]}"#, "not_json"),
        ("items/0", r#"{"items":["a" "b"]}"#, "not_json"),
        ("items/0", r#"{"items":["a"}"#, "not_json"),
        ("items/0", r#"{"items":["a""#, "not_json"),
    ] {
        assert_eq!(place(steps, payload), expected, "{steps} of {payload}");
    }
}

#[test]
fn fields_may_share_a_place_and_stand_inside_of_each_other() {
    let fields = [
        field("text", FieldType::String, path("user/id")),
        Field { numbers: true, ..field("again", FieldType::String, path("user/id")) },
        field("name", FieldType::String, path("user/name")),
        field("user", FieldType::Bool, Place::Own),
        field("first", FieldType::Int, path("user/0")),
    ];
    let some = |text: &str| Some(text.to_owned());
    let read = |payload| cells(&fields, payload);
    assert_eq!(read(r#"{"user":{"name":"n"}}"#), Err(Rejected::at(Reason::WrongType, 3)));
    assert_eq!(read(r#"{"user":true}"#), Ok(vec![None, None, None, some("true"), None]));
    let inside = [&fields[..3], &fields[4..]].concat();
    let read = |payload| cells(&inside, payload);
    assert_eq!(read(r#"{"user":{"name":"n","id":"u"}}"#), Ok(vec![some("u"), some("u"), some("n"), None]));
    assert_eq!(read(r#"{"user":[7]}"#), Ok(vec![None, None, None, some("7")]));
    assert_eq!(read(r#"{"user":{"id":1}}"#), Err(Rejected::at(Reason::WrongType, 0)));
    // The second of them takes numbers.
    let read = |payload| cells(&inside[1..2], payload);
    assert_eq!(read(r#"{"user":{"id":0.50e1}}"#), Ok(vec![some("0.50e1")]));
    assert_eq!(read(r#"{"user":{"id":true}}"#), Err(Rejected::at(Reason::WrongType, 0)));
}

/// A document that may repeat its members.
#[derive(Debug, Clone)]
enum Document {
    Leaf(&'static str),
    Array(Vec<Document>),
    Object(Vec<(&'static str, Document)>),
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let joined = |parts: Vec<String>| parts.join(", ");
        match self {
            Document::Leaf(text) => f.write_str(text),
            Document::Array(elements) => {
                write!(f, "[{}]", joined(elements.iter().map(Document::to_string).collect()))
            }
            Document::Object(members) => {
                write!(f, "{{{}}}", joined(members.iter().map(|(name, value)| format!("{name}:{value}")).collect()))
            }
        }
    }
}

fn document() -> impl Strategy<Value = Document> {
    let leaves = ["null", "true", "7", "-0.5", r#""x""#, r#""\n""#, "{}", "[]", "30e-1"];
    let leaf = prop::sample::select(leaves.to_vec()).prop_map(Document::Leaf);
    let values = leaf.prop_recursive(4, 40, 4, |value| {
        prop_oneof![prop::collection::vec(value.clone(), 0..4).prop_map(Document::Array), object(value)]
    });
    object(values.boxed())
}

fn object(value: BoxedStrategy<Document>) -> BoxedStrategy<Document> {
    let names = vec![r#""a""#, r#""b""#, r#""c""#, r#""\u0061""#];
    let members = prop::collection::vec((prop::sample::select(names), value), 0..5);
    members.prop_map(Document::Object).boxed()
}

fn places() -> impl Strategy<Value = Vec<Place>> {
    let member = || prop::sample::select(vec!["a", "b", "c"]).prop_map(|name| Step::Member(name.to_owned()));
    let step = prop_oneof![2 => member(), 1 => (0..3_usize).prop_map(Step::Element)];
    let steps = (member(), prop::collection::vec(step, 0..4));
    let place = steps.prop_map(|(first, rest)| Place::Path([first].into_iter().chain(rest).collect()));
    prop::collection::vec(place, 1..6)
}

static NULL: Value = Value::Null;

/// The value that stands at a place, followed step by step.
fn standing<'a>(document: &'a Value, place: &Place) -> &'a Value {
    let Place::Path(steps) = place else { panic!("{place:?} is no path") };
    steps.iter().fold(document, |value, step| match step {
        Step::Member(name) if value.is_object() => &value[name.as_str()],
        Step::Element(position) if value.is_array() => &value[*position],
        _ => &NULL,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn cells_are_the_values_that_stand_at_the_places(document in document(), places in places()) {
        let payload = document.to_string();
        let value: Value = serde_json::from_str(&payload).expect("a document");
        let number = |place: &Place| Field { numbers: true, ..field("n", FieldType::String, place.clone()) };
        let fields: Vec<Field> = places.iter().map(number).collect();
        let expected = |place: &Place| match standing(&value, place) {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            // The numbers of the documents, as they are written there.
            Value::Number(number) if number.as_f64() == Some(3.0) => Ok(Some("30e-1".to_owned())),
            Value::Number(number) => Ok(Some(number.to_string())),
            _ => Err(Reason::WrongType),
        };
        let rejected = |at: usize| move |reason| Rejected::at(reason, at);
        let expected: Result<Vec<_>, _> =
            places.iter().enumerate().map(|(at, place)| expected(place).map_err(rejected(at))).collect();
        prop_assert_eq!(cells(&fields, &payload), expected, "{}", payload);

        // The text of a field is its cell, and that of a boolean is its word.
        for field in &fields {
            let layout = Layout { fields: std::slice::from_ref(field), null: &[], time_zone: None };
            let text = Format::Json.field_text(layout, payload.as_bytes(), 0);
            let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
            let cell = cells(std::slice::from_ref(field), &payload).unwrap_or_default().into_iter().flatten().next();
            let truth = standing(&value, &field.place).as_bool().map(|truth| truth.to_string());
            prop_assert_eq!(text, cell.or(truth), "{}", payload);
        }
    }

    /// What is written at places that do not lie in each other is read back.
    #[test]
    fn what_is_written_is_read_back(
        places in places(),
        numbers in prop::collection::vec(prop::option::of(any::<i64>()), 6),
    ) {
        let mut apart: Vec<Place> = Vec::new();
        for place in places {
            if apart.iter().all(|other| are_apart(other, &place)) {
                apart.push(place);
            }
        }
        let fields: Vec<Field> = apart.into_iter().map(|place| field("n", FieldType::Int, place)).collect();
        let values: Vec<_> = fields.iter().zip(&numbers).map(|(_, number)| number.map(FieldValue::Int)).collect();
        let payload = String::from_utf8(Format::Json.write(Layout { fields: &fields, null: &[], time_zone: None }, &values)).expect("UTF-8");
        let text = |number: &Option<i64>| number.map(|number| number.to_string());
        let expected: Vec<Option<String>> = numbers.iter().take(fields.len()).map(text).collect();
        prop_assert_eq!(cells(&fields, &payload), Ok(expected), "{}", payload);
    }
}

/// Whether one document can hold values at both: none lies inside of the other, and they part at steps of one kind.
fn are_apart(a: &Place, b: &Place) -> bool {
    let (Place::Path(a), Place::Path(b)) = (a, b) else { return false };
    let parting = a.iter().zip(b).find(|(a, b)| a != b);
    parting.is_some_and(|(a, b)| matches!(a, Step::Member(_)) == matches!(b, Step::Member(_)))
}
