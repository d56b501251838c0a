//! A metric → what its events add up to. The only place where events are grouped.
//!
//! It gives *partials*: one row per group key and bucket, with a cell per measure. There are two ways to them, for two sizes of
//! input. Both use what the catalog and [`measure`](crate::measure) say, and tests compare them.
//!
//! - [`Plan`]: one metric as a Polars plan, for the events that a reconcile adds, and for a history. It groups by all of the
//!   `by` columns. In `view_rows`, its partials become rows of a batch view, and such rows are merged; `totals` gives what all
//!   keys of a bucket add up to.
//! - [`SourcePlan`], in `pass`: all metrics of a source in one pass, for a micro-batch of some thousand events. It groups by every
//!   subset of the `by` columns.

mod pass;
mod totals;
mod view_rows;

use polars::prelude::*;

use crate::catalog::{Metric, Source};
use crate::group_key;
use crate::measure::MeasureKind;
use crate::partial::BUCKET;
use crate::schema::FieldType;

pub use self::pass::{Counted, Encoded, SourcePlan};
pub use self::totals::{Total, Totals};

/// One metric, compiled to a Polars plan.
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
        let mut columns: Vec<String> = [source.event_time.clone()].into();
        columns.extend(metric.by.iter().cloned());
        let used = metric.filter.iter().chain(metric.measures.iter().filter_map(|measure| measure.of.as_ref()));
        columns.extend(used.flat_map(|expression| expression.columns()).map(str::to_owned));
        columns.sort();
        columns.dedup();
        Plan {
            source: source.clone(),
            metric: metric.clone(),
            filter: metric.filter.as_ref().map(|filter| filter.to_polars()),
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

    /// Events → partials of the finest keys: the `by` columns, [`BUCKET`], and one column per measure named as in the catalog.
    ///
    /// `events` holds at least [`Plan::columns`], instants as integers of microseconds. Integer measures come as `Int64`
    /// (null in a sum: overflow), float measures as `Float64`. Where an event lacks a `by` column, that is null; its texts are
    /// shortened to what a group key may hold. Rows are in no order.
    ///
    /// # Errors
    /// If a column is missing or has another type; no value of an event can cause one.
    pub fn partials(&self, events: LazyFrame) -> PolarsResult<DataFrame> {
        self.finish(&self.aggregated(events)?, &self.metric.by)
    }

    /// The aggregations of every measure by the finest keys.
    fn aggregated(&self, events: LazyFrame) -> PolarsResult<DataFrame> {
        let kept = match &self.filter {
            Some(filter) => events.filter(filter.clone()),
            None => events,
        };
        let time = col(self.source.event_time.as_str());
        let bucket = (time.clone() - time % lit(self.metric.grain_us)).alias(BUCKET);
        // Arguments become columns before anything is grouped: inside groups, Polars gives constants the wrong length.
        let arguments =
            self.measures.iter().enumerate().filter_map(|(at, (.., of))| of.clone().map(|of| of.alias(argument(at))));
        // All of these see the columns as they come, so a measure sees the whole text where a key is shortened.
        let rows = kept.with_columns(arguments.chain([bucket]).chain(self.key_texts()).collect::<Vec<_>>());
        let measures = self.measures.iter().enumerate();
        let measures = measures.flat_map(|(at, (kind, ..))| kind.aggregate(col(argument(at)), &aggregated(at)));
        rows.group_by(keys(&self.metric.by)).agg(measures.collect::<Vec<_>>()).collect()
    }

    /// The `by` columns that hold texts, as they stand in group keys.
    fn key_texts(&self) -> impl Iterator<Item = Expr> {
        let is_text =
            move |name: &&String| self.source.field(name).is_some_and(|field| field.kind == FieldType::String);
        let texts = self.metric.by.iter().filter(is_text);
        texts.map(|name| col(name.as_str()).map(group_key::shorten, |_, field| Ok(field.clone())))
    }

    /// Partials → partials of fewer group-key columns: those of `by` that `kept` accepts. None of them gives the partials
    /// of everything together.
    ///
    /// # Errors
    /// As [`Plan::partials`].
    pub fn roll_up(&self, partials: &DataFrame, kept: impl Fn(usize) -> bool) -> PolarsResult<DataFrame> {
        let by: Vec<String> =
            self.metric.by.iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, name)| name.clone()).collect();
        self.finish(&self.merged(partials.clone().lazy(), &by)?, &by)
    }

    /// The aggregations of every measure of partials, by those keys.
    fn merged(&self, partials: LazyFrame, by: &[String]) -> PolarsResult<DataFrame> {
        let measures = self.measures.iter().enumerate();
        let measures = measures.flat_map(|(at, (kind, name, _))| kind.roll_up(col(name.as_str()), &aggregated(at)));
        partials.group_by(keys(by)).agg(measures.collect::<Vec<_>>()).collect()
    }

    /// Names the columns as the catalog does.
    fn finish(&self, frame: &DataFrame, by: &[String]) -> PolarsResult<DataFrame> {
        let keys = by.iter().map(String::as_str).chain([BUCKET]).map(|name| frame.column(name).cloned());
        let measures = self
            .measures
            .iter()
            .enumerate()
            .map(|(at, (kind, name, _))| Ok(kind.finish(frame, &aggregated(at))?.with_name(name.as_str().into())));
        DataFrame::new(frame.height(), keys.chain(measures).collect::<PolarsResult<Vec<Column>>>()?)
    }
}

/// What partials are grouped by.
fn keys(by: &[String]) -> Vec<Expr> {
    by.iter().map(|name| col(name.as_str())).chain([col(BUCKET)]).collect()
}

/// The columns of a measure's aggregation are named so, or begin so.
fn aggregated(at: usize) -> String {
    format!("_{at}")
}

/// The column of a measure's argument.
fn argument(at: usize) -> String {
    format!("_{at}_of")
}

#[cfg(test)]
mod tests;
