//! A plan as SQL, for DataFusion 55 on other machines, and what its answers say.
//!
//! Two queries are written: events → partials ([`InSql::of_events`]), which counts as [`Plan::view_rows`] does, copies removed
//! before; and rows of a view → one row for each key ([`InSql::of_rows`]), which merges as [`Plan::merge_rows`] does. A result is
//! grouped and sorted, and may come in any number of pieces that end between two rows. It is made rows of a view here
//! ([`InSql::rows`], [`InSql::rows_of_period`]), so that it is this crate that judges what leaves 64 bits.
//!
//! - `events`, `rows`: the queries;
//! - `cell`: how a measure stands in a result.
//!
//! Queries call [`SQL_FUNCTIONS`] and the registered functions of expressions, [`REGISTRY`](crate::expression::functions::REGISTRY).
//! A sketch has no law in SQL, so a metric with one is [`Refused`].

mod cell;
mod events;
mod rows;

use std::collections::BTreeSet;

use polars::prelude::*;

use self::cell::Cell;
use super::{Grouped, Plan, parts_of};
use crate::expression::{Expression, quoted};
use crate::log::OffsetRange;
use crate::measure::MeasureKind;
use crate::partial::BUCKET;
use crate::schema::FieldType;

pub use crate::expression::functions::IN_SQL as SQL_FUNCTIONS;

/// The levels of the deepest expression that is written. A message of a plan has two levels for each of them, and about thirty
/// around it; whoever reads it refuses one of more than a hundred.
const LEVELS_MAX: usize = 24;
const TOO_DEEP: &str = "is nested too deeply for a plan that is sent to other machines";

/// Why a metric cannot be counted in SQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// For a measure.
    #[error("the measure `{measure}` {why}")]
    Measure {
        /// Its name.
        measure: String,
        /// What about it.
        why: &'static str,
    },
    /// For the metric's condition.
    #[error("the condition `where` {0}")]
    Condition(&'static str),
}

/// A table with events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTable {
    /// The table's name in the query.
    pub name: String,
    /// Columns of the table, each with the field that it holds. A field that is not named is in the column of its name.
    pub columns: Vec<(PlSmallStr, String)>,
}

/// The columns of a record that a query reads. They are the archive's, in each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordColumns {
    /// The log's id, a text.
    pub log: &'static str,
    /// The partition's number.
    pub partition: &'static str,
    /// The offset.
    pub offset: &'static str,
    /// Why the record is no event: a text, or null if it is one.
    pub error: &'static str,
}

/// Which events are counted.
#[derive(Debug, Clone, Copy)]
pub struct EventsInSql<'a> {
    /// Where they are: tables of the archive, or of what is decoded of it; at least one.
    pub tables: &'a [EventTable],
    /// The columns of a record in these.
    pub record: RecordColumns,
    /// The logs, in the order in which the archive first saw them.
    pub logs: &'a [String],
    /// Where their records lie.
    pub ranges: &'a [OffsetRange],
    /// When they happened: the starts of pieces of event time, microseconds since 1970, and how long each is; `None`: at any time.
    pub times: Option<(&'a BTreeSet<i64>, i64)>,
}

/// A plan that can be said in SQL.
#[derive(Debug, Clone, Copy)]
pub struct InSql<'p> {
    plan: &'p Plan,
}

impl Plan {
    /// The plan in SQL.
    ///
    /// # Errors
    /// What cannot be said in SQL: a sketch, or an expression that is nested too deeply. The first one only.
    pub fn in_sql(&self) -> Result<InSql<'_>, Refused> {
        for measure in &self.metric.measures {
            let why = match measure.kind {
                MeasureKind::Distinct { .. } => Some("is a sketch (`distinct`), which SQL does not merge"),
                MeasureKind::Quantile => Some("is a sketch (`quantile`), which SQL does not merge"),
                MeasureKind::Top { .. } => Some("is a sketch (`top`), which SQL does not merge"),
                _ => measure.of.as_ref().is_some_and(is_too_deep).then_some(TOO_DEEP),
            };
            if let Some(why) = why {
                return Err(Refused::Measure { measure: measure.name.clone(), why });
            }
        }
        if self.metric.filter.as_ref().is_some_and(is_too_deep) {
            return Err(Refused::Condition(TOO_DEEP));
        }
        Ok(InSql { plan: self })
    }
}

