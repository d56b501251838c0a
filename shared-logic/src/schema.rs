//! The fields of a source and the types of their values.

use polars::prelude::{DataType, TimeUnit, TimeZone};
use serde::{Deserialize, Serialize};

/// A declared field of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The field's name, in expressions, answers and tables.
    pub name: String,
    /// The type of its values.
    pub kind: FieldType,
    /// Whether it may be absent (`?` in the catalog); JSON `null` counts as absent.
    pub optional: bool,
    /// Where its value stands in a payload.
    pub place: Place,
    /// How an instant is written; of no meaning for other types.
    pub instants: InstantFormat,
    /// Whether a text may be written as a number, whose digits then stand as they are written.
    pub numbers: bool,
}

impl Field {
    /// A field that stands under its own name and is written in the usual way.
    pub fn new(name: &str, kind: FieldType, optional: bool) -> Field {
        let (place, instants) = (Place::Own, InstantFormat::Usual);
        Field { name: name.to_owned(), kind, optional, place, instants, numbers: false }
    }

    /// Whether a payload holds the field's value by itself. Otherwise it is put together from those of other fields, or the record's own
    /// timestamp.
    pub fn has_column(&self) -> bool {
        !matches!(self.place, Place::Joined(_) | Place::Record)
    }

    /// The name of its column, in formats with columns.
    pub fn column(&self) -> &str {
        match &self.place {
            Place::Path(steps) => match steps.as_slice() {
                [Step::Member(name)] => name,
                _ => &self.name,
            },
            Place::Own | Place::Joined(_) | Place::Record => &self.name,
        }
    }
}

/// Where the value of a field stands in a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the member of the field's name; in formats with columns, in the field's column.
    Own,
    /// In a JSON document, or a record or message of a schema: the steps from there to the value. The first one is to a member.
    /// In formats with columns: one step, which is the name of the column.
    Path(Vec<Step>),
    /// In the texts of these declared fields, in their order, with a blank between them: an instant whose date and time are two
    /// columns. Such a field has no column of its own, and stands behind all fields that have one.
    Joined(Vec<String>),
    /// In no payload: it is the record's own timestamp. Only a table has such a field, and it is the last one.
    Record,
}

/// One step from a value to a value inside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the member of that name.
    Member(String),
    /// To the element at that position of an array; the first is 0.
    Element(usize),
}

/// How instants are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstantFormat {
    /// A date and a time as [`Moment::parse`](crate::time::Moment::parse) reads them, or milliseconds since 1970, which may
    /// stand in quotes.
    Usual,
    /// A number of these units since 1970.
    Epoch(EpochUnit),
    /// A text of this pattern, in the notation of `strftime`.
    Pattern(String),
}

/// The unit of a number that stands for an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

impl EpochUnit {
    /// Every unit.
    pub const ALL: [EpochUnit; 4] =
        [EpochUnit::Seconds, EpochUnit::Milliseconds, EpochUnit::Microseconds, EpochUnit::Nanoseconds];

    /// The unit's name in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            EpochUnit::Seconds => "epoch_s",
            EpochUnit::Milliseconds => "epoch_ms",
            EpochUnit::Microseconds => "epoch_us",
            EpochUnit::Nanoseconds => "epoch_ns",
        }
    }
}

/// The type of a field's values. It is written down by its [name](FieldType::name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// UTF-8 text.
    String,
    /// An integer of 64 bits.
    Int,
    /// A finite 64-bit float.
    Float,
    /// `true` or `false`.
    Bool,
    /// An instant, written as its field's [`InstantFormat`] says; held as microseconds since 1970, UTC.
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
