//! A metric → what its events add up to. The only place where events are grouped.
//!
//! It gives *partials*: one row per group key and bucket, with a cell per measure. There are two ways to them, for two sizes of
//! input. In both, Polars evaluates expressions, and [`measure`](crate::measure) says what values merge to; tests compare them.
//!
//! - [`Plan`]: one metric, for the events that a reconcile adds, and for a history. It groups by all of the `by` columns, in the
//!   order of the keys (`ordered`). In `view_rows`, its partials become rows of a batch view, and such rows are merged; `totals`
//!   gives what all keys of a bucket add up to. `in_sql` says the same as a query, which other machines may answer.
//! - [`SourcePlan`], in `pass`: all metrics of a source in one pass, for a micro-batch of some thousand events. It groups by every
//!   subset of the `by` columns.

pub mod in_sql;
mod ordered;
mod pass;
mod totals;
mod view_rows;

use std::collections::BTreeMap;
use std::mem;

use polars::prelude::*;

use self::ordered::Groups;
use crate::catalog::{Metric, Source};
use crate::group_key;
use crate::measure::{Arguments, MeasureKind, Value};
use crate::partial::BUCKET;
use crate::schema::FieldType;

pub use self::pass::{Counted, Encoded, SourcePlan};
pub use self::totals::{Total, Totals};

/// The column of a metric's condition.
const CONDITION: &str = "_condition";

/// A measure, its name, and what it is of: an expression and the type of that.
type MeasurePlan = (MeasureKind, String, Option<(Expr, FieldType)>);

/// One metric, compiled.
#[derive(Debug, Clone)]
pub struct Plan {
    source: Source,
    metric: Metric,
    filter: Option<Expr>,
    columns: Vec<String>,
    measures: Vec<MeasurePlan>,
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
                .map(|measure| {
                    let of = measure.of.as_ref().map(|of| (of.to_polars(), of.kind()));
                    (measure.kind, measure.name.clone(), of)
                })
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
    /// (null in a sum: overflow), float measures as `Float64`, sketches as the bytes of each. Where an event lacks a `by` column, that is
    /// null; its texts are shortened to what a group key may hold. Rows are in the order of the `by` columns and then of the buckets, absent values first.
    ///
    /// # Errors
    /// If a column is missing or has another type; no value of an event can cause one.
    pub fn partials(&self, events: LazyFrame) -> PolarsResult<DataFrame> {
        Ok(self.counted(events, None)?.partials)
    }

    /// Counts those of the events that are `wanted`; all of them where nothing is said.
    fn counted(&self, events: LazyFrame, wanted: Option<&[bool]>) -> PolarsResult<Grouped> {
        let rows = self.evaluated(events)?;
        let kept = self.kept(&rows, wanted)?;
        self.grouped(&rows, &self.metric.by, kept.as_deref(), |at, groups, values| {
            let (kind, _, of) = &self.measures[at];
            let of = match of {
                None => Arguments::None,
                Some((_, type_of)) => Arguments::of_column(rows.column(&argument(at))?, *type_of)?,
            };
            kind.fold(values, groups, &of);
            Ok(())
        })
    }

    /// Adds what is evaluated of each event alone: condition, arguments and bucket. Texts become those of group keys.
    fn evaluated(&self, events: LazyFrame) -> PolarsResult<DataFrame> {
        let time = col(self.source.event_time.as_str());
        let bucket = (time.clone() - time % lit(self.metric.grain_us)).alias(BUCKET);
        let condition = self.filter.clone().map(|filter| filter.alias(CONDITION));
        let arguments = self
            .measures
            .iter()
            .enumerate()
            .filter_map(|(at, (.., of))| of.clone().map(|(of, _)| of.alias(argument(at))));
        // All of these see the columns as they come, so a measure sees the whole text where a key is shortened.
        let columns = arguments.chain([bucket]).chain(self.key_texts()).chain(condition);
        events.with_columns(columns.collect::<Vec<_>>()).collect()
    }

    /// Which of the evaluated events are counted: those that are `wanted` and meet the condition; all of them where nothing is said.
    fn kept(&self, rows: &DataFrame, wanted: Option<&[bool]>) -> PolarsResult<Option<Vec<bool>>> {
        if self.filter.is_none() {
            return Ok(wanted.map(<[bool]>::to_vec));
        }
        // A condition that is null is not true.
        let mut kept: Vec<bool> = rows.column(CONDITION)?.bool()?.iter().map(|holds| holds == Some(true)).collect();
        if let Some(wanted) = wanted {
            kept.iter_mut().zip(wanted).for_each(|(kept, wanted)| *kept &= *wanted);
        }
        Ok(Some(kept))
    }

    /// Groups those rows that are `kept` by columns and by the bucket. `fold` merges the rows of a measure, which it is told by its
    /// number, into values of the groups; it is given the group of each row.
    fn grouped(
        &self,
        rows: &DataFrame,
        by: &[String],
        kept: Option<&[bool]>,
        fold: impl Fn(usize, &[u32], &mut [Value]) -> PolarsResult<()>,
    ) -> PolarsResult<Grouped> {
        let by: Vec<&str> = by.iter().map(String::as_str).chain([BUCKET]).collect();
        let Groups { of_rows, firsts } = Groups::of(rows, &by, kept)?;
        let groups = firsts.len();
        let mut keys = rows.select(&by)?;
        keys.rechunk_mut_par();
        let mut columns = keys.take(&IdxCa::from_vec("row".into(), firsts))?.into_columns();
        let mut parts = Vec::with_capacity(self.measures.len());
        for (at, (kind, name, _)) in self.measures.iter().enumerate() {
            let mut values = vec![kind.identity(); groups];
            fold(at, &of_rows, &mut values)?;
            columns.push(kind.column(name, &values));
            parts.push(parts_of(&values));
        }
        Ok(Grouped { partials: DataFrame::new(groups, columns)?, parts })
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
        Ok(self.merged(partials, &by)?.partials)
    }

    /// Merges partials by those keys.
    fn merged(&self, partials: &DataFrame, by: &[String]) -> PolarsResult<Grouped> {
        self.grouped(partials, by, None, |at, groups, values| {
            let (kind, name, _) = &self.measures[at];
            for (group, cell) in groups.iter().zip(kind.cells(partials.column(name)?)?) {
                let value = &mut values[*group as usize];
                *value = kind.merge(mem::replace(value, Value::Null), cell);
            }
            Ok(())
        })
    }
}

/// Partials in the order of their keys.
struct Grouped {
    /// The keys, and a column per measure.
    partials: DataFrame,
    /// Of each measure, the rows whose value does not fit into a cell, each with several integers that merge to it.
    parts: Vec<BTreeMap<usize, Vec<i64>>>,
}

/// The values that do not fit into a cell, by their rows; see [`Grouped`].
fn parts_of(values: &[Value]) -> BTreeMap<usize, Vec<i64>> {
    let parts = values.iter().map(Value::parts).enumerate();
    parts.filter(|(_, parts)| !parts.is_empty()).collect()
}

/// The column of a measure's argument.
fn argument(at: usize) -> String {
    format!("_{at}_of")
}

#[cfg(test)]
mod tests;