impl InSql<'_> {
    /// The columns of the result of [`InSql::of_events`], in their order, and the types of their values. An instant is an integer of
    /// microseconds.
    pub fn columns(&self) -> Vec<(String, FieldType)> {
        let bucket = (BUCKET.to_owned(), FieldType::Timestamp);
        let cells = self.cells(Cell::of_events);
        self.keys().chain([bucket]).chain(cells.iter().flat_map(Cell::columns)).collect()
    }

    /// The same of [`InSql::of_rows`].
    pub fn columns_of_rows(&self) -> Vec<(String, FieldType)> {
        let cells = self.cells(Cell::of_rows);
        self.keys().chain(cells.iter().flat_map(Cell::columns)).collect()
    }

    /// A result of [`InSql::of_events`], or a piece of it → rows of a batch view: the columns and the order of
    /// [`Plan::view_rows`].
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub fn rows(&self, result: DataFrame) -> PolarsResult<DataFrame> {
        let bucket = column(&result, BUCKET, FieldType::Timestamp)?;
        self.in_rows(&result, bucket, &self.cells(Cell::of_events))
    }

    /// A result of [`InSql::of_rows`], or a piece of it → the same rows, each in the bucket that begins then, as
    /// [`Plan::merge_rows`] gives them.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub fn rows_of_period(&self, result: DataFrame, from_us: i64) -> PolarsResult<DataFrame> {
        let bucket = Column::new(BUCKET.into(), vec![from_us; result.height()]);
        self.in_rows(&result, bucket, &self.cells(Cell::of_rows))
    }

    fn in_rows(&self, result: &DataFrame, bucket: Column, cells: &[Cell<'_>]) -> PolarsResult<DataFrame> {
        let keys = self.keys().map(|(name, kind)| column(result, &name, kind));
        let mut columns = keys.collect::<PolarsResult<Vec<Column>>>()?;
        columns.push(bucket);
        let mut parts = Vec::with_capacity(cells.len());
        for cell in cells {
            let values = cell.values(result)?;
            columns.push(cell.kind.column(cell.name, &values));
            parts.push(parts_of(&values));
        }
        self.plan.in_parts(Grouped { partials: DataFrame::new(result.height(), columns)?, parts })
    }

    /// The `by` columns and their types.
    fn keys(&self) -> impl Iterator<Item = (String, FieldType)> {
        let Plan { source, metric, .. } = self.plan;
        metric.by.iter().filter_map(move |name| Some((name.clone(), source.field(name)?.kind)))
    }

    fn cells<'a>(&'a self, cell: fn(MeasureKind, &'a str) -> Cell<'a>) -> Vec<Cell<'a>> {
        self.plan.metric.measures.iter().map(|measure| cell(measure.kind, &measure.name)).collect()
    }

    /// The columns that a result is sorted by.
    fn sorted_by(&self, bucket: Option<&str>) -> String {
        let by = self.plan.metric.by.iter().map(String::as_str).chain(bucket);
        by.map(|name| format!("{} ASC NULLS FIRST", quoted(name))).collect::<Vec<_>>().join(", ")
    }
}

fn is_too_deep(of: &Expression) -> bool {
    of.levels_in_sql() > LEVELS_MAX
}

/// A column of a result, whose values are of that type.
fn column(result: &DataFrame, name: &str, kind: FieldType) -> PolarsResult<Column> {
    let (column, expected) = (result.column(name)?, kind.column_type());
    if *column.dtype() != expected {
        let what = format!("column `{name}` of a query's result holds {}, not {expected}", column.dtype());
        return Err(PolarsError::SchemaMismatch(what.into()));
    }
    Ok(column.clone())
}

#[cfg(test)]
mod tests;
