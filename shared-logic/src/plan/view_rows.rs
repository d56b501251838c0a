//! Partials as the rows of a batch view.
//!
//! A view's rows are added to and merged for years, so nothing of them may be lost on the way: a sum that leaves 64 bits stands
//! in several rows of one key and bucket, instead of an overflow from which no later event could bring it back. Whoever reads
//! the rows merges them, and judges the total.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::{Grouped, Plan};
use crate::measure::MeasureKind;
use crate::partial::BUCKET;

impl Plan {
    /// Those of the events that are `wanted`, or all of them → rows of a batch view: the columns and the order of
    /// [`Plan::partials`]. Each key and bucket has one row, or several that merge to it where a sum leaves 64 bits.
    ///
    /// # Errors
    /// As [`Plan::partials`].
    pub fn view_rows(&self, events: LazyFrame, wanted: Option<&[bool]>) -> PolarsResult<DataFrame> {
        self.in_parts(self.counted(events, wanted)?)
    }

    /// Rows of a batch view → the same with the rows of each key and bucket merged. The columns and the order are those of
    /// [`Plan::view_rows`]. A null sum is an overflow, and stays one.
    ///
    /// # Errors
    /// As [`Plan::partials`].
    pub fn merge_rows(&self, rows: &DataFrame) -> PolarsResult<DataFrame> {
        self.in_parts(self.merged(rows, &self.metric.by)?)
    }

    /// Rows in which a value that does not fit into a cell stands in several.
    pub(super) fn in_parts(&self, grouped: Grouped) -> PolarsResult<DataFrame> {
        let Grouped { partials: mut rows, parts } = grouped;
        let groups = rows.height();
        for (at, parts) in parts.iter().enumerate().filter(|(_, parts)| !parts.is_empty()) {
            rows = self.with_parts(rows, at, parts)?;
        }
        if rows.height() == groups {
            return Ok(rows);
        }
        rows.sort(self.metric.by.iter().map(String::as_str).chain([BUCKET]), SortMultipleOptions::default())
    }

