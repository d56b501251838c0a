//! A partial: the measures of one (metric, group key, bucket).
//!
//! A group key is written as a JSON array of its columns' values, in the order of the metric's `by`. A column that is
//! summed over is `null`, and where all are, the key is `[]`: everything together. Every subset of the columns is counted
//! like any other key (grouping sets), so a query that leaves a column out costs what any query costs.

use std::fmt;

use polars::prelude::*;

use crate::catalog::{FieldType, Metric, Source};
use crate::measure::{MeasureKind, Value};
use crate::plan::{BUCKET, Plan};
use crate::time::format_rfc3339;

/// A group key as its canonical text, a JSON array.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey(Box<str>);

/// The value of one group-key column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyValue {
    /// Text.
    Text(String),
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// An instant in microseconds.
    Timestamp(i64),
}

impl GroupKey {
    /// The key of those column values; `None` sums over the column.
    pub fn new(values: &[Option<KeyValue>]) -> GroupKey {
        let mut text = String::from("[");
        if values.iter().any(Option::is_some) {
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                match value {
                    None => text.push_str("null"),
                    Some(KeyValue::Text(value)) => push_json(&mut text, value),
                    Some(KeyValue::Int(value)) => text.push_str(&value.to_string()),
                    Some(KeyValue::Bool(value)) => text.push_str(if *value { "true" } else { "false" }),
                    Some(KeyValue::Timestamp(us)) => push_json(&mut text, &format_rfc3339(*us)),
                }
            }
        }
        text.push(']');
        GroupKey(text.into())
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeyValue {
    /// Reads a query parameter as the value of a column of that type; `None` if it is not one.
    pub fn parse(kind: FieldType, text: &str) -> Option<KeyValue> {
        match kind {
            FieldType::String => Some(KeyValue::Text(text.to_owned())),
            FieldType::Int => text.parse().ok().map(KeyValue::Int),
            FieldType::Bool => text.parse().ok().map(KeyValue::Bool),
            FieldType::Timestamp => crate::time::parse_rfc3339(text.as_bytes()).map(KeyValue::Timestamp),
            FieldType::Float => None,
        }
    }

    /// The value as it stands in an answer.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            KeyValue::Text(value) => value.as_str().into(),
            KeyValue::Int(value) => (*value).into(),
            KeyValue::Bool(value) => (*value).into(),
            KeyValue::Timestamp(us) => format_rfc3339(*us).into(),
        }
    }
}

/// The partials of one metric over some events: one row per group key of every grouping set, and bucket.
#[derive(Debug)]
pub struct Partials {
    keys: Vec<GroupKey>,
    buckets: Vec<i64>,
    /// Row-major, one value per measure.
    values: Vec<Value>,
    measures: usize,
}

impl Partials {
    /// Runs the plan over events and over every grouping set of its `by` columns.
    ///
    /// # Errors
    /// As [`Plan::partials`].
    pub fn of_events(source: &Source, metric: &Metric, plan: &Plan, events: LazyFrame) -> PolarsResult<Partials> {
        let finest = plan.partials(events)?;
        let mut partials = Partials::of_frame(source, metric, &finest, |_| true)?;
        for set in grouping_sets(metric.by.len()).skip(1) {
            let kept = |column: usize| set & (1 << column) != 0;
            let rolled_up = plan.rolled_up(&finest, kept)?;
            partials.append(Partials::of_frame(source, metric, &rolled_up, kept)?);
        }
        Ok(partials)
    }

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
        let mut keys: Vec<String> = vec!["[".to_owned(); rows];
        let any = (0..metric.by.len()).any(&kept);
        for (at, name) in metric.by.iter().enumerate().filter(|_| any) {
            if at > 0 {
                keys.iter_mut().for_each(|key| key.push(','));
            }
            match source.field(name).filter(|_| kept(at)) {
                None => keys.iter_mut().for_each(|key| key.push_str("null")),
                Some(field) => push_column(&mut keys, frame.column(name)?, field.kind)?,
            }
        }
        let keys = keys.into_iter().map(|key| GroupKey((key + "]").into_boxed_str())).collect();
        let buckets = frame.column(BUCKET)?.i64()?.iter().map(Option::unwrap_or_default).collect();
        let measures = metric.measures.len();
        let mut values = vec![Value::Null; rows * measures];
        for (at, measure) in metric.measures.iter().enumerate() {
            for (row, value) in cells(measure.kind, frame.column(&measure.name)?)?.into_iter().enumerate() {
                values[row * measures + at] = value;
            }
        }
        Ok(Partials { keys, buckets, values, measures })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Every row: group key, bucket start in microseconds, one value per measure.
    pub fn rows(&self) -> impl Iterator<Item = (&GroupKey, i64, &[Value])> {
        self.keys
            .iter()
            .zip(&self.buckets)
            .zip(self.values.chunks(self.measures))
            .map(|((key, bucket), values)| (key, *bucket, values))
    }

    fn append(&mut self, mut other: Partials) {
        self.keys.append(&mut other.keys);
        self.buckets.append(&mut other.buckets);
        self.values.append(&mut other.values);
    }
}

/// Every subset of `columns` group-key columns as a bit mask, the full set first and the empty one last.
pub fn grouping_sets(columns: usize) -> impl Iterator<Item = u32> {
    (0..1_u32 << columns).rev()
}

/// Reads a column of partial cells: a null sum and a float that is not finite are overflows, a null minimum or maximum is
/// nothing.
///
/// # Errors
/// If the column has another type than the measure.
pub fn cells(kind: MeasureKind, column: &Column) -> PolarsResult<Vec<Value>> {
    let missing = if matches!(kind, MeasureKind::Count | MeasureKind::SumInt) { Value::Overflow } else { Value::Null };
    Ok(if kind.is_int() {
        column.i64()?.iter().map(|cell| cell.map_or(missing, |x| Value::Int(x.into()))).collect()
    } else {
        column.f64()?.iter().map(|cell| cell.map_or(missing, Value::float)).collect()
    })
}

fn push_column(keys: &mut [String], column: &Column, kind: FieldType) -> PolarsResult<()> {
    match kind {
        FieldType::String => {
            for (key, value) in keys.iter_mut().zip(column.str()?.iter()) {
                push_json(key, value.unwrap_or_default());
            }
        }
        FieldType::Bool => {
            for (key, value) in keys.iter_mut().zip(column.bool()?.iter()) {
                key.push_str(if value.unwrap_or_default() { "true" } else { "false" });
            }
        }
        _ => {
            for (key, value) in keys.iter_mut().zip(column.i64()?.iter()) {
                let value = value.unwrap_or_default();
                match kind {
                    FieldType::Timestamp => push_json(key, &format_rfc3339(value)),
                    _ => key.push_str(&value.to_string()),
                }
            }
        }
    }
    Ok(())
}

/// Appends a text as a JSON string, escaping what has to be and nothing else.
fn push_json(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
