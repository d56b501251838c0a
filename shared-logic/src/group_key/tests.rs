//! Equal keys have equal texts, wherever they come from.

use proptest::prelude::*;

use super::*;

/// An event with one group-key column of each type, three of which may be absent.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) at: i64,
    pub(crate) t: Option<String>,
    pub(crate) i: i64,
    pub(crate) b: Option<bool>,
    pub(crate) w: Option<i64>,
}

impl Row {
    /// Its key, where the bit mask `set` says which columns are kept.
    pub(crate) fn key(&self, set: u32) -> Vec<KeyPart> {
        let all = [
            self.t.clone().map(KeyValue::Text),
            Some(KeyValue::Int(self.i)),
            self.b.map(KeyValue::Bool),
            self.w.map(KeyValue::Timestamp),
        ];
        let part = |value: Option<KeyValue>| value.map_or(KeyPart::Missing, KeyPart::Value);
        let parts = all.into_iter().enumerate();
        parts.map(|(at, value)| if set >> at & 1 == 1 { part(value) } else { KeyPart::All }).collect()
    }
}

pub(crate) fn any_row() -> impl Strategy<Value = Row> {
    let text = prop_oneof![
        any::<String>(),
        "\\PC{0,4}",
        prop::sample::select(vec!["", "\"", "\\", "\u{1}\n", "],[", "null", "{}", "ü😀"]).prop_map(str::to_owned)
    ];
    let instant = prop_oneof![crate::time::MIN_INSTANT_US..crate::time::MAX_INSTANT_US, -3_i64..3];
    let int = prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -2_i64..3];
    let optional = (prop::option::of(text), prop::option::of(any::<bool>()), prop::option::of(instant));
    (-200_000_000_i64..200_000_000, int, optional).prop_map(|(at, i, (t, b, w))| Row { at, t, i, b, w })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_key_is_a_json_array_of_its_values(row in any_row(), set in 0..16_u32) {
        let parts = row.key(set);
        let key = GroupKey::new(&parts);
        let read: serde_json::Value = serde_json::from_str(key.as_str()).expect("JSON");
        let shown = |part: &KeyPart| match part {
            KeyPart::All => serde_json::Value::Null,
            KeyPart::Missing => serde_json::json!({}),
            KeyPart::Value(value) => value.to_json(),
        };
        let expected: Vec<serde_json::Value> = if set == 0 { Vec::new() } else { parts.iter().map(shown).collect() };
        prop_assert_eq!(read, serde_json::Value::from(expected));
        prop_assert_eq!(key.to_string(), key.as_str());
    }

    #[test]
    fn equal_keys_have_equal_texts_and_others_have_not(a in any_row(), b in any_row(), set in 0..16_u32, other in 0..16_u32) {
        let (left, right) = (a.key(set), b.key(other));
        prop_assert_eq!(GroupKey::new(&left) == GroupKey::new(&right), left == right);
    }

    #[test]
    fn a_query_names_the_key_that_an_event_has(row in any_row()) {
        let named = |kind, text: Option<String>| match text {
            Some(text) => KeyValue::parse(kind, &text).map(KeyPart::Value),
            None => Some(KeyPart::Missing),
        };
        let instant = row.w.map(crate::time::format_rfc3339);
        let parts = [
            named(FieldType::String, row.t.clone()),
            named(FieldType::Int, Some(row.i.to_string())),
            named(FieldType::Bool, row.b.map(|b| b.to_string())),
            named(FieldType::Timestamp, instant),
        ];
        prop_assert_eq!(parts.into_iter().collect::<Option<Vec<KeyPart>>>(), Some(row.key(15)));
    }
}

#[test]
fn a_value_of_another_type_is_no_key() {
    for (kind, text) in [
        (FieldType::Int, "1.5"),
        (FieldType::Int, ""),
        (FieldType::Bool, "1"),
        (FieldType::Timestamp, "yesterday"),
        (FieldType::Float, "1"),
    ] {
        assert_eq!(KeyValue::parse(kind, text), None, "{kind:?} {text:?}");
    }
}

#[test]
fn a_key_that_sums_over_every_column_is_empty() {
    assert_eq!(GroupKey::new(&[]).as_str(), "[]");
    assert_eq!(GroupKey::new(&[KeyPart::All, KeyPart::All]).as_str(), "[]");
    assert_eq!(GroupKey::new(&[KeyPart::All, KeyPart::Value(KeyValue::Int(-1))]).as_str(), "[null,-1]");
}

#[test]
fn an_absent_value_is_neither_a_sum_nor_any_text() {
    let text = |text: &str| KeyPart::Value(KeyValue::Text(text.to_owned()));
    let parts = [KeyPart::Missing, KeyPart::All, text(""), text("null"), text("{}")];
    let keys = parts.map(|part| GroupKey::new(&[part, KeyPart::Missing]).to_string());
    assert_eq!(keys, ["[{},{}]", "[null,{}]", r#"["",{}]"#, r#"["null",{}]"#, r#"["{}",{}]"#]);
}

#[test]
fn columns_give_the_keys_that_single_values_give() {
    let texts = Column::new("t".into(), [Some("a\n"), None, Some("")]);
    let truths = Column::new("b".into(), [None, Some(true), Some(false)]);
    let ints = Column::new("i".into(), [Some(-1_i64), Some(0), None]);
    let of = |columns: &[Option<(&Column, FieldType)>]| {
        let keys = GroupKey::of_columns(3, columns).expect("their types");
        keys.iter().map(GroupKey::to_string).collect::<Vec<_>>()
    };
    let (t, b) = (Some((&texts, FieldType::String)), Some((&truths, FieldType::Bool)));
    assert_eq!(of(&[t, None, b]), [r#"["a\u000a",null,{}]"#, "[{},null,true]", r#"["",null,false]"#]);
    let instants = Some((&ints, FieldType::Timestamp));
    assert_eq!(of(&[instants]), [r#"["1969-12-31T23:59:59.999999Z"]"#, r#"["1970-01-01T00:00:00Z"]"#, "[{}]"]);
    assert_eq!(of(&[Some((&ints, FieldType::Int))]), ["[-1]", "[0]", "[{}]"]);
    assert_eq!(of(&[None, None]), ["[]"; 3]);
}

#[test]
fn a_query_shortens_a_text_as_the_plan_does() {
    let long = "ü".repeat(MAX_KEY_BYTES);
    let column = shorten(Column::new("t".into(), [long.as_str()])).expect("texts");
    let of_events = GroupKey::of_columns(1, &[Some((&column, FieldType::String))]).expect("their types");
    let asked = KeyValue::parse(FieldType::String, &long).map(KeyPart::Value).expect("a text");
    assert_eq!(of_events, [GroupKey::new(&[asked])]);
}
