//! A made-up row: one value per declared field.

use shared_logic::format::FieldValue;

/// A value of one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text without tabs, line feeds, commas, quotes or backslashes, never empty.
    Text(String),
    /// An integer within ±2^53, so that the expected counts are exact in floats.
    Int(i64),
    /// A finite float with two decimals.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Microseconds since 1970, whole milliseconds.
    Instant(i64),
}

/// One value per declared field, in their order; `None`: absent.
pub type Row = Vec<Option<Cell>>;

impl Cell {
    /// The value that a format writes.
    pub(crate) fn value(&self) -> FieldValue<'_> {
        match self {
            Cell::Text(text) => FieldValue::Text(text),
            Cell::Int(number) => FieldValue::Int(*number),
            Cell::Float(number) => FieldValue::Float(*number),
            Cell::Bool(value) => FieldValue::Bool(*value),
            Cell::Instant(us) => FieldValue::Instant(*us),
        }
    }
}

/// A cell as text, as records are keyed by it.
pub(crate) fn text(cell: &Cell) -> String {
    cell.value().to_string()
}
