//! A partial: the measures of one (metric, group key, bucket).
//!
//! Every subset of the group-key columns is counted like any other key (grouping sets), so a query that leaves a column
//! out costs what any query costs.

use std::sync::Arc;

use polars::prelude::{DataFrame, PolarsResult};

use crate::catalog::{Metric, Source};
use crate::group_key::GroupKey;
use crate::measure::Value;

/// The column of a partial's bucket: its start in microseconds since 1970.
pub const BUCKET: &str = "_bucket";

/// What a partial is about: its group key, and its bucket's start in microseconds.
pub(crate) type Group = (GroupKey, i64);

/// The partials of one metric over some events: one row per group key of every grouping set, and bucket.
#[derive(Debug)]
pub struct Partials {
    /// What rows are about. Metrics that were counted together share it, so a key is written once for all of them.
    groups: Arc<[Group]>,
    /// The group of each row.
    rows: Vec<u32>,
    /// Row-major, one value per measure. What is made of partials shares them.
    values: Arc<Vec<Value>>,
    measures: usize,
}

impl Partials {
    /// The rows of one frame of partials, whose `by` columns are those that `kept` accepts.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub fn of_frame(
        source: &Source,
        metric: &Metric,
        frame: &DataFrame,
        kept: impl Fn(usize) -> bool,
    ) -> PolarsResult<Partials> {
        let rows = frame.height();
        let columns = metric.by.iter().enumerate().map(|(at, name)| {
            let Some(field) = source.field(name).filter(|_| kept(at)) else { return Ok(None) };
            Ok(Some((frame.column(name)?, field.kind)))
        });
        let keys = GroupKey::of_columns(rows, &columns.collect::<PolarsResult<Vec<_>>>()?)?;
        let buckets = frame.column(BUCKET)?.i64()?.iter().map(Option::unwrap_or_default);
        let groups = keys.into_iter().zip(buckets).collect();
        let measures = metric.measures.len();
        let mut values = vec![Value::Null; rows * measures];
        for (at, measure) in metric.measures.iter().enumerate() {
            for (row, value) in measure.kind.cells(frame.column(&measure.name)?)?.into_iter().enumerate() {
                values[row * measures + at] = value;
            }
        }
        Ok(Partials { groups, rows: (0..).take(rows).collect(), values: Arc::new(values), measures })
    }

    /// A row for each of those groups, whose values come in the same order, one per measure.
    pub(crate) fn new(groups: Arc<[Group]>, rows: Vec<u32>, values: Vec<Value>, measures: usize) -> Partials {
        Partials { groups, rows, values: Arc::new(values), measures }
    }

    /// The values of all rows, one behind the other.
    pub(crate) fn values(&self) -> Arc<Vec<Value>> {
        Arc::clone(&self.values)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Every row: group key, bucket start in microseconds, one value per measure.
    pub fn rows(&self) -> impl Iterator<Item = (&GroupKey, i64, &[Value])> {
        let groups = self.rows.iter().map(|group| &self.groups[*group as usize]);
        groups.zip(self.values.chunks(self.measures)).map(|((key, bucket), values)| (key, *bucket, values))
    }
}

/// Every subset of `columns` group-key columns as a bit mask, the full set first and the empty one last.
pub fn grouping_sets(columns: usize) -> impl Iterator<Item = u32> {
    (0..1_u32 << columns).rev()
}

#[cfg(test)]
mod tests;
