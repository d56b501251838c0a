//! The body of an answer, as far as a person is told it. `/docs` says what its members mean.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Number, Value};

use crate::serving::Gap;

/// An answer to `total`, which has values, or to `series`, which has points.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) metric: String,
    pub(super) key: Map<String, Value>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) grain: String,
    pub(super) step: Option<String>,
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
}

/// One step of a series.
#[derive(Debug, Deserialize)]
pub(super) struct Point {
    pub(super) start: String,
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
    pub(super) values: Map<String, Value>,
    pub(super) version: Option<u64>,
    pub(super) committed_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SpeedPart {
    pub(super) values: Map<String, Value>,
    pub(super) lag_ms: Option<u64>,
}

impl Answer {
    /// The names of the values in the order of the catalog. A series without points only tells the measures'.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let of_series = self.points.as_ref().map(|points| match points.first() {
            Some(point) => &point.values,
            None => &self.provenance.batch.values,
        });
        of_series.unwrap_or(&self.values).keys().map(String::as_str)
    }
}
