//! The merge rule, the heart of Braid:
//!
//! ```text
//! answer(bucket) = batch(bucket)  ⊕  Σ speed(slice, bucket)   over every shard and every slice with begin >= cut
//! ```
//!
//! An event belongs to the batch view if its offset is below its partition's cut, and to the speed view otherwise.
//! [`crate::complete`] decides which slices count; this module merges their cells. The rule uses no clock and no event
//! time.

use crate::measure::{MeasureKind, Value};
use crate::time::{TimeRange, bucket_start};

/// Which layers contributed to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The batch view alone: the value is authoritative. Also where neither layer has anything.
    Batch,
    /// The speed view alone.
    Speed,
    /// Both.
    Both,
}

/// Merged values, and what each layer contributed.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// One merged value per measure.
    pub values: Vec<Value>,
    /// What the batch view contributed.
    pub batch: Vec<Value>,
    /// What the speed view contributed.
    pub speed: Vec<Value>,
    /// Which layers contributed.
    pub layer: Layer,
}

/// A cell of the batch view: bucket start in microseconds, one value per measure.
pub type BatchCell<'a> = (i64, &'a [Value]);
/// A cell of the speed view: bucket start in microseconds, measure, value.
pub type SpeedCell = (i64, usize, Value);

/// Merges every cell whose bucket lies in the range.
pub fn total<'a>(
    kinds: &[MeasureKind],
    batch: impl IntoIterator<Item = BatchCell<'a>>,
    speed: impl IntoIterator<Item = SpeedCell>,
    range: TimeRange,
) -> Merged {
    let mut totals = LayerTotals::new(kinds);
    for (bucket, values) in batch {
        if range.contains(bucket) {
            totals.add_batch(kinds, values);
        }
    }
    for (bucket, measure, value) in speed {
        if range.contains(bucket) {
            totals.add_speed(kinds, measure, value);
        }
    }
    totals.merged(kinds)
}

/// Merges every cell into the step that holds its bucket: one entry per step of the range, in order, empty ones included.
///
/// `range` must be whole steps, and steps whole buckets.
pub fn series<'a>(
    kinds: &[MeasureKind],
    batch: impl IntoIterator<Item = BatchCell<'a>>,
    speed: impl IntoIterator<Item = SpeedCell>,
    range: TimeRange,
    step_us: i64,
) -> Vec<(i64, Merged)> {
    let steps = usize::try_from((range.to_us - range.from_us) / step_us).unwrap_or(0);
    let mut totals = vec![LayerTotals::new(kinds); steps];
    let step_of = |bucket: i64| usize::try_from((bucket_start(bucket, step_us) - range.from_us) / step_us).unwrap_or(0);
    for (bucket, values) in batch {
        if range.contains(bucket) {
            totals[step_of(bucket)].add_batch(kinds, values);
        }
    }
    for (bucket, measure, value) in speed {
        if range.contains(bucket) {
            totals[step_of(bucket)].add_speed(kinds, measure, value);
        }
    }
    let start = |step: usize| range.from_us + step as i64 * step_us;
    totals.into_iter().enumerate().map(|(step, totals)| (start(step), totals.merged(kinds))).collect()
}

/// The two layers' values before they are merged.
#[derive(Clone)]
struct LayerTotals {
    batch: Vec<Value>,
    speed: Vec<Value>,
    has_batch: bool,
    has_speed: bool,
}

impl LayerTotals {
    fn new(kinds: &[MeasureKind]) -> LayerTotals {
        let nothing: Vec<Value> = kinds.iter().map(|kind| kind.identity()).collect();
        LayerTotals { batch: nothing.clone(), speed: nothing, has_batch: false, has_speed: false }
    }

    fn add_batch(&mut self, kinds: &[MeasureKind], values: &[Value]) {
        self.has_batch = true;
        for ((kind, sum), value) in kinds.iter().zip(&mut self.batch).zip(values) {
            *sum = kind.merge(sum.clone(), value.clone());
        }
    }

    fn add_speed(&mut self, kinds: &[MeasureKind], measure: usize, value: Value) {
        self.has_speed = true;
        let sum = &mut self.speed[measure];
        *sum = kinds[measure].merge(sum.clone(), value);
    }

    fn merged(self, kinds: &[MeasureKind]) -> Merged {
        let merged = kinds
            .iter()
            .zip(&self.batch)
            .zip(&self.speed)
            .map(|((kind, batch), speed)| kind.merge(batch.clone(), speed.clone()));
        let layer = match (self.has_batch, self.has_speed) {
            (true, true) => Layer::Both,
            (false, true) => Layer::Speed,
            (_, false) => Layer::Batch,
        };
        Merged { values: merged.collect(), batch: self.batch, speed: self.speed, layer }
    }
}

#[cfg(test)]
mod tests;
