//! The argument of a measure, for some events.

use std::ops::Range;

use polars::prelude::{Float64Chunked, Int64Chunked};

use super::Value;

/// The group of an event that is not counted.
pub(crate) const NO_GROUP: u32 = u32::MAX;

/// A value for each of some events.
#[derive(Debug, Clone)]
pub(crate) enum Arguments {
    /// Of a measure that takes no argument.
    None,
    /// Integers; a null was absent, or left 64 bits.
    Ints(Int64Chunked),
    /// Floats.
    Floats(Float64Chunked),
}

impl Arguments {
    /// Those of the events in those rows.
    pub(crate) fn of_rows(&self, rows: &Range<usize>) -> Arguments {
        let (from, length) = (rows.start as i64, rows.len());
        match self {
            Arguments::None => Arguments::None,
            Arguments::Ints(of) => Arguments::Ints(of.slice(from, length)),
            Arguments::Floats(of) => Arguments::Floats(of.slice(from, length)),
        }
    }

    /// Visits each event with its group.
    pub(super) fn visit(&self, groups: &[u32], mut visit: impl FnMut(u32, Value)) {
        let groups = groups.iter().copied();
        match self {
            Arguments::None => groups.for_each(|group| visit(group, Value::Null)),
            Arguments::Ints(of) => groups.zip(of.iter()).for_each(|(group, of)| {
                visit(group, of.map_or(Value::Null, |of| Value::Int(of.into())));
            }),
            Arguments::Floats(of) => groups.zip(of.iter()).for_each(|(group, of)| {
                visit(group, of.map_or(Value::Null, Value::float));
            }),
        }
    }
}
