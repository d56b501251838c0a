//! Events → their totals: per bucket the measures of all of them together, whatever their group keys.
//!
//! They are what the empty group key counts. A reconcile compares them with what the speed layer has counted there
//! ([`drift`](mod@crate::drift)). Sketches are not compared, since a whole one for each bucket would take too much memory: their totals
//! are those of no event.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::{MeasurePlan, Plan};
use crate::measure::{MeasureKind, Value};
use crate::partial::BUCKET;

/// The column of the number of events. No measure is called so.
const EVENTS: &str = "_events";

/// What the events of one bucket add up to.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// How many there are.
    pub events: u64,
    /// One value per measure; integers as wide as they are, and sketches those of no event.
    pub values: Vec<Value>,
    /// Per measure, how large a rounding can be counted in: of float sums the sum of absolute values, of others 0.
    pub sizes: Vec<f64>,
}

/// Totals by bucket, which its start names, in microseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals(BTreeMap<i64, Total>);

impl Totals {
    /// The total of a bucket.
    pub fn get(&self, bucket: i64) -> Option<&Total> {
        self.0.get(&bucket)
    }

    /// Every bucket with its total, in order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Total)> {
        self.0.iter().map(|(bucket, total)| (*bucket, total))
    }

    /// The number of buckets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no bucket.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the totals of other events.
    pub fn add(&mut self, kinds: &[MeasureKind], others: Totals) {
        for (bucket, other) in others.0 {
            self.add_total(kinds, bucket, other);
        }
    }

    /// Adds the total of other events of one bucket.
    pub fn add_total(&mut self, kinds: &[MeasureKind], bucket: i64, other: Total) {
        let total = self.0.entry(bucket).or_insert_with(|| Total::nothing(kinds));
        total.events += other.events;
        for ((kind, value), other) in kinds.iter().zip(&mut total.values).zip(other.values) {
            *value = kind.merge(value.clone(), other);
        }
        for (size, other) in total.sizes.iter_mut().zip(other.sizes) {
            *size += other;
        }
    }
}

impl Total {
    /// The total of no events.
    pub fn nothing(kinds: &[MeasureKind]) -> Total {
        let values = kinds.iter().map(|kind| kind.identity()).collect();
        Total { events: 0, values, sizes: vec![0.0; kinds.len()] }
    }
}

impl Plan {
    /// The measures, in the catalog's order.
    pub fn kinds(&self) -> Vec<MeasureKind> {
        self.measures.iter().map(|(kind, ..)| *kind).collect()
    }

    /// Those of the events that are `wanted`, or all of them → their totals. They need the columns of [`Plan::columns`].
    ///
    /// # Errors
    /// As [`Plan::partials`].
    pub fn totals(&self, events: LazyFrame, wanted: Option<&[bool]>) -> PolarsResult<Totals> {
        let wide = self.of_all_keys();
        let rows = wide.view_rows(events, wanted)?;
        let cells = |(kind, name, _): &MeasurePlan| kind.cells(rows.column(name)?);
        let columns = wide.measures.iter().map(cells).collect::<PolarsResult<Vec<Vec<Value>>>>()?;
        let (kinds, count) = (self.kinds(), self.measures.len());
        let mut totals = Totals::default();
        for (row, bucket) in rows.column(BUCKET)?.i64()?.iter().enumerate() {
            let events = match columns[count][row] {
                Value::Int(events) => u64::try_from(events).unwrap_or_default(),
                _ => 0,
            };
            let mut sizes = vec![0.0; count];
            for (at, size) in self.float_sums().zip(&columns[count + 1..]) {
                sizes[at] = match size[row] {
                    Value::Float(size) => size,
                    _ => f64::INFINITY,
                };
            }
            let values = columns[..count].iter().map(|cells| cells[row].clone()).collect();
            totals.add_total(&kinds, bucket.unwrap_or_default(), Total { events, values, sizes });
        }
        Ok(totals)
    }

    /// The same plan by no columns, with more measures: the number of events, and the size of each float sum.
    fn of_all_keys(&self) -> Plan {
        let mut plan = self.clone();
        plan.metric.by.clear();
        // Of nothing, a sketch stays that of no event.
        plan.measures.iter_mut().filter(|(kind, ..)| kind.is_sketch()).for_each(|(.., of)| *of = None);
        plan.measures.push((MeasureKind::Count, EVENTS.to_owned(), None));
        plan.measures.extend(self.sizes());
        plan
    }

    /// The same plan with one more measure for each float sum: the sum of absolute values, by which rounding is judged. They are called as
    /// [`Plan::size_columns`] says.
    pub fn sized(&self) -> Plan {
        let mut plan = self.clone();
        plan.measures.extend(self.sizes());
        plan
    }

    /// The columns of the sizes of float sums, by the number of the measure.
    pub fn size_columns(&self) -> Vec<(usize, String)> {
        self.float_sums().map(|at| (at, size_column(at))).collect()
    }

    fn sizes(&self) -> impl Iterator<Item = MeasurePlan> {
        self.float_sums().map(move |at| {
            let size = self.measures[at].2.clone().map(|(of, type_of)| {
                let is_negative = of.clone().lt(lit(0.0));
                (when(is_negative).then(lit(0.0) - of.clone()).otherwise(of), type_of)
            });
            (MeasureKind::SumFloat, size_column(at), size)
        })
    }

    /// Which measures are float sums.
    fn float_sums(&self) -> impl Iterator<Item = usize> {
        let kinds = self.measures.iter().map(|(kind, ..)| *kind).enumerate();
        kinds.filter(|(_, kind)| *kind == MeasureKind::SumFloat).map(|(at, _)| at)
    }
}

/// The column of the size of a measure. No measure of a catalog is called so.
fn size_column(at: usize) -> String {
    format!("_size_{at}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
k = "string"
n = "int?"
x = "float?"
[metrics.m]
source = "s"
by = ["k"]
grain = "1m"
where = "k <> 'c'"
[metrics.m.measures]
wide = "sum(n)"
float = "sum(x)"
least = "min(n)"
"#;

    #[test]
    fn totals_are_what_all_keys_of_a_bucket_add_up_to() {
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let plan = Plan::new(&catalog.sources["s"], &catalog.metrics["m"]);
        let events = df!(
            "at" => [0_i64, 59_000_000, 60_000_000, 60_000_000, 1],
            "k" => ["a", "b", "a", "b", "c"],
            "n" => [Some(i64::MAX), Some(i64::MAX), None, None, Some(1)],
            "x" => [Some(1.5), Some(-0.5), None, Some(-2.0), Some(9.0)],
        );
        let totals = plan.totals(events.expect("four columns").lazy(), None).expect("planned");
        let total =
            |events, values: [Value; 3], size| Total { events, values: values.into(), sizes: vec![0.0, size, 0.0] };
        let (wide, least) = (Value::Int(2 * i128::from(i64::MAX)), Value::Int(i64::MAX.into()));
        assert_eq!(totals.get(0), Some(&total(2, [wide, Value::Float(1.0), least], 2.0)));
        assert_eq!(totals.get(60_000_000), Some(&total(2, [Value::Int(0), Value::Float(-2.0), Value::Null], 2.0)));
        assert_eq!(totals.len(), 2);
        let mut twice = totals.clone();
        twice.add(&plan.kinds(), totals);
        assert_eq!(twice.get(0).map(|total| (total.events, total.sizes[1])), Some((4, 4.0)));
    }
}
