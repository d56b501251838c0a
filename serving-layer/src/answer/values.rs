//! Merged values as JSON.

use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use shared_logic::catalog::Metric;
use shared_logic::measure::{MeasureKind, Ranked, Sketch, Value};
use utoipa::ToSchema;

use super::certainty::Bounds;

/// Values by their names, in the order of the catalog.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named<'a>(Vec<(&'a str, Shown)>);

/// A value as an answer shows it.
#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Number(Value),
    /// The most frequent values.
    Top(Vec<Ranked>),
}

/// All that an answer says of merged measures.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finalized<'a> {
    /// Measures and derived values. A distribution is left out: derived values say what is asked of it.
    pub(super) values: Named<'a>,
    /// Those that overflowed.
    pub(super) overflow: Vec<Overflow<'a>>,
    /// How certain sketches are.
    pub(super) bounds: Bounds<'a>,
}

/// A value that is null because it does not fit in 64 bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Overflow<'a> {
    /// The measure or derived value that is null.
    value: &'a str,
    reason: &'static str,
}

const SUM_OVERFLOW: &str = "the sum does not fit in 64 bits; ask for a shorter range or a finer key";
const DERIVED_OVERFLOW: &str = "it is derived from a sum that does not fit in 64 bits, or does not fit itself";

/// Measures and derived values in the order of the catalog.
pub(super) fn finalized<'a>(metric: &'a Metric, values: &[Value]) -> Finalized<'a> {
    let mut named = Vec::with_capacity(metric.measures.len() + metric.derived.len());
    let mut overflow = Vec::new();
    let mut put = |name: &'a str, value: Shown, reason| {
        if value == Shown::Number(Value::Overflow) {
            overflow.push(Overflow { value: name, reason });
        }
        named.push((name, value));
    };
    for (measure, value) in metric.measures.iter().zip(values) {
        if let Some(shown) = Shown::of(measure.kind, value) {
            put(&measure.name, shown, SUM_OVERFLOW);
        }
    }
    let value_of = |name: &str| {
        let at = metric.measures.iter().position(|measure| measure.name == name);
        at.and_then(|at| values.get(at)).cloned().unwrap_or(Value::Null)
    };
    for derived in &metric.derived {
        put(&derived.name, Shown::Number(derived.of.evaluate(&value_of)), DERIVED_OVERFLOW);
    }
    Finalized { values: Named(named), overflow, bounds: Bounds::of(metric, values) }
}

/// The names of all values, in the order of [`finalized`].
pub(super) fn value_names(metric: &Metric) -> impl Iterator<Item = &str> {
    let shown = metric.measures.iter().filter(|measure| !matches!(measure.kind, MeasureKind::Quantile));
    let derived = metric.derived.iter().map(|derived| derived.name.as_str());
    shown.map(|measure| measure.name.as_str()).chain(derived)
}

/// Measures only.
pub(super) fn measures<'a>(metric: &'a Metric, values: &[Value]) -> Named<'a> {
    let named = metric.measures.iter().zip(values);
    let shown = named.filter_map(|(measure, value)| Some((measure.name.as_str(), Shown::of(measure.kind, value)?)));
    Named(shown.collect())
}

impl Named<'_> {
    /// Each value as JSON, in their order.
    pub(super) fn to_json(&self) -> impl Iterator<Item = Json> {
        self.0.iter().map(|(_, shown)| serde_json::to_value(shown).expect("a value is plain data"))
    }
}

