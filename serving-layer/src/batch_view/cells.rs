//! What a query reads from a batch view.

use shared_logic::catalog::Metric;
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::merge::BatchCell;
use shared_logic::time::Steps;

/// How far cells are merged while they are read. Merging is associative, so this changes no answer; it limits a query's memory
/// to its number of points, which is known beforehand only of a range without open ends: [`View::cells_up_to`](super::View::cells_up_to).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    /// Into one cell.
    Whole,
    /// Into one cell per step.
    Steps(Steps),
}

impl Fold {
    /// Whether all buckets of a day are merged into one cell.
    pub(super) fn takes_whole_days(self) -> bool {
        match self {
            Fold::Whole => true,
            Fold::Steps(steps) => steps.are_whole_days(),
        }
    }
}

/// Cells in the order of their buckets.
#[derive(Debug)]
pub(crate) struct Cells {
    kinds: Vec<MeasureKind>,
    fold: Fold,
    buckets: Vec<i64>,
    /// Where the last cell ends.
    until_us: i64,
    /// Row-major, one value per measure.
    values: Vec<Value>,
}

impl Cells {
    pub(crate) fn new(metric: &Metric, fold: Fold) -> Cells {
        let kinds = metric.measures.iter().map(|measure| measure.kind).collect();
        Cells { kinds, fold, buckets: Vec::new(), until_us: i64::MIN, values: Vec::new() }
    }

    /// Adds the values of one bucket, one per measure. Buckets have to come in order.
    pub(super) fn push(&mut self, bucket: i64, values: &[Value]) {
        if self.buckets.is_empty() || bucket >= self.until_us {
            self.until_us = match self.fold {
                Fold::Whole => i64::MAX,
                Fold::Steps(steps) => steps.end_of(bucket),
            };
            self.buckets.push(bucket);
            self.values.extend_from_slice(values);
            return;
        }
        let last = self.values.len() - self.kinds.len();
        for ((kind, sum), value) in self.kinds.iter().zip(&mut self.values[last..]).zip(values) {
            *sum = kind.merge(sum.clone(), value.clone());
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.buckets.len()
    }

    /// The buckets and their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = BatchCell<'_>> {
        self.buckets.iter().copied().zip(self.values.chunks(self.kinds.len()))
    }

    /// The first and the last bucket, or the first of those merged with it.
    pub(crate) fn extent(&self) -> Option<(i64, i64)> {
        Some((*self.buckets.first()?, *self.buckets.last()?))
    }
}
