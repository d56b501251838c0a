//! How far the true value may lie from what a sketch says.

use serde::{Serialize, Serializer};
use shared_logic::catalog::Metric;
use shared_logic::measure::{Sketch, Value};

/// The bounds of measures that are sketches, and of derived values that are quantiles, in the order of the catalog.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bounds<'a>(Vec<(&'a str, Bound)>);

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

    pub(super) fn is_empty(&self) -> bool {
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

impl Serialize for Bounds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|bound| (bound.0, &bound.1)))
    }
}
