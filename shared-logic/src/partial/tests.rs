//! Keys are written alike wherever they come from, and every grouping set holds every event.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::catalog::Catalog;

const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
t = "string"
i = "int"
b = "bool"
w = "timestamp"
[metrics.m]
source = "s"
by = ["t", "i", "b", "w"]
grain = "1m"
[metrics.m.measures]
events = "count()"
total = "sum(i)"
least = "min(i)"
"#;

#[derive(Debug, Clone)]
struct Row {
    at: i64,
    t: String,
    i: i64,
    b: bool,
    w: i64,
}

impl Row {
    /// Its key, of the columns in the set.
    fn key(&self, set: u32) -> Vec<Option<KeyValue>> {
        let all = [
            KeyValue::Text(self.t.clone()),
            KeyValue::Int(self.i),
            KeyValue::Bool(self.b),
            KeyValue::Timestamp(self.w),
        ];
        all.into_iter().enumerate().map(|(at, value)| (set >> at & 1 == 1).then_some(value)).collect()
    }
}

fn any_row() -> impl Strategy<Value = Row> {
    let text = prop_oneof![
        any::<String>(),
        "\\PC{0,4}",
        prop::sample::select(vec!["", "\"", "\\", "\u{1}\n", "],[", "null", "ü😀"]).prop_map(str::to_owned)
    ];
    let instant = prop_oneof![crate::time::MIN_INSTANT_US..crate::time::MAX_INSTANT_US, -3_i64..3];
    let int = prop_oneof![-crate::event::MAX_INT..=crate::event::MAX_INT, -2_i64..3];
    (-200_000_000_i64..200_000_000, text, int, any::<bool>(), instant).prop_map(|(at, t, i, b, w)| Row {
        at,
        t,
        i,
        b,
        w,
    })
}

fn partials(rows: &[Row]) -> Partials {
    let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
    let (source, metric) = (&catalog.sources["s"], &catalog.metrics["m"]);
    let events = df!(
        "at" => rows.iter().map(|row| row.at).collect::<Vec<_>>(),
        "t" => rows.iter().map(|row| row.t.as_str()).collect::<Vec<_>>(),
        "i" => rows.iter().map(|row| row.i).collect::<Vec<_>>(),
        "b" => rows.iter().map(|row| row.b).collect::<Vec<_>>(),
        "w" => rows.iter().map(|row| row.w).collect::<Vec<_>>(),
    )
    .expect("five columns");
    Partials::of_events(source, metric, &Plan::new(source, metric), events.lazy()).expect("planned")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_grouping_set_counts_every_event(rows in prop::collection::vec(any_row(), 0..24)) {
        let mut expected: BTreeMap<(GroupKey, i64), (i128, i128, i128)> = BTreeMap::new();
        for row in &rows {
            for set in 0..16 {
                let key = GroupKey::new(&row.key(set));
                let cell = expected.entry((key, row.at.div_euclid(60_000_000) * 60_000_000)).or_insert((0, 0, i128::MAX));
                *cell = (cell.0 + 1, cell.1 + i128::from(row.i), cell.2.min(row.i.into()));
            }
        }
        let partials = partials(&rows);
        prop_assert_eq!(partials.len(), expected.len(), "each key and bucket is there once");
        for (key, bucket, values) in partials.rows() {
            let (count, total, least) = expected[&(key.clone(), bucket)];
            prop_assert_eq!(values, &[Value::Int(count), Value::Int(total), Value::Int(least)], "{} {}", key, bucket);
        }
        prop_assert_eq!(partials.is_empty(), rows.is_empty());
    }

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
fn grouping_sets_are_all_subsets_the_finest_first() {
    assert_eq!(grouping_sets(0).collect::<Vec<_>>(), [0]);
    assert_eq!(grouping_sets(2).collect::<Vec<_>>(), [3, 2, 1, 0]);
    assert_eq!(GroupKey::new(&[]).as_str(), "[]");
    assert_eq!(GroupKey::new(&[None, None]).as_str(), "[]");
    assert_eq!(GroupKey::new(&[None, Some(KeyValue::Int(-1))]).as_str(), "[null,-1]");
}
