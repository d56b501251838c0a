//! Columns of values, any row of which can be read.

use std::borrow::Cow;

use polars::prelude::{Column, PolarsResult, StringChunked};

use crate::expression::Scalar;
use crate::measure::Argument;
use crate::schema::FieldType;

/// The values of a field or of an expression, one for each event.
#[derive(Debug)]
pub(super) enum TypedColumn {
    Ints(Vec<Option<i64>>),
    Instants(Vec<Option<i64>>),
    Floats(Vec<Option<f64>>),
    Bools(Vec<Option<bool>>),
    /// In one chunk.
    Texts(StringChunked),
}

impl TypedColumn {
    /// The values of a column of that type. Zeros have no sign.
    ///
    /// # Errors
    /// If the column has another type.
    pub(super) fn new(column: &Column, kind: FieldType) -> PolarsResult<TypedColumn> {
        Ok(match kind {
            FieldType::Int => TypedColumn::Ints(column.i64()?.iter().collect()),
            FieldType::Timestamp => TypedColumn::Instants(column.i64()?.iter().collect()),
            FieldType::Float => TypedColumn::Floats(column.f64()?.iter().map(|x| x.map(|x| x + 0.0)).collect()),
            FieldType::Bool => TypedColumn::Bools(column.bool()?.iter().collect()),
            FieldType::String => TypedColumn::Texts(column.str()?.rechunk().into_owned()),
        })
    }

    /// The value in a row.
    pub(super) fn get(&self, row: usize) -> Scalar<'_> {
        let value = match self {
            TypedColumn::Ints(values) => values[row].map(|x| Scalar::Int(x.into())),
            TypedColumn::Instants(values) => values[row].map(Scalar::Timestamp),
            TypedColumn::Floats(values) => values[row].map(Scalar::Float),
            TypedColumn::Bools(values) => values[row].map(Scalar::Bool),
            TypedColumn::Texts(values) => values.get(row).map(|text| Scalar::String(Cow::Borrowed(text))),
        };
        value.unwrap_or(Scalar::Null)
    }

    /// The value in a row, as a measure takes it.
    pub(super) fn argument(&self, row: usize) -> Argument<'_> {
        let value = match self {
            TypedColumn::Ints(values) => values[row].map(Argument::Int),
            TypedColumn::Instants(values) => values[row].map(Argument::Instant),
            TypedColumn::Floats(values) => values[row].map(Argument::Float),
            TypedColumn::Bools(values) => values[row].map(Argument::Bool),
            TypedColumn::Texts(values) => values.get(row).map(Argument::Text),
        };
        value.unwrap_or(Argument::Absent)
    }
}
