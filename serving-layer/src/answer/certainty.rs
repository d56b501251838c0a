//! How far the true value may lie from what a sketch says.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use shared_logic::catalog::Metric;
use shared_logic::measure::{MeasureKind, RELATIVE_ERROR, Sketch, Theta, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// What a quantile says of values that it does not tell apart any more: 2^64.
const BEYOND: f64 = 18_446_744_073_709_551_616.0;

/// The bounds of measures that are sketches, and of derived values that are quantiles, in the order of the catalog.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bounds<'a>(Vec<(&'a str, Bound)>);

/// What is known of one value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Bound {
    /// Of a number of different values: where it lies in 95 of 100 cases.
    Distinct { low: i64, high: i64, exact: bool },
    /// Of a quantile: by how much it may differ from the true one, as a share of that. Null if there are values beyond what the sketch
    /// tells apart.
    Quantile { relative_error: Option<f64> },
    /// Of the most frequent values: whether their counts are exact. If not, `at_most` says what they may be.
    Top { exact: bool },
}

impl<'a> Bounds<'a> {
    /// The bounds of a metric's values, given its merged measures.
    pub(super) fn of(metric: &'a Metric, values: &[Value]) -> Bounds<'a> {
        let measures = metric.measures.iter().zip(values);
        let of_measures = measures.filter_map(|(measure, value)| Some((measure.name.as_str(), of_measure(value)?)));
        let of_derived = metric.derived.iter().filter_map(|derived| {
            let of = derived.of.as_quantile()?;
            let at = metric.measures.iter().position(|measure| measure.name == of)?;
            Some((derived.name.as_str(), of_quantile(values.get(at)?)?))
        });
        Bounds(of_measures.chain(of_derived).collect())
    }

    /// The bounds of what a row says of a metric, as a report has it: its numbers are all that is left of sketches there.
    pub(crate) fn of_row(metric: &'a Metric, row: &Map<String, Json>) -> Bounds<'a> {
        let of_measures = metric.measures.iter().filter_map(|measure| {
            let MeasureKind::Distinct { k } = measure.kind else { return None };
            let number = row.get(&measure.name)?.as_i64()?;
            let (low, high) = Theta::bounds_of(number, k);
            Some((measure.name.as_str(), Bound::Distinct { low, high, exact: number <= i64::from(k) }))
        });
        let of_derived = metric.derived.iter().filter_map(|derived| {
            derived.of.as_quantile()?;
            let is_known = row.get(&derived.name)?.as_f64()?.abs() < BEYOND;
            Some((derived.name.as_str(), Bound::Quantile { relative_error: is_known.then_some(RELATIVE_ERROR) }))
        });
        Bounds(of_measures.chain(of_derived).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn of_measure(value: &Value) -> Option<Bound> {
    match value.sketch()? {
        Sketch::Distinct(theta) => {
            let (low, high) = theta.bounds();
            Some(Bound::Distinct { low, high, exact: theta.is_exact() })
        }
        Sketch::Top(frequent) => Some(Bound::Top { exact: frequent.is_exact() }),
        // Derived values ask for it.
        Sketch::Quantile(_) => None,
    }
}

fn of_quantile(value: &Value) -> Option<Bound> {
    match value.sketch()? {
        Sketch::Quantile(bins) => Some(Bound::Quantile { relative_error: bins.relative_error() }),
        Sketch::Distinct(_) | Sketch::Top(_) => None,
    }
}

impl PartialSchema for Bounds<'_> {
    fn schema() -> RefOr<Schema> {
        let text = "How certain the values are that come from sketches, by their names; absent if there are none.";
        let of = |kind: Type, text: &str| ObjectBuilder::new().schema_type(kind).description(Some(text));
        let low = "Of a number of different values: in 95 of 100 cases it is not less.";
        let high = "In 95 of 100 cases it is not more.";
        let exact = "Of a number of different values, or of the most frequent ones: whether the counts are exact.";
        let error = "Of a quantile: by how much it may differ from the true one, as a share of that. Null if there are values beyond 2^64.";
        let error = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Number, Type::Null]))
            .description(Some(error));
        let bound = ObjectBuilder::new()
            .property("low", of(Type::Integer, low))
            .property("high", of(Type::Integer, high))
            .property("exact", of(Type::Boolean, exact))
            .property("relative_error", error);
        ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(bound)).description(Some(text)).into()
    }
}

impl ToSchema for Bounds<'_> {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Bounds")
    }
}

impl Serialize for Bounds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|bound| (bound.0, &bound.1)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared_logic::catalog::Catalog;

    use super::*;

    const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
user = "string"
page = "string"
ms = "int"
[metrics.m]
source = "s"
by = ["user"]
grain = "1h"
[metrics.m.measures]
n = "count()"
pages = "distinct(page, 1024)"
latency = "quantile(ms)"
[metrics.m.derived]
p50 = "quantile(latency, 0.5)"
"#;

    #[test]
    fn a_row_says_how_certain_it_is_by_its_numbers() {
        let catalog = Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let bounds = |row: Json| {
            let row = row.as_object().expect("an object").clone();
            serde_json::to_value(Bounds::of_row(&catalog.metrics["m"], &row)).expect("plain data")
        };
        let exact = json!({"low": 1_024, "high": 1_024, "exact": true});
        let certain = bounds(json!({"user": "u", "n": 5_000, "pages": 1_024, "p50": 7.5}));
        assert_eq!(certain, json!({"pages": exact, "p50": {"relative_error": 0.01}}));
        let estimated = bounds(json!({"pages": 5_000, "p50": 2_f64.powi(64)}));
        let (low, high) = (estimated["pages"]["low"].as_i64(), estimated["pages"]["high"].as_i64());
        assert!(low > Some(4_600) && low < Some(5_000) && high > Some(5_000) && high < Some(5_400), "{estimated}");
        assert_eq!((&estimated["pages"]["exact"], &estimated["p50"]["relative_error"]), (&json!(false), &Json::Null));
        assert_eq!(bounds(json!({"pages": null})), json!({}));
    }
}
