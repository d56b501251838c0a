//! The value of an expression for one row, and columns of such values.

use std::borrow::Cow;

use polars::prelude::{
    BooleanChunked, Column, Float64Chunked, Int64Chunked, IntoColumn, PlSmallStr, PolarsResult, StringChunked,
};

use crate::measure::{Argument, Value};
use crate::schema::FieldType;

/// The value of an expression for one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    /// Absent, or unknown.
    Null,
    /// A condition that is true or false.
    Bool(bool),
    /// An integer. One of rows has 64 bits; one of measures is judged when it is final.
    Int(i128),
    /// A finite float.
    Float(f64),
    /// A text. It is borrowed from the row or from the expression unless a function has made it.
    String(Cow<'a, str>),
    /// Microseconds since 1970, UTC.
    Timestamp(i64),
    /// A measure that left its 64 bits, or what was calculated from one. Rows have none.
    Overflow,
}

impl<'a> Scalar<'a> {
    /// A float, or null if it is not finite. Negative zero becomes zero.
    pub(super) fn float(x: f64) -> Scalar<'a> {
        if x.is_finite() { Scalar::Float(x + 0.0) } else { Scalar::Null }
    }

    fn as_bool(&self) -> Option<bool> {
        if let Scalar::Bool(x) = self { Some(*x) } else { None }
    }

    /// The number in a column of integers or instants.
    fn as_i64(&self) -> Option<i64> {
        match self {
            Scalar::Int(x) => i64::try_from(*x).ok(),
            Scalar::Timestamp(us) => Some(*us),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        if let Scalar::Float(x) = self { Some(*x) } else { None }
    }

    fn into_text(self) -> Option<Cow<'a, str>> {
        if let Scalar::String(text) = self { Some(text) } else { None }
    }
}

impl From<Value> for Scalar<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Scalar::Null,
            Value::Int(x) => Scalar::Int(x),
            Value::Float(x) => Scalar::float(x),
            Value::Overflow => Scalar::Overflow,
            // The number that a sketch estimates, if it does.
            sketch @ Value::Sketch(_) => Scalar::from(sketch.number()),
        }
    }
}

/// The number, as a measure takes it; what is not a number becomes null.
impl From<Scalar<'_>> for Value {
    fn from(scalar: Scalar<'_>) -> Self {
        match scalar {
            Scalar::Int(x) => Value::Int(x),
            Scalar::Float(x) => Value::Float(x),
            Scalar::Overflow => Value::Overflow,
            Scalar::Null | Scalar::Bool(_) | Scalar::String(_) | Scalar::Timestamp(_) => Value::Null,
        }
    }
}

/// The value of a row, as a measure takes it.
impl<'a> From<&'a Scalar<'_>> for Argument<'a> {
    fn from(scalar: &'a Scalar<'_>) -> Self {
        match scalar {
            Scalar::Int(x) => i64::try_from(*x).map_or(Argument::Absent, Argument::Int),
            Scalar::Float(x) => Argument::Float(*x),
            Scalar::Bool(truth) => Argument::Bool(*truth),
            Scalar::Timestamp(us) => Argument::Instant(*us),
            Scalar::String(text) => Argument::Text(text),
            Scalar::Null | Scalar::Overflow => Argument::Absent,
        }
    }
}

/// The values of a column, one after the other. Instants are integers of microseconds in it.
///
/// # Errors
/// If the column has another type.
pub fn of_column(column: &Column, kind: FieldType) -> PolarsResult<Box<dyn Iterator<Item = Scalar<'_>> + '_>> {
    let series = column.as_materialized_series();
    let or_null = |value: Option<Scalar<'static>>| value.unwrap_or(Scalar::Null);
    Ok(match kind {
        FieldType::Bool => Box::new(series.bool()?.iter().map(move |x| or_null(x.map(Scalar::Bool)))),
        FieldType::Int => Box::new(series.i64()?.iter().map(move |x| or_null(x.map(|x| Scalar::Int(x.into()))))),
        FieldType::Float => Box::new(series.f64()?.iter().map(move |x| or_null(x.map(Scalar::float)))),
        FieldType::Timestamp => Box::new(series.i64()?.iter().map(move |x| or_null(x.map(Scalar::Timestamp)))),
        FieldType::String => {
            let texts = series.str()?.iter();
            Box::new(texts.map(|text| text.map_or(Scalar::Null, |text| Scalar::String(Cow::Borrowed(text)))))
        }
    })
}

/// A column of values of one type, in which instants are integers of microseconds; a value of another type is null in it, and so is
/// one that has left its 64 bits.
pub fn to_column<'a>(name: PlSmallStr, values: impl Iterator<Item = Scalar<'a>>, kind: FieldType) -> Column {
    match kind {
        FieldType::Bool => {
            values.map(|value| value.as_bool()).collect::<BooleanChunked>().with_name(name).into_column()
        }
        FieldType::Int | FieldType::Timestamp => {
            values.map(|value| value.as_i64()).collect::<Int64Chunked>().with_name(name).into_column()
        }
        FieldType::Float => {
            values.map(|value| value.as_f64()).collect::<Float64Chunked>().with_name(name).into_column()
        }
        FieldType::String => values.map(Scalar::into_text).collect::<StringChunked>().with_name(name).into_column(),
    }
}
