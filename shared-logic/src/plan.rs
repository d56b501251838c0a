//! A metric → one Polars plan. The only place where anything is aggregated.
//!
//! The same plan runs on a micro-batch of some thousand events, on the hours that a reconcile recomputes, and on a
//! history. It gives *partials*: one row per group key and bucket, with a cell per measure.
//!
//! Integer sums are exact: each integer is split into two 32-bit halves whose sums cannot leave 64 bits below 2^31 rows,
//! and the halves are put together in 128 bits. A sum that leaves 64 bits is a null cell, which
//! [`cells`](crate::partial::cells) reads as an overflow; a float sum that is not finite says so itself.

use polars::prelude::*;

use crate::catalog::{Metric, Source};
use crate::group_key::MAX_KEY_BYTES;
use crate::measure::MeasureKind;
use crate::partial::{BUCKET, Partials, grouping_sets};
use crate::schema::FieldType;

/// One metric, compiled.
#[derive(Debug, Clone)]
pub struct Plan {
    source: Source,
    metric: Metric,
    filter: Option<Expr>,
    columns: Vec<String>,
    measures: Vec<(MeasureKind, String, Option<Expr>)>,
}

impl Plan {
    /// Compiles a metric of a checked catalog.
    pub fn new(source: &Source, metric: &Metric) -> Plan {
        let long = |name: &String| {
            let text = source.field(name).is_some_and(|field| field.kind == FieldType::String);
            text.then(|| col(name.as_str()).str().len_bytes().lt_eq(lit(MAX_KEY_BYTES as u32)))
        };
        // The decoder refuses such texts today; what was archived under an older catalog is judged here.
        let limits = source.grouped.iter().filter_map(long);
        let filter = metric.filter.iter().map(|filter| filter.to_polars()).chain(limits).reduce(Expr::and);
        let mut columns: Vec<String> = [source.event_time.clone()].into();
        columns.extend(metric.by.iter().cloned());
        columns.extend(source.grouped.iter().cloned());
        let used = metric.filter.iter().chain(metric.measures.iter().filter_map(|measure| measure.of.as_ref()));
        columns.extend(used.flat_map(|expression| expression.columns()).map(str::to_owned));
        columns.sort();
        columns.dedup();
        Plan {
            source: source.clone(),
            metric: metric.clone(),
            filter,
            columns,
            measures: metric
                .measures
                .iter()
                .map(|measure| (measure.kind, measure.name.clone(), measure.of.as_ref().map(|of| of.to_polars())))
                .collect(),
        }
    }

    /// The fields of the source that the plan reads, sorted.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Events → the partials of every grouping set of the metric's `by` columns.
    ///
    /// # Errors
    /// As [`Plan::partials`].
    pub fn run(&self, events: LazyFrame) -> PolarsResult<Partials> {
        let Plan { source, metric, .. } = self;
        let finest = self.partials(events)?;
        let mut partials = Partials::of_frame(source, metric, &finest, |_| true)?;
        for set in grouping_sets(metric.by.len()).skip(1) {
            let kept = |column: usize| set & (1 << column) != 0;
            let rolled_up = self.rolled_up(&finest, kept)?;
            partials.append(Partials::of_frame(source, metric, &rolled_up, kept)?);
        }
        Ok(partials)
    }

    /// Events → partials of the finest keys: the `by` columns, [`BUCKET`], and one column per measure named as in the catalog.
    ///
    /// `events` holds at least [`Plan::columns`], instants as integers of microseconds. Integer measures come as `Int64`
    /// (null in a sum: overflow), float measures as `Float64`. Rows are in no order.
    ///
    /// # Errors
    /// If a column is missing or has another type; no value of an event can cause one.
    pub fn partials(&self, events: LazyFrame) -> PolarsResult<DataFrame> {
        let kept = match &self.filter {
            Some(filter) => events.filter(filter.clone()),
            None => events,
        };
        let time = col(self.source.event_time.as_str());
        let bucket = (time.clone() - time % lit(self.metric.grain_us)).alias(BUCKET);
        // Operands become columns before anything is grouped: inside groups, Polars gives constants the wrong length.
        let operands =
            self.measures.iter().enumerate().filter_map(|(at, (.., of))| of.clone().map(|of| of.alias(operand(at))));
        let rows = kept.with_columns(operands.chain([bucket]).collect::<Vec<_>>());
        let keys: Vec<Expr> = self.metric.by.iter().map(|name| col(name.as_str())).chain([col(BUCKET)]).collect();
        let measures = self.measures.iter().enumerate().flat_map(|(at, (kind, ..))| fold(*kind, col(operand(at)), at));
        self.present(rows.group_by(keys).agg(measures.collect::<Vec<_>>()).collect()?, &self.metric.by)
    }

