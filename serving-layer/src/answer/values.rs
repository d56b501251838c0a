//! Merged values as JSON.

use serde::{Serialize, Serializer};
use shared_logic::catalog::Metric;
use shared_logic::measure::Value;

/// Values by their names, in the order of the catalog.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named<'a>(Vec<(&'a str, Value)>);

/// A value that is null because it does not fit in 64 bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Overflow<'a> {
    /// The name of the measure or derived value.
    value: &'a str,
    reason: &'static str,
}

const SUM_OVERFLOW: &str = "the sum does not fit in 64 bits; ask for a shorter range or a finer key";
const DERIVED_OVERFLOW: &str = "it is derived from a sum that does not fit in 64 bits, or does not fit itself";

/// Measures and derived values in the order of the catalog, and those of them that overflowed.
pub(super) fn finalized<'a>(metric: &'a Metric, values: &[Value]) -> (Named<'a>, Vec<Overflow<'a>>) {
    let mut named = Vec::with_capacity(metric.measures.len() + metric.derived.len());
    let mut overflow = Vec::new();
    let mut put = |name: &'a str, value: Value, reason| {
        if value == Value::Overflow {
            overflow.push(Overflow { value: name, reason });
        }
        named.push((name, value));
    };
    for (measure, value) in metric.measures.iter().zip(values) {
        put(&measure.name, value.clone().finalized(), SUM_OVERFLOW);
    }
    let value_of = |name: &str| {
        let at = metric.measures.iter().position(|measure| measure.name == name);
        at.and_then(|at| values.get(at)).cloned().unwrap_or(Value::Null)
    };
    for derived in &metric.derived {
        put(&derived.name, derived.of.evaluate(&value_of), DERIVED_OVERFLOW);
    }
    (Named(named), overflow)
}

/// Measures only.
pub(super) fn measures<'a>(metric: &'a Metric, values: &[Value]) -> Named<'a> {
    let named = metric.measures.iter().zip(values);
    Named(named.map(|(measure, value)| (measure.name.as_str(), value.clone().finalized())).collect())
}

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Number(value))))
    }
}

/// A value as JSON; null for nothing and for an overflow.
struct Number<'a>(&'a Value);

impl Serialize for Number<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Int(x) => match i64::try_from(*x) {
                Ok(x) => serializer.serialize_i64(x),
                Err(_) => serializer.serialize_unit(),
            },
            // Floats are finite, so each has a JSON form.
            Value::Float(x) => serializer.serialize_f64(*x),
            Value::Null | Value::Overflow => serializer.serialize_unit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};
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

    fn text(values: &Named<'_>) -> String {
        serde_json::to_string(values).expect("plain data")
    }

    #[test]
    fn integers_stay_integers_and_floats_floats() {
        let metric = metric();
        let counted = [Value::Int(4), Value::Int(10), Value::Float(2.0)];
        let (values, overflow) = finalized(&metric, &counted);
        assert_eq!(text(&values), r#"{"sales":4,"cents":10,"heaviest":2.0,"mean":2.5}"#);
        assert_eq!(text(&measures(&metric, &counted)), r#"{"sales":4,"cents":10,"heaviest":2.0}"#);
        assert_eq!(overflow, []);
    }

    #[test]
    fn every_value_is_written_as_its_json_is() {
        let ints = [i128::from(i64::MIN), -1, 0, i128::from(i64::MAX), i128::from(i64::MAX) + 1].map(Value::Int);
        let floats = [-1.5e308, 5e-324, 0.0, 0.1, 1e16, 1.0 / 3.0].map(Value::Float);
        for value in ints.into_iter().chain(floats).chain([Value::Null, Value::Overflow]) {
            let json: Json = value.to_json();
            assert_eq!(text(&Named(vec![("x", value)])), json!({"x": json}).to_string());
        }
    }

    #[test]
    fn nothing_is_zero_or_null() {
        let metric = metric();
        let (values, overflow) = finalized(&metric, &[Value::Int(0), Value::Int(0), Value::Null]);
        assert_eq!(text(&values), r#"{"sales":0,"cents":0,"heaviest":null,"mean":null}"#);
        assert_eq!(overflow, []);
    }

    #[test]
    fn an_overflow_is_null_with_a_reason() {
        let metric = metric();
        let wide = Value::Int(i128::from(i64::MAX) + 1);
        for value in [wide, Value::Overflow] {
            let (values, overflow) = finalized(&metric, &[Value::Int(1), value, Value::Null]);
            assert_eq!(text(&values), r#"{"sales":1,"cents":null,"heaviest":null,"mean":null}"#);
            assert_eq!(overflow.iter().map(|overflow| overflow.value).collect::<Vec<_>>(), ["cents", "mean"]);
        }
    }
}
