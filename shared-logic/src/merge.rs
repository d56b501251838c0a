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
use crate::time::TimeRange;

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

/// Merges every cell into the step that holds its bucket: one entry per step, in order, empty ones included.
///
/// `boundaries` are the instants between steps, ascending, and one more than there are steps. Steps must be whole buckets.
pub fn series<'a>(
    kinds: &[MeasureKind],
    batch: impl IntoIterator<Item = BatchCell<'a>>,
    speed: impl IntoIterator<Item = SpeedCell>,
    boundaries: &[i64],
) -> Vec<Merged> {
    steps(kinds, batch, speed, boundaries).into_iter().map(|totals| totals.merged(kinds)).collect()
}

/// The same of sliding windows of so many steps: one entry for each window that lies within the steps, in the order of their ends.
pub fn sliding<'a>(
    kinds: &[MeasureKind],
    batch: impl IntoIterator<Item = BatchCell<'a>>,
    speed: impl IntoIterator<Item = SpeedCell>,
    boundaries: &[i64],
    window: usize,
) -> Vec<Merged> {
    let totals = windows(kinds, steps(kinds, batch, speed, boundaries), window.max(1));
    totals.into_iter().map(|totals| totals.merged(kinds)).collect()
}

fn steps<'a>(
    kinds: &[MeasureKind],
    batch: impl IntoIterator<Item = BatchCell<'a>>,
    speed: impl IntoIterator<Item = SpeedCell>,
    boundaries: &[i64],
) -> Vec<LayerTotals> {
    let mut totals = vec![LayerTotals::new(kinds); boundaries.len().saturating_sub(1)];
    // The number of boundaries at or before the bucket, less one, is the number of its step.
    let step_of = |bucket: i64| boundaries.partition_point(|boundary| *boundary <= bucket).checked_sub(1);
    for (bucket, values) in batch {
        if let Some(totals) = step_of(bucket).and_then(|step| totals.get_mut(step)) {
            totals.add_batch(kinds, values);
        }
    }
    for (bucket, measure, value) in speed {
        if let Some(totals) = step_of(bucket).and_then(|step| totals.get_mut(step)) {
            totals.add_speed(kinds, measure, value);
        }
    }
    totals
}

/// Merges each `window` consecutive steps. Nothing can be taken out of a merged value again, so each window is put together of the end
/// of one block of so many steps, and the begin of the next: about three merges for each step, however wide windows are.
fn windows(kinds: &[MeasureKind], steps: Vec<LayerTotals>, window: usize) -> Vec<LayerTotals> {
    if window == 1 {
        return steps;
    }
    let mut begins = steps.clone();
    for at in 1..begins.len() {
        if !at.is_multiple_of(window) {
            begins[at] = begins[at - 1].clone().and(kinds, &steps[at]);
        }
    }
    let mut ends = steps;
    for at in (0..ends.len().saturating_sub(1)).rev() {
        if !(at + 1).is_multiple_of(window) {
            ends[at] = ends[at].clone().and(kinds, &ends[at + 1]);
        }
    }
    let last = begins.into_iter().enumerate().skip(window - 1);
    let of_window = |(last, begin): (usize, LayerTotals)| {
        let first = last + 1 - window;
        // Otherwise the window is a block.
        if first.is_multiple_of(window) { begin } else { ends[first].clone().and(kinds, &begin) }
    };
    last.map(of_window).collect()
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

    /// With what comes behind.
    fn and(mut self, kinds: &[MeasureKind], later: &LayerTotals) -> LayerTotals {
        let layers = [(&mut self.batch, &later.batch), (&mut self.speed, &later.speed)];
        for (sums, values) in layers {
            for ((kind, sum), value) in kinds.iter().zip(sums).zip(values) {
                *sum = kind.merge(sum.clone(), value.clone());
            }
        }
        self.has_batch |= later.has_batch;
        self.has_speed |= later.has_speed;
        self
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
