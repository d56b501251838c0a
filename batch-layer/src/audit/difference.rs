//! What buckets should say and what they say → where they differ.

use std::collections::BTreeMap;

use shared_logic::catalog::Metric;
use shared_logic::measure::{MeasureKind, Value};

use super::fold::{Bucket, Seen};
use super::view_rows::Held;

/// By how much a sum of floats may differ, as a part of the sum of absolute values (see [`MeasureKind::SumFloat`]).
const FLOATS_DIFFER: f64 = 1e-9;

/// A bucket in which the view differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The bucket's start, microseconds since 1970.
    pub bucket_us: i64,
    /// The measures that differ.
    pub measures: Vec<MeasureDifference>,
    /// Every event of the key in the bucket.
    pub seen: Vec<Seen>,
}

/// A measure of which the view says something else.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasureDifference {
    /// The measure's name.
    pub name: String,
    /// What the view says.
    pub view: Value,
    /// What the records say.
    pub records: Value,
}

/// Where they differ. A bucket that is missing says what no event does.
pub(super) fn differences(metric: &Metric, expected: BTreeMap<i64, Bucket>, held: &Held) -> Vec<Difference> {
    let mut buckets: BTreeMap<i64, Bucket> = held.keys().map(|bucket| (*bucket, Bucket::default())).collect();
    buckets.extend(expected);
    let difference = |(bucket_us, Bucket { values, scales, seen }): (i64, Bucket)| {
        let view = held.get(&bucket_us);
        let of_measure = |at: usize, kind: MeasureKind, name: &String| {
            let said = |values: Option<&Vec<Value>>| {
                values.and_then(|values| values.get(at)).cloned().unwrap_or_else(|| kind.identity()).finalized()
            };
            let (view, records) = (said(view), said(Some(&values)));
            let scale = scales.get(at).copied().unwrap_or_default();
            (!is_same(kind, &view, &records, scale)).then(|| MeasureDifference { name: name.clone(), view, records })
        };
        let measures = metric.measures.iter().enumerate();
        let measures: Vec<_> =
            measures.filter_map(|(at, measure)| of_measure(at, measure.kind, &measure.name)).collect();
        (!measures.is_empty()).then_some(Difference { bucket_us, measures, seen })
    };
    buckets.into_iter().filter_map(difference).collect()
}

fn is_same(kind: MeasureKind, view: &Value, records: &Value, scale: f64) -> bool {
    match (kind, view, records) {
        (MeasureKind::SumFloat, Value::Float(view), Value::Float(records)) => {
            (view - records).abs() <= FLOATS_DIFFER * scale
        }
        (_, Value::Sketch(view), Value::Sketch(records)) => view.agrees_with(records),
        _ => view == records,
    }
}