    /// Partials → partials of fewer group-key columns: those of `by` that `kept` accepts. None of them gives the partials
    /// of everything together.
    ///
    /// # Errors
    /// As [`Plan::partials`].
    pub fn rolled_up(&self, partials: &DataFrame, kept: impl Fn(usize) -> bool) -> PolarsResult<DataFrame> {
        let by: Vec<String> =
            self.metric.by.iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, name)| name.clone()).collect();
        let keys: Vec<Expr> = by.iter().map(|name| col(name.as_str())).chain([col(BUCKET)]).collect();
        let measures = self.measures.iter().enumerate().flat_map(|(at, (kind, name, _))| again(*kind, name, at));
        self.present(partials.clone().lazy().group_by(keys).agg(measures.collect::<Vec<_>>()).collect()?, &by)
    }

    /// Puts the halves of sums together and names the columns.
    fn present(&self, frame: DataFrame, by: &[String]) -> PolarsResult<DataFrame> {
        let mut columns: Vec<Column> = by
            .iter()
            .map(String::as_str)
            .chain([BUCKET])
            .map(|name| frame.column(name).cloned())
            .collect::<Result<_, _>>()?;
        for (at, (kind, name, _)) in self.measures.iter().enumerate() {
            let column = match kind {
                MeasureKind::SumInt => joined(frame.column(&high(at))?, frame.column(&low(at))?)?,
                MeasureKind::Count => frame.column(&low(at))?.cast(&DataType::Int64)?,
                _ => frame.column(&low(at))?.clone(),
            };
            columns.push(column.with_name(name.as_str().into()));
        }
        DataFrame::new(frame.height(), columns)
    }
}

const HALF: i64 = 1 << 32;

fn high(at: usize) -> String {
    format!("_{at}_high")
}

fn low(at: usize) -> String {
    format!("_{at}")
}

/// The column of what a measure aggregates.
fn operand(at: usize) -> String {
    format!("_{at}_of")
}

/// The aggregation of partials for one measure. A null sum is an overflow and stays one: its group becomes null.
fn again(kind: MeasureKind, name: &str, at: usize) -> Vec<Expr> {
    let of = col(name);
    match kind {
        // Counts of events that exist cannot leave 64 bits.
        MeasureKind::Count => vec![of.sum().alias(low(at))],
        MeasureKind::SumInt => {
            let nothing = lit(NULL).cast(DataType::Int64);
            let [high_half, low_half] = halves(of.clone());
            let high_sum = when(of.is_null().any(true)).then(nothing).otherwise(high_half.sum());
            vec![high_sum.alias(high(at)), low_half.sum().alias(low(at))]
        }
        _ => fold(kind, of, at),
    }
}

/// The aggregation of a column for one measure.
fn fold(kind: MeasureKind, of: Expr, at: usize) -> Vec<Expr> {
    match kind {
        MeasureKind::Count => vec![len().alias(low(at))],
        MeasureKind::SumInt => {
            let [high_half, low_half] = halves(of);
            vec![high_half.sum().alias(high(at)), low_half.sum().alias(low(at))]
        }
        MeasureKind::SumFloat => vec![of.sum().alias(low(at))],
        MeasureKind::MinInt | MeasureKind::MinFloat => vec![of.min().alias(low(at))],
        MeasureKind::MaxInt | MeasureKind::MaxFloat => vec![of.max().alias(low(at))],
    }
}

/// An integer as `high · 2^32 + low`; exact whatever the sign of a remainder is.
fn halves(of: Expr) -> [Expr; 2] {
    let low = of.clone() % lit(HALF);
    [(of - low.clone()) / lit(HALF), low]
}

/// `high · 2^32 + low`, null where it leaves 64 bits.
fn joined(high: &Column, low: &Column) -> PolarsResult<Column> {
    let joined: Int64Chunked = high
        .i64()?
        .iter()
        .zip(low.i64()?.iter())
        .map(|(high, low)| i64::try_from(i128::from(high?) * i128::from(HALF) + i128::from(low?)).ok())
        .collect();
    Ok(joined.into_series().into())
}

#[cfg(test)]
mod tests;
