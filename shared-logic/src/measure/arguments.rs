//! The argument of a measure, for some events.

use std::ops::Range;

use polars::prelude::{BooleanChunked, Column, Float64Chunked, Int64Chunked, PolarsResult, StringChunked};

use super::Value;
use crate::schema::FieldType;

/// The group of an event that is not counted.
pub(crate) const NO_GROUP: u32 = u32::MAX;

/// What a measure is of, for one event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument<'a> {
    /// Nothing: the measure takes no argument, or the event lacks it.
    Absent,
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Microseconds since 1970.
    Instant(i64),
    /// A text.
    Text(&'a str),
}

impl Argument<'_> {
    /// The number that it is, as a measure of numbers starts with it.
    pub(super) fn number(self) -> Value {
        match self {
            Argument::Int(x) => Value::Int(x.into()),
            Argument::Float(x) => Value::float(x),
            Argument::Absent | Argument::Bool(_) | Argument::Instant(_) | Argument::Text(_) => Value::Null,
        }
    }
}

/// A value for each of some events. A null was absent, or left 64 bits.
#[derive(Debug, Clone)]
pub(crate) enum Arguments {
    /// Of a measure that takes no argument.
    None,
    /// Integers.
    Ints(Int64Chunked),
    /// Floats.
    Floats(Float64Chunked),
    /// Truth values.
    Bools(BooleanChunked),
    /// Microseconds since 1970.
    Instants(Int64Chunked),
    /// Texts.
    Texts(StringChunked),
}

impl Arguments {
    /// Those in a column, which holds values of that type.
    ///
    /// # Errors
    /// If the column has another type.
    pub(crate) fn of_column(column: &Column, kind: FieldType) -> PolarsResult<Arguments> {
        Ok(match kind {
            FieldType::Int => Arguments::Ints(column.i64()?.clone()),
            FieldType::Float => Arguments::Floats(column.f64()?.clone()),
            FieldType::Bool => Arguments::Bools(column.bool()?.clone()),
            FieldType::Timestamp => Arguments::Instants(column.i64()?.clone()),
            FieldType::String => Arguments::Texts(column.str()?.clone()),
        })
    }

    /// Those of the events in those rows.
    pub(crate) fn of_rows(&self, rows: &Range<usize>) -> Arguments {
        let (from, length) = (rows.start as i64, rows.len());
        match self {
            Arguments::None => Arguments::None,
            Arguments::Ints(of) => Arguments::Ints(of.slice(from, length)),
            Arguments::Floats(of) => Arguments::Floats(of.slice(from, length)),
            Arguments::Bools(of) => Arguments::Bools(of.slice(from, length)),
            Arguments::Instants(of) => Arguments::Instants(of.slice(from, length)),
            Arguments::Texts(of) => Arguments::Texts(of.slice(from, length)),
        }
    }

    /// Visits each event with its group.
    pub(super) fn visit(&self, groups: &[u32], mut visit: impl FnMut(u32, Argument<'_>)) {
        let groups = groups.iter().copied();
        match self {
            Arguments::None => groups.for_each(|group| visit(group, Argument::Absent)),
            Arguments::Ints(of) => {
                groups.zip(of.iter()).for_each(|(group, of)| visit(group, of.map_or(Argument::Absent, Argument::Int)));
            }
            Arguments::Floats(of) => {
                groups
                    .zip(of.iter())
                    .for_each(|(group, of)| visit(group, of.map_or(Argument::Absent, Argument::Float)));
            }
            Arguments::Bools(of) => {
                groups.zip(of.iter()).for_each(|(group, of)| visit(group, of.map_or(Argument::Absent, Argument::Bool)));
            }
            Arguments::Instants(of) => {
                groups
                    .zip(of.iter())
                    .for_each(|(group, of)| visit(group, of.map_or(Argument::Absent, Argument::Instant)));
            }
            Arguments::Texts(of) => {
                groups.zip(of.iter()).for_each(|(group, of)| visit(group, of.map_or(Argument::Absent, Argument::Text)));
            }
        }
    }

    /// What is kept of the events of each group: in the order of the groups, and of what is kept. An event of no group is left out.
    pub(super) fn by_group<T: Ord>(
        &self,
        groups: &[u32],
        mut kept: impl FnMut(Argument<'_>) -> Option<T>,
    ) -> Vec<(u32, T)> {
        let mut all = Vec::new();
        self.visit(groups, |group, of| {
            if group != NO_GROUP {
                all.extend(kept(of).map(|kept| (group, kept)));
            }
        });
        all.sort_unstable();
        all
    }
}
