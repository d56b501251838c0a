//! A row → the bytes of a record.

use shared_logic::catalog::Source;

use crate::cell::{Cell, Row};

/// The row in the source's format.
pub(crate) fn encode(source: &Source, row: &Row) -> Vec<u8> {
    let values: Vec<_> = row.iter().map(|cell| cell.as_ref().map(Cell::value)).collect();
    source.write(&values)
}

/// The row in the source's format, with another cell (`None`: absent) at one position, to break a record.
pub(crate) fn encode_with(source: &Source, row: &Row, at: usize, cell: Option<Cell>) -> Vec<u8> {
    let mut row = row.clone();
    row[at] = cell;
    encode(source, &row)
}
