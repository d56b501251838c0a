//! Equal keys have equal texts, wherever they come from.

use proptest::prelude::*;

use super::*;

/// An event with one group-key column of each type.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) at: i64,
    pub(crate) t: String,
    pub(crate) i: i64,
    pub(crate) b: bool,
    pub(crate) w: i64,
}

impl Row {
    /// The values of its key, where the bit mask `set` says which columns are kept.
    pub(crate) fn key(&self, set: u32) -> Vec<Option<KeyValue>> {
        let all = [
            KeyValue::Text(self.t.clone()),
            KeyValue::Int(self.i),
            KeyValue::Bool(self.b),
            KeyValue::Timestamp(self.w),
        ];
        all.into_iter().enumerate().map(|(at, value)| (set >> at & 1 == 1).then_some(value)).collect()
    }
}

pub(crate) fn any_row() -> impl Strategy<Value = Row> {
    let text = prop_oneof![
        any::<String>(),
        "\\PC{0,4}",
        prop::sample::select(vec!["", "\"", "\\", "\u{1}\n", "],[", "null", "ü😀"]).prop_map(str::to_owned)
    ];
    let instant = prop_oneof![crate::time::MIN_INSTANT_US..crate::time::MAX_INSTANT_US, -3_i64..3];
    let int = prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -2_i64..3];
    (-200_000_000_i64..200_000_000, text, int, any::<bool>(), instant).prop_map(|(at, t, i, b, w)| Row {
        at,
        t,
        i,
        b,
        w,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_key_is_a_json_array_of_its_values(row in any_row(), set in 0..16_u32) {
        let values = row.key(set);
        let key = GroupKey::new(&values);
        let read: serde_json::Value = serde_json::from_str(key.as_str()).expect("JSON");
        let shown = |value: &Option<KeyValue>| value.as_ref().map_or(serde_json::Value::Null, KeyValue::to_json);
        let expected: Vec<serde_json::Value> = if set == 0 { Vec::new() } else { values.iter().map(shown).collect() };
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
        let instant = crate::time::format_rfc3339(row.w);
        let texts = [(FieldType::String, row.t.clone()), (FieldType::Int, row.i.to_string()), (FieldType::Bool, row.b.to_string()), (FieldType::Timestamp, instant)];
        let parsed: Vec<Option<KeyValue>> = texts.iter().map(|(kind, text)| KeyValue::parse(*kind, text)).collect();
        prop_assert_eq!(parsed, row.key(15));
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
    assert_eq!(GroupKey::new(&[None, None]).as_str(), "[]");
    assert_eq!(GroupKey::new(&[None, Some(KeyValue::Int(-1))]).as_str(), "[null,-1]");
}
