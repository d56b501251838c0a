//! The rows of a day.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use polars::prelude::*;
use serde_json::Value as Json;

use super::layout::{Joined, Layout, scalar};
use crate::expression::{Scalar as Cell, to_column};
use crate::group_key::{GroupKey, shortened};
use crate::measure::Value;
use crate::schema::FieldType;
use crate::time::format_rfc3339;

/// Floats that differ by less than this part of the larger one say the same: a sum of floats depends on the order of its parts, which is
/// another one when files of a view are merged.
const FLOATS_AGREE: f64 = 1e-9;

impl Layout {
    /// The rows of a day, in memory: one for each group key, in the order of the keys.
    ///
    /// `partials` has the columns of the group key and a column for each measure, in the order of the keys; the rows of one key are merged.
    /// `tables` has by its name the rows of each table, with the key and the fields that are taken, as a table or as memory has them.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub fn rows(&self, partials: &DataFrame, tables: &BTreeMap<String, DataFrame>) -> PolarsResult<DataFrame> {
        let (firsts, measures) = self.merged(partials)?;
        let rows = firsts.len();
        let firsts = IdxCa::from_vec("first".into(), firsts);
        let keys = self.keys.iter().map(|(name, _)| partials.column(name)?.take(&firsts));
        let mut columns: Vec<Column> = keys.collect::<PolarsResult<_>>()?;
        for joined in &self.joined {
            let lacking = || PolarsError::ColumnNotFound(format!("the rows of table {}", joined.table).into());
            let table = tables.get(&joined.table).ok_or_else(lacking)?;
            columns.extend(joined.of(&columns[joined.on], table)?);
        }
        for (at, measure) in self.numbers() {
            let values = measures.iter().map(|values| scalar(&values[at]));
            columns.push(to_column(measure.name.as_str().into(), values, measure.kind.value_type()));
        }
        for derived in &self.derived {
            let values = measures.iter().map(|values| scalar(&self.evaluated(derived, values)));
            columns.push(to_column(derived.name.as_str().into(), values, derived.of.kind()));
        }
        let given = DataFrame::new(rows, columns)?;
        let computed = self.computed.iter().map(|column| column.of.to_polars().alias(column.name.as_str()));
        let all = given.lazy().with_columns(computed.collect::<Vec<Expr>>()).collect()?;
        as_schema(&all, &self.in_memory())
    }

    /// The first row of each key, and the merged values of its measures.
    fn merged(&self, partials: &DataFrame) -> PolarsResult<(Vec<IdxSize>, Vec<Vec<Value>>)> {
        let columns = self.keys.iter().map(|(name, kind)| Ok(Some((partials.column(name)?, *kind))));
        let keys = GroupKey::of_columns(partials.height(), &columns.collect::<PolarsResult<Vec<_>>>()?)?;
        let cells = self.measures.iter().map(|measure| measure.kind.cells(partials.column(&measure.name)?));
        let mut cells: Vec<_> = cells.map(|cells| cells.map(Vec::into_iter)).collect::<PolarsResult<_>>()?;
        let (mut firsts, mut values): (Vec<IdxSize>, Vec<Vec<Value>>) = (Vec::new(), Vec::new());
        for (row, key) in keys.iter().enumerate() {
            let of_row = cells.iter_mut().filter_map(Iterator::next);
            match values.last_mut().filter(|_| row > 0 && keys[row - 1] == *key) {
                Some(merged) => {
                    for ((measure, value), more) in self.measures.iter().zip(merged.iter_mut()).zip(of_row) {
                        *value = measure.kind.merge(std::mem::replace(value, Value::Null), more);
                    }
                }
                None => {
                    firsts.push(row as IdxSize);
                    values.push(of_row.collect());
                }
            }
        }
        Ok((firsts, values))
    }
}

impl Joined {
    /// The columns that are taken of the rows of a table whose keys stand in `on`.
    fn of(&self, on: &Column, table: &DataFrame) -> PolarsResult<Vec<Column>> {
        let null = |name: &str, kind: FieldType| Column::full_null(name.into(), on.len(), &kind.column_type());
        if table.height() == 0 {
            return Ok(self.take.iter().map(|(name, kind)| null(name, *kind)).collect());
        }
        let keys = table.column(&self.key)?;
        let at = match on.dtype() {
            DataType::String => {
                let known = keys.str()?.iter().map(|key| key.map(shortened));
                positions(known, on.str()?.iter().map(|key| key.map(Cow::Borrowed)))
            }
            _ => positions(keys.i64()?.iter(), on.i64()?.iter()),
        };
        let taken = self.take.iter().map(|(name, kind)| table.column(name)?.cast(&kind.column_type())?.take(&at));
        taken.collect()
    }
}

/// Where each key stands among the known ones; null where it does not, or is null itself.
fn positions<K: Eq + Hash>(known: impl Iterator<Item = Option<K>>, keys: impl Iterator<Item = Option<K>>) -> IdxCa {
    let places = known.enumerate().filter_map(|(at, key)| Some((key?, at as IdxSize)));
    let places: HashMap<K, IdxSize> = places.collect();
    keys.map(|key| places.get(&key?).copied()).collect()
}

/// These columns of a frame, in their types.
fn as_schema(frame: &DataFrame, columns: &Schema) -> PolarsResult<DataFrame> {
    let column = |(name, dtype): (&PlSmallStr, &DataType)| frame.column(name)?.cast(dtype);
    DataFrame::new(frame.height(), columns.iter().map(column).collect::<PolarsResult<_>>()?)
}

/// P1: whether two frames of one schema say the same, row by row. Floats may differ in their last digits.
///
/// # Errors
/// If a column is missing or has another type.
pub fn same_rows(a: &DataFrame, b: &DataFrame) -> PolarsResult<bool> {
    if a.height() != b.height() || a.width() != b.width() {
        return Ok(false);
    }
    for column in a.columns() {
        let other = b.column(column.name())?;
        let is_same = match column.dtype() {
            DataType::Float64 => column.f64()?.iter().zip(other.f64()?.iter()).all(|(a, b)| agree(a, b)),
            _ => column.dtype() == other.dtype() && column.equals_missing(other),
        };
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

fn agree(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= FLOATS_AGREE * a.abs().max(b.abs()),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// A value of a row as it stands in an answer. An instant is RFC 3339.
pub fn json(value: &Cell<'_>) -> Json {
    match value {
        Cell::Null | Cell::Overflow => Json::Null,
        Cell::Bool(value) => (*value).into(),
        Cell::Int(value) => i64::try_from(*value).map_or(Json::Null, Json::from),
        Cell::Float(value) => (*value).into(),
        Cell::String(value) => Json::String(value.clone().into_owned()),
        Cell::Timestamp(us) => format_rfc3339(*us).into(),
    }
}
