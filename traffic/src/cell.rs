//! A made-up row: one value per declared field.

use shared_logic::time::format_rfc3339;

/// A value of one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text without tabs, line feeds, quotes or backslashes, never empty.
    Text(String),
    /// An integer within ±(2^53−1).
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

/// A cell as text, as TSV writes it and records are keyed by it.
pub(crate) fn text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Int(number) => number.to_string(),
        Cell::Float(number) => number.to_string(),
        Cell::Bool(value) => value.to_string(),
        Cell::Instant(us) => format_rfc3339(*us),
    }
}