impl Shown {
    /// How the value of a measure is shown; `None` if it is not.
    fn of(kind: MeasureKind, value: &Value) -> Option<Shown> {
        match (kind, value.sketch()) {
            (MeasureKind::Quantile, _) => None,
            (MeasureKind::Top { n }, Some(Sketch::Top(frequent))) => Some(Shown::Top(frequent.ranked(n as usize))),
            _ => Some(Shown::Number(value.number().finalized())),
        }
    }
}

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|named| (named.0, &named.1)))
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Shown::Number(value) => Number(value).serialize(serializer),
            Shown::Top(ranked) => ranked.serialize(serializer),
        }
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
            // The number of a sketch is one of the others.
            Value::Null | Value::Overflow | Value::Sketch(_) => serializer.serialize_unit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared_logic::catalog::Catalog;
    use shared_logic::measure::Argument;

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
        let Finalized { values, overflow, bounds } = finalized(&metric, &counted);
        assert!(bounds.is_empty());
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
            assert_eq!(text(&Named(vec![("x", Shown::Number(value))])), json!({"x": json}).to_string());
        }
    }

    #[test]
    fn nothing_is_zero_or_null() {
        let metric = metric();
        let Finalized { values, overflow, .. } = finalized(&metric, &[Value::Int(0), Value::Int(0), Value::Null]);
        assert_eq!(text(&values), r#"{"sales":0,"cents":0,"heaviest":null,"mean":null}"#);
        assert_eq!(overflow, []);
    }

    #[test]
    fn an_overflow_is_null_with_a_reason() {
        let metric = metric();
        let wide = Value::Int(i128::from(i64::MAX) + 1);
        for value in [wide, Value::Overflow] {
            let Finalized { values, overflow, .. } = finalized(&metric, &[Value::Int(1), value, Value::Null]);
            assert_eq!(text(&values), r#"{"sales":1,"cents":null,"heaviest":null,"mean":null}"#);
            assert_eq!(overflow.iter().map(|overflow| overflow.value).collect::<Vec<_>>(), ["cents", "mean"]);
        }
    }

    fn of_visits() -> Metric {
        let catalog = Catalog::parse(
            r#"
[sources.visits]
event_time = "at"
[sources.visits.fields]
at = "timestamp"
page = "string"
ms = "int"
[metrics.visits]
source = "visits"
[metrics.visits.measures]
visits = "count()"
pages = "distinct(page, 128)"
latency = "quantile(ms)"
frequent = "top(page, 2)"
[metrics.visits.derived]
p50 = "quantile(latency, 0.5)"
visits_per_page = "visits / pages"
"#,
        );
        catalog.expect("a catalog").metrics["visits"].clone()
    }

    /// The measures of visits to pages of these numbers.
    fn visits(metric: &Metric, pages: impl Iterator<Item = i64>) -> Vec<Value> {
        let mut values: Vec<Value> = metric.measures.iter().map(|measure| measure.kind.identity()).collect();
        for number in pages {
            let page = format!("/{number}");
            for (measure, value) in metric.measures.iter().zip(&mut values) {
                let of = if measure.name == "latency" { Argument::Int(number) } else { Argument::Text(&page) };
                *value = measure.kind.merge(value.clone(), measure.kind.of_event(of));
            }
        }
        values
    }

    #[test]
    fn sketches_say_a_number_or_a_list_and_how_certain_it_is() {
        let metric = of_visits();
        let few = visits(&metric, [3, 3, 9].into_iter());
        let Finalized { values, bounds, overflow } = finalized(&metric, &few);
        let values: Json = serde_json::from_str(&text(&values)).expect("JSON");
        let top = json!([{"value": "/3", "count": 2, "at_most": 2}, {"value": "/9", "count": 1, "at_most": 1}]);
        assert_eq!(values["frequent"], top);
        assert_eq!(
            (&values["visits"], &values["pages"], &values["visits_per_page"]),
            (&json!(3), &json!(2), &json!(1.5))
        );
        assert_eq!(values.get("latency"), None, "it is no number");
        let names: Vec<&str> = values.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(value_names(&metric).collect::<Vec<_>>(), names);
        assert!(values["p50"].as_f64().is_some_and(|p50| (2.97..=3.03).contains(&p50)), "{values}");
        let expected = json!({
            "pages": {"low": 2, "high": 2, "exact": true}, "frequent": {"exact": true}, "p50": {"relative_error": 0.01}
        });
        assert_eq!(serde_json::to_value(&bounds).expect("plain data"), expected);
        assert_eq!(overflow, []);
    }

    #[test]
    fn sketches_of_many_values_say_what_they_are_at_least_and_at_most() {
        let metric = of_visits();
        let many = visits(&metric, (0..1_000).chain([7; 500]));
        let Finalized { values, bounds, .. } = finalized(&metric, &many);
        let values: Json = serde_json::from_str(&text(&values)).expect("JSON");
        let first = &values["frequent"][0];
        assert_eq!(first["value"], "/7");
        let [count, at_most] = ["count", "at_most"].map(|name| first[name].as_u64().expect("a number"));
        assert!(count < 501 && 501 <= at_most, "{first}");
        let bounds = serde_json::to_value(&bounds).expect("plain data");
        let of = |name: &str| bounds["pages"][name].as_i64().expect("a number");
        assert!(of("low") < 1_000 && 1_000 < of("high") && bounds["pages"]["exact"] == false, "{bounds}");
        assert_eq!(bounds["frequent"]["exact"], false);
    }

    #[test]
    fn sketches_of_nothing_say_zero_nothing_and_an_empty_list() {
        let metric = of_visits();
        let Finalized { values, .. } = finalized(&metric, &visits(&metric, std::iter::empty()));
        assert_eq!(text(&values), r#"{"visits":0,"pages":0,"frequent":[],"p50":null,"visits_per_page":null}"#);
    }
}
