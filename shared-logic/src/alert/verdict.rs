//! Whether a condition holds.

use serde_json::{Map, Value as Json};

use crate::catalog::{Alert, BEFORE, Metric};
use crate::expression::Scalar;
use crate::measure::Value;

/// What merged values say of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is true.
    Holds,
    /// It is not: it is false, or says nothing, as where a mean of no events is compared.
    Fails,
    /// It cannot be known, for this reason.
    Unknown(String),
}

/// Judges the condition of an alert on the merged measures of its windows, the newest and the earlier one, each in the order of the
/// metric's measures; and gives the values that it looks at, by the names that the condition has for them.
pub fn verdict(
    alert: &Alert,
    metric: &Metric,
    newest: &[Value],
    before: Option<&[Value]>,
) -> (Verdict, Map<String, Json>) {
    let value_of = |name: &str| match name.strip_prefix(BEFORE) {
        Some(name) => before.map_or(Value::Null, |before| named(metric, before, name)),
        None => named(metric, newest, name),
    };
    let looked_at = alert.when.columns().into_iter();
    let looked_at = looked_at.map(|name| (name.to_owned(), value_of(name).number().finalized().to_json())).collect();
    let verdict = match alert.when.judge(&value_of) {
        Scalar::Bool(true) => Verdict::Holds,
        Scalar::Overflow => Verdict::Unknown("a sum that the condition needs does not fit in 64 bits".to_owned()),
        _ => Verdict::Fails,
    };
    (verdict, looked_at)
}

/// A measure or a derived value by its name.
fn named(metric: &Metric, measures: &[Value], name: &str) -> Value {
    let measure = |name: &str| {
        let at = metric.measures.iter().position(|measure| measure.name == name);
        at.and_then(|at| measures.get(at)).cloned()
    };
    if let Some(value) = measure(name) {
        return value;
    }
    let derived = metric.derived.iter().find(|derived| derived.name == name);
    derived.map_or(Value::Null, |derived| derived.of.evaluate(&|name| measure(name).unwrap_or(Value::Null)))
}
