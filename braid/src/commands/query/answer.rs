//! The body of an answer, as far as a person is told it. `/docs` says what its members mean.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Number, Value};

use crate::serving::Gap;

/// An answer to `total`, which has values, or to `series`, which has points. One about several keys has these in `keys`.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) metric: String,
    #[serde(default)]
    pub(super) key: Map<String, Value>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) grain: String,
    pub(super) step: Option<String>,
    pub(super) tz: Option<String>,
    pub(super) window: Option<String>,
    #[serde(default)]
    pub(super) values: Map<String, Value>,
    #[serde(default)]
    pub(super) overflow: Vec<Overflow>,
    /// Of values that come from sketches, by name.
    #[serde(default)]
    pub(super) bounds: BTreeMap<String, Bound>,
    pub(super) complete: bool,
    pub(super) gaps: Vec<Gap>,
    pub(super) authoritative: bool,
    pub(super) as_of: Option<String>,
    pub(super) provenance: Provenance,
    pub(super) points: Option<Vec<Point>>,
    pub(super) keys: Option<Vec<OfKey>>,
}

/// What an answer to several keys says of one.
#[derive(Debug, Deserialize)]
pub(super) struct OfKey {
    pub(super) key: Map<String, Value>,
    #[serde(default)]
    pub(super) values: Map<String, Value>,
    #[serde(default)]
    pub(super) overflow: Vec<Overflow>,
    #[serde(default)]
    pub(super) bounds: BTreeMap<String, Bound>,
    pub(super) authoritative: bool,
    pub(super) provenance: Provenance,
    pub(super) points: Option<Vec<Point>>,
}

/// One step of a series, or a window that ends with it.
#[derive(Debug, Deserialize)]
pub(super) struct Point {
    pub(super) start: String,
    /// Only if a zone or a window was asked for.
    pub(super) end: Option<String>,
    pub(super) values: Map<String, Value>,
    pub(super) layer: String,
    #[serde(default)]
    pub(super) overflow: Vec<Overflow>,
}

/// A value that is null because it does not fit in 64 bits.
#[derive(Debug, Deserialize)]
pub(super) struct Overflow {
    pub(super) value: String,
    pub(super) reason: String,
}

/// How certain a value is. A sketch says what concerns it.
#[derive(Debug, Deserialize)]
pub(super) struct Bound {
    pub(super) low: Option<Number>,
    pub(super) high: Option<Number>,
    pub(super) exact: Option<bool>,
    pub(super) relative_error: Option<f64>,
}

/// What each view contributed.
#[derive(Debug, Deserialize)]
pub(super) struct Provenance {
    pub(super) batch: BatchPart,
    pub(super) speed: SpeedPart,
}

#[derive(Debug, Deserialize)]
pub(super) struct BatchPart {
    #[serde(default)]
    pub(super) values: Map<String, Value>,
    pub(super) version: Option<u64>,
    pub(super) committed_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SpeedPart {
    #[serde(default)]
    pub(super) values: Map<String, Value>,
    pub(super) lag_ms: Option<u64>,
}

impl Answer {
    /// The names of the values in the order of the catalog. A series without points only tells the measures'.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let of_one = || values_of(&self.values, self.points.as_deref(), &self.provenance);
        let values = self.keys.as_deref().map_or_else(of_one, |keys| {
            let with_points =
                keys.iter().find(|of_key| of_key.points.as_ref().is_some_and(|points| !points.is_empty()));
            with_points.or(keys.first()).map_or(&self.values, OfKey::any_values)
        });
        values.keys().map(String::as_str)
    }

    /// The columns of the keys, if several were asked for.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().flatten().take(1).flat_map(|of_key| of_key.key.keys().map(String::as_str))
    }

    /// Every point, of whatever key.
    pub(super) fn all_points(&self) -> impl Iterator<Item = &Point> {
        let of_keys = self.keys.iter().flatten().flat_map(|of_key| of_key.points.iter().flatten());
        self.points.iter().flatten().chain(of_keys)
    }

    /// Whether it is a series.
    pub(super) fn is_series(&self) -> bool {
        self.step.is_some()
    }

    /// Whether points say where they end.
    pub(super) fn says_ends(&self) -> bool {
        self.tz.is_some() || self.window.is_some()
    }
}

impl OfKey {
    fn any_values(&self) -> &Map<String, Value> {
        values_of(&self.values, self.points.as_deref(), &self.provenance)
    }
}

/// Values that have all names.
fn values_of<'a>(
    values: &'a Map<String, Value>,
    points: Option<&'a [Point]>,
    provenance: &'a Provenance,
) -> &'a Map<String, Value> {
    match points {
        None => values,
        Some([point, ..]) => &point.values,
        Some([]) => &provenance.batch.values,
    }
}
