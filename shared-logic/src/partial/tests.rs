//! Every grouping set holds every event, under the key that its values have.

use std::collections::BTreeMap;

use polars::prelude::df;
use proptest::prelude::*;
use test_kit::catalogs;

use super::*;
use crate::catalog::Catalog;
use crate::group_key::tests::{Row, any_row};
use crate::plan::SourcePlan;

fn partials(rows: &[Row]) -> Partials {
    let catalog = Catalog::parse(catalogs::EVERY_KEY_TYPE).expect("a valid catalog");
    let (source, metric) = (&catalog.sources["visits"], &catalog.metrics["visits"]);
    let events = df!(
        "at" => rows.iter().map(|row| row.at).collect::<Vec<_>>(),
        "page" => rows.iter().map(|row| row.t.as_deref()).collect::<Vec<_>>(),
        "code" => rows.iter().map(|row| row.i).collect::<Vec<_>>(),
        "ok" => rows.iter().map(|row| row.b).collect::<Vec<_>>(),
        "seen" => rows.iter().map(|row| row.w).collect::<Vec<_>>(),
    )
    .expect("five columns");
    let plan = SourcePlan::new(source, [metric]);
    let encoded = plan.encode(events).expect("evaluated");
    let mut counted = plan.count(&encoded, 0, &[rows.len()], usize::MAX);
    assert_eq!(counted.to, rows.len());
    counted.partials.remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_grouping_set_counts_every_event(rows in prop::collection::vec(any_row(), 0..24)) {
        // So that no sum leaves 64 bits.
        let rows: Vec<Row> = rows.into_iter().map(|row| Row { i: row.i >> 5, ..row }).collect();
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
}

#[test]
fn grouping_sets_are_all_subsets_the_finest_first() {
    assert_eq!(grouping_sets(0).collect::<Vec<_>>(), [0]);
    assert_eq!(grouping_sets(2).collect::<Vec<_>>(), [3, 2, 1, 0]);
}
