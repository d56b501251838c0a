//! Merged values as JSON.

use serde::Serialize;
use serde_json::{Map, Value as Json};
use shared_logic::catalog::Metric;
use shared_logic::measure::Value;

/// A value that is null because it left its 64 bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Overflow {
    /// The measure or the derived value.
    value: String,
    reason: &'static str,
}

const SUM_LEFT: &str = "the sum left 64 bits; ask for a shorter range or a finer key";
const DERIVED_LEFT: &str = "it is derived from a sum that left 64 bits, or left them itself";

/// Measures and derived values in the order of the catalog, and what of them overflowed.
pub(super) fn presented(metric: &Metric, values: &[Value]) -> (Map<String, Json>, Vec<Overflow>) {
    let mut map = Map::new();
    let mut overflow = Vec::new();
    let mut put = |name: &str, value: Value, reason| {
        if value == Value::Overflow {
            overflow.push(Overflow { value: name.to_owned(), reason });
        }
        map.insert(name.to_owned(), value.to_json());
    };
    for (measure, value) in metric.measures.iter().zip(values) {
        put(&measure.name, value.clone().finalized(), SUM_LEFT);
    }
    let value_of = |name: &str| {
        let at = metric.measures.iter().position(|measure| measure.name == name);
        at.and_then(|at| values.get(at)).cloned().unwrap_or(Value::Null)
    };
    for derived in &metric.derived {
        put(&derived.name, derived.of.evaluate(&value_of), DERIVED_LEFT);
    }
    (map, overflow)
}

/// Measures alone.
pub(super) fn measures(metric: &Metric, values: &[Value]) -> Map<String, Json> {
    metric
        .measures
        .iter()
        .zip(values)
        .map(|(measure, value)| (measure.name.clone(), value.clone().finalized().to_json()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared_logic::catalog::Catalog;

    fn metric() -> Metric {
        let catalog = Catalog::parse(
            r#"
[sources.sales]
event_time = "at"
[sources.sales.fields]
at = "timestamp"
cents = "int"
weight = "float"
[metrics.sales]
source = "sales"
[metrics.sales.measures]
sales = "count()"
cents = "sum(cents)"
heaviest = "max(weight)"
[metrics.sales.derived]
mean = "cents / sales"
"#,
        );
        catalog.expect("a catalog").metrics["sales"].clone()
    }

    #[test]
    fn integers_stay_integers_and_floats_floats() {
        let (values, overflow) = presented(&metric(), &[Value::Int(4), Value::Int(10), Value::Float(2.0)]);
        assert_eq!(Json::from(values).to_string(), r#"{"sales":4,"cents":10,"heaviest":2.0,"mean":2.5}"#);
        assert_eq!(overflow, []);
    }

    #[test]
    fn nothing_is_zero_or_null() {
        let (values, overflow) = presented(&metric(), &[Value::Int(0), Value::Int(0), Value::Null]);
        assert_eq!(Json::from(values), json!({"sales": 0, "cents": 0, "heaviest": null, "mean": null}));
        assert_eq!(overflow, []);
    }

    #[test]
    fn an_overflow_is_null_with_a_reason() {
        let wide = Value::Int(i128::from(i64::MAX) + 1);
        for value in [wide, Value::Overflow] {
            let (values, overflow) = presented(&metric(), &[Value::Int(1), value, Value::Null]);
            assert_eq!((&values["cents"], &values["mean"]), (&Json::Null, &Json::Null));
            assert_eq!(overflow.iter().map(|overflow| overflow.value.as_str()).collect::<Vec<_>>(), ["cents", "mean"]);
        }
    }
}