    /// Puts the first part of each value of a measure where the value belongs, and each other part into a row of its own, whose
    /// other measures are those of no event.
    fn with_parts(&self, mut rows: DataFrame, at: usize, parts: &BTreeMap<usize, Vec<i64>>) -> PolarsResult<DataFrame> {
        let name = self.measures[at].1.as_str();
        let cell = |(row, cell): (usize, Option<i64>)| match parts.get(&row) {
            Some(parts) => parts.first().copied(),
            None => cell,
        };
        let first: Int64Chunked = rows.column(name)?.i64()?.iter().enumerate().map(cell).collect();
        rows.with_column(Column::from(first.into_series()).with_name(name.into()))?;
        let others = parts.iter().flat_map(|(row, parts)| parts.iter().skip(1).map(|part| (*row as IdxSize, *part)));
        let (of_row, values): (Vec<IdxSize>, Vec<i64>) = others.unzip();
        let keys = rows.take(&IdxCa::from_vec("row".into(), of_row))?;
        let measures: BTreeMap<&str, MeasureKind> =
            self.measures.iter().map(|(kind, name, _)| (name.as_str(), *kind)).collect();
        let column = |column: &Column| match measures.get(column.name().as_str()) {
            None => column.clone(),
            Some(_) if column.name().as_str() == name => Column::new(name.into(), &values),
            Some(kind) => kind.column(column.name(), &vec![kind.identity(); values.len()]),
        };
        let others = DataFrame::new(values.len(), keys.columns().iter().map(column).collect())?;
        rows.vstack(&others)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::Catalog;
    use crate::measure::Value;

    const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
k = "string?"
n = "int?"
m = "int?"
[metrics.m]
source = "s"
by = ["k"]
grain = "1m"
[metrics.m.measures]
events = "count()"
one = "sum(n)"
other = "sum(m)"
least = "min(n)"
"#;
    const SKETCHES: &str = "keys = \"distinct(m)\"\nspread = \"quantile(n)\"\n";

    /// `k`, `n` and `m` of an event of the first minute.
    type Row = (Option<&'static str>, Option<i64>, Option<i64>);

    fn plan() -> Plan {
        plan_of(CATALOG)
    }

    fn with_sketches() -> Plan {
        plan_of(&format!("{CATALOG}{SKETCHES}"))
    }

    fn plan_of(text: &str) -> Plan {
        let catalog = Catalog::parse(text).expect("a valid catalog");
        Plan::new(&catalog.sources["s"], &catalog.metrics["m"])
    }

    fn events(rows: &[Row]) -> LazyFrame {
        df!(
            "at" => vec![0_i64; rows.len()],
            "k" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
            "n" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
            "m" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
        )
        .expect("four columns")
        .lazy()
    }

    /// The values of each key, as a reader merges them: events, one, other, least.
    fn read(plan: &Plan, rows: &DataFrame) -> BTreeMap<Option<String>, Vec<Value>> {
        let keys = rows.column("k").expect("a key").str().expect("texts");
        let cells: Vec<Vec<Value>> = plan
            .measures
            .iter()
            .map(|(kind, name, _)| kind.cells(rows.column(name).expect("a measure")).expect("its type"))
            .collect();
        let mut read: BTreeMap<Option<String>, Vec<Value>> = BTreeMap::new();
        for (row, key) in keys.iter().enumerate() {
            let identities = || plan.measures.iter().map(|(kind, ..)| kind.identity()).collect();
            let merged = read.entry(key.map(str::to_owned)).or_insert_with(identities);
            for ((kind, ..), (value, cells)) in plan.measures.iter().zip(merged.iter_mut().zip(&cells)) {
                *value = kind.merge(value.clone(), cells[row].clone());
            }
        }
        read
    }

    #[test]
    fn a_sum_that_leaves_64_bits_stands_in_several_rows() {
        let plan = plan();
        let wide = [(Some("a"), Some(i64::MAX), Some(1)), (Some("a"), Some(i64::MAX), Some(2))];
        let rows = plan.view_rows(events(&wide), None).expect("planned");
        assert_eq!(rows.height(), 2);
        assert_eq!(rows.column("one").expect("a measure").null_count(), 0);
        let sums = [Value::Int(2), Value::Int(2 * i128::from(i64::MAX)), Value::Int(3), Value::Int(i64::MAX.into())];
        assert_eq!(read(&plan, &rows), BTreeMap::from([(Some("a".to_owned()), sums.to_vec())]));
        // A later event brings it back.
        let less = plan.view_rows(events(&[(Some("a"), Some(i64::MIN), None)]), None).expect("planned");
        let merged = plan.merge_rows(&rows.vstack(&less).expect("the same columns")).expect("merged");
        assert_eq!(merged.height(), 1);
        let sum = Value::Int(i128::from(i64::MAX) - 1);
        assert_eq!(
            read(&plan, &merged)[&Some("a".to_owned())],
            [Value::Int(3), sum, Value::Int(3), Value::Int(i64::MIN.into())]
        );
    }

    #[test]
    fn an_overflow_that_an_older_build_has_written_stays_one() {
        let plan = plan();
        let row = df!(
            "k" => ["a"], BUCKET => [0_i64], "events" => [2_i64], "one" => [None::<i64>], "other" => [3_i64],
            "least" => [Some(1_i64)],
        );
        let rows = row.expect("a row");
        let merged = plan.merge_rows(&rows.vstack(&rows).expect("the same columns")).expect("merged");
        let values = [Value::Int(4), Value::Overflow, Value::Int(6), Value::Int(1)];
        assert_eq!(read(&plan, &merged), BTreeMap::from([(Some("a".to_owned()), values.to_vec())]));
    }

    fn row() -> impl Strategy<Value = Row> {
        let int = || prop::option::of(prop_oneof![any::<i64>(), -3_i64..3, Just(i64::MIN), Just(i64::MAX)]);
        (prop_oneof![Just(None), Just(Some("")), Just(Some("a"))], int(), int())
    }

    proptest! {
        /// However events are split over additions, and whichever of these are merged, the rows say the same.
        #[test]
        fn rows_that_are_added_and_merged_say_what_those_of_all_events_say(
            parts in prop::collection::vec(prop::collection::vec(row(), 1..8), 1..6),
            merged in prop::collection::vec(any::<bool>(), 6),
        ) {
            let plan = with_sketches();
            let all: Vec<Row> = parts.iter().flatten().copied().collect();
            let mut rows: Option<DataFrame> = None;
            for (part, merges) in parts.iter().zip(merged) {
                let added = plan.view_rows(events(part), None).expect("planned");
                let with_added = match rows {
                    Some(rows) => rows.vstack(&added).expect("the same columns"),
                    None => added,
                };
                let merge = || plan.merge_rows(&with_added).expect("merged");
                rows = Some(if merges { merge() } else { with_added.clone() });
            }
            let at_once = plan.view_rows(events(&all), None).expect("planned");
            prop_assert_eq!(read(&plan, &rows.expect("some rows")), read(&plan, &at_once));
        }

        /// A file is written in this order, also where sums leave 64 bits.
        #[test]
        fn rows_are_in_the_order_of_their_keys_and_of_events_that_are_wanted(
            rows in prop::collection::vec((row(), any::<bool>()), 0..20),
        ) {
            let plan = with_sketches();
            let (all, wanted): (Vec<Row>, Vec<bool>) = rows.into_iter().unzip();
            let of_wanted = plan.view_rows(events(&all), Some(&wanted)).expect("planned");
            let keys: Vec<Option<String>> =
                of_wanted.column("k").expect("a key").str().expect("texts").iter().map(|key| key.map(str::to_owned)).collect();
            prop_assert!(keys.is_sorted(), "{:?}", keys);
            let only: Vec<Row> = all.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(row, _)| *row).collect();
            let of_only = plan.view_rows(events(&only), None).expect("planned");
            prop_assert_eq!(read(&plan, &of_wanted), read(&plan, &of_only));
        }
    }
}
