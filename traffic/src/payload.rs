//! A row → the bytes of a record.

use shared_logic::catalog::Source;
use shared_logic::format::Format;

use crate::cell::{Cell, Row, text};

/// What replaces the value of one field, to break a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Replacement {
    /// Nothing.
    Absent,
    /// This text, written into the record as it is.
    Raw(String),
}

/// The row in the source's format.
pub(crate) fn encode(source: &Source, row: &Row) -> Vec<u8> {
    encode_with(source, row, None)
}

/// The row in the source's format, with the value at one position replaced.
pub(crate) fn encode_with(source: &Source, row: &Row, instead: Option<(usize, Replacement)>) -> Vec<u8> {
    let raw = |at: usize| match &instead {
        Some((position, instead)) if *position == at => match instead {
            Replacement::Absent => None,
            Replacement::Raw(raw) => Some(raw.clone()),
        },
        _ => row[at].as_ref().map(|cell| match source.format {
            Format::Json => json(cell),
            Format::Tsv => text(cell),
        }),
    };
    let fields = source.fields.iter().enumerate();
    match source.format {
        Format::Json => {
            let members = fields.filter_map(|(at, field)| Some(format!("\"{}\":{}", field.name, raw(at)?)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Format::Tsv => fields.map(|(at, _)| raw(at).unwrap_or_default()).collect::<Vec<_>>().join("\t"),
    }
    .into_bytes()
}

/// A cell as JSON. Texts and field names contain nothing that needs escaping.
fn json(cell: &Cell) -> String {
    match cell {
        Cell::Text(_) | Cell::Instant(_) => format!("\"{}\"", text(cell)),
        other => text(other),
    }
}
