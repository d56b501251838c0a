//! A row → the bytes of a record.

use shared_logic::catalog::Source;
use shared_logic::format::Format;

use super::cell::{Cell, Row, text};

/// What stands in place of one field's value, in order to break a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Instead {
    /// Nothing.
    Absent,
    /// This, as the format writes it.
    Raw(String),
}

/// The row in the source's format.
pub(super) fn encode(source: &Source, row: &Row) -> Vec<u8> {
    encode_instead(source, row, None)
}

/// The row in the source's format, with something else in place of the field at one position.
pub(super) fn encode_instead(source: &Source, row: &Row, instead: Option<(usize, Instead)>) -> Vec<u8> {
    let raw = |at: usize| match &instead {
        Some((position, instead)) if *position == at => match instead {
            Instead::Absent => None,
            Instead::Raw(raw) => Some(raw.clone()),
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

/// A cell as JSON writes it. Texts and field names hold nothing that would have to be escaped.
fn json(cell: &Cell) -> String {
    match cell {
        Cell::Text(_) | Cell::Instant(_) => format!("\"{}\"", text(cell)),
        other => text(other),
    }
}
