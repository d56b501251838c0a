//! `[metrics.…]`: named aggregations.

use crate::expression::Expression;
use crate::measure::MeasureKind;

/// The largest number of group-key columns. There is a limit because every subset of them is counted.
pub const MAX_BY: usize = 4;

/// A named aggregation over one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The metric's name, the key of its table in the catalog.
    pub name: String,
    /// The name of its source.
    pub source: String,
    /// Which events count (a null result excludes the event); `None` means all.
    pub filter: Option<Expression>,
    /// The group key's columns, in order: fields that are not floats. At most [`MAX_BY`]. An optional one may be absent, which
    /// is a key of its own.
    pub by: Vec<String>,
    /// The width of a bucket in microseconds; divides a day.
    pub grain_us: i64,
    /// How long its batch view keeps a day: microseconds, at least a day. `None`: for good.
    pub retain_us: Option<i64>,
    /// What is kept per group key and bucket, in the order of the file; at least one.
    pub measures: Vec<Measure>,
    /// Values computed from merged measures, in the order of the file.
    pub derived: Vec<Derived>,
}

impl Metric {
    /// For how many partials of numbers one of its partials counts, where the memory of many is bounded.
    pub fn weight(&self) -> usize {
        1 + self.measures.iter().map(|measure| measure.kind.weight()).sum::<usize>()
    }
}

/// One column of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The measure's name.
    pub name: String,
    /// How partial values merge, and in which type.
    pub kind: MeasureKind,
    /// What is aggregated, a row-wise expression of a type that the measure takes; `None` only for `count()`.
    pub of: Option<Expression>,
}

/// A value computed from merged measures, never merged itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// The value's name.
    pub name: String,
    /// An expression over the metric's measures.
    pub of: Expression,
}
