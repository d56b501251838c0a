//! The fields of a source and the types of their values.

use polars::prelude::{DataType, TimeUnit, TimeZone};

/// Integers outside ±[`MAX_INT`] (2^53−1) are rejected: beyond it, JSON readers disagree.
pub const MAX_INT: i64 = (1 << 53) - 1;

/// A declared field of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The field's name: the JSON member, or the TSV column.
    pub name: String,
    /// The type of its values.
    pub kind: FieldType,
    /// Whether it may be absent (`?` in the catalog); JSON `null` counts as absent.
    pub optional: bool,
}

/// The type of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// UTF-8 text.
    String,
    /// An integer within ±[`MAX_INT`].
    Int,
    /// A finite 64-bit float.
    Float,
    /// `true` or `false`.
    Bool,
    /// An instant: RFC 3339 text or epoch milliseconds; held as microseconds since 1970, UTC.
    Timestamp,
}

impl FieldType {
    /// The type's name in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::String => "string",
            FieldType::Int => "int",
            FieldType::Float => "float",
            FieldType::Bool => "bool",
            FieldType::Timestamp => "timestamp",
        }
    }

    /// The type of a column of such values in memory. Instants are integers of microseconds, so the plan sees four types
    /// only.
    pub fn column_type(self) -> DataType {
        match self {
            FieldType::String => DataType::String,
            FieldType::Int | FieldType::Timestamp => DataType::Int64,
            FieldType::Float => DataType::Float64,
            FieldType::Bool => DataType::Boolean,
        }
    }

    /// The type of a column of such values in a Delta table, where instants are [`INSTANT`]s.
    pub fn table_type(self) -> DataType {
        match self {
            FieldType::Timestamp => INSTANT,
            other => other.column_type(),
        }
    }
}

/// The type of a column of instants in a Delta table: microseconds since 1970, UTC.
pub const INSTANT: DataType = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
