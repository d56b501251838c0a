//! A valid row → a payload that must be rejected, for every reason there is.

use rand::Rng;
use rand::rngs::StdRng;
use shared_logic::catalog::Source;
use shared_logic::rejection::Reason;
use shared_logic::schema::{FieldType, InstantFormat, Place};
use shared_logic::time::MAX_INSTANT_US;

use crate::cell::{Cell, Row};
use crate::payload::{encode, encode_with};

/// A text that is an instant in no format. It has a word for each field that an event time may be put together from.
const NO_INSTANT: &str = "some day of last week";
/// Records are made too long only for sources that bound them to this many bytes: sample traffic does not fill a broker.
const TOO_LONG_MAX: u64 = 64 * 1024;
/// An integer that 64 bits do not hold.
const HUGE_INT: f64 = 1e19;

/// The reasons for which a record of this source can be rejected.
pub(crate) fn reasons(source: &Source) -> Vec<Reason> {
    let possible = |reason: &Reason| match reason {
        Reason::NotJson
        | Reason::NotObject
        | Reason::UnknownSchema
        | Reason::NotAvro
        | Reason::NotProtobuf
        | Reason::NotChange
        | Reason::WrongColumns => source.format.reasons().contains(reason),
        // No payload can be the reason.
        Reason::WrongKey => false,
        // The time of a change is that of its record.
        Reason::WrongType | Reason::TooOld | Reason::TooFarAhead if source.is_table => false,
        // A line of one column without its field is empty, which is another reason.
        Reason::MissingField => !encode(source, &vec![None; source.fields.len()]).is_empty(),
        Reason::TooLong => source.max_record <= TOO_LONG_MAX,
        Reason::OutOfRange => out_of_range(source).is_some(),
        _ => true,
    };
    Reason::ALL.into_iter().filter(possible).collect()
}

/// The row as a payload that must be rejected for that reason. For a reason of age, the row is too old or too new already.
pub(crate) fn payload(source: &Source, row: &Row, reason: Reason, rng: &mut StdRng) -> Vec<u8> {
    let valid = encode(source, row);
    let with = |at: usize, cell: Cell| encode_with(source, row, at, Some(cell));
    match reason {
        Reason::Empty => Vec::new(),
        Reason::TooLong => {
            let missing = usize::try_from(source.max_record + 1).unwrap_or_default().saturating_sub(valid.len());
            [valid, vec![b' '; missing]].concat()
        }
        Reason::NotUtf8 => {
            let middle = valid.len() / 2;
            [&valid[..middle], b"\xff\xfe", &valid[middle..]].concat()
        }
        Reason::NotJson => valid[..valid.len() - 1].to_vec(),
        Reason::NotObject => [b"[", valid.as_slice(), b"]"].concat(),
        // No format holds two rows in one record.
        Reason::WrongColumns => [valid.as_slice(), b"\n", valid.as_slice()].concat(),
        // Of formats whose payloads are not written here.
        Reason::UnknownSchema | Reason::NotAvro | Reason::NotProtobuf => Vec::new(),
        // Not one of those that are asked for.
        Reason::WrongKey | Reason::Delete | Reason::Mark => Vec::new(),
        Reason::NotChange => b"{}".to_vec(),
        Reason::MissingField => encode_with(source, row, required(source, rng), None),
        Reason::WrongType => with(event_time(source), Cell::Text(NO_INSTANT.to_owned())),
        Reason::OutOfRange => out_of_range(source).map_or_else(Vec::new, |(at, cell)| with(at, cell)),
        Reason::TooOld | Reason::TooFarAhead => valid,
    }
}

/// A field and a value of its type that is outside of its range. A pattern has no text for such an instant.
fn out_of_range(source: &Source) -> Option<(usize, Cell)> {
    if let Some(int) = source.fields.iter().position(|field| field.kind == FieldType::Int) {
        return Some((int, Cell::Float(HUGE_INT)));
    }
    let at = event_time(source);
    let field = source.fields.get(at).filter(|field| field.has_column())?;
    match field.instants {
        InstantFormat::Usual => Some((at, Cell::Int(MAX_INSTANT_US / 1_000))),
        InstantFormat::Epoch(_) => Some((at, Cell::Instant(MAX_INSTANT_US))),
        InstantFormat::Pattern(_) => None,
    }
}

/// One of the fields that may not be absent.
fn required(source: &Source, rng: &mut StdRng) -> usize {
    let is_required = |at: &usize| !source.fields[*at].optional && source.fields[*at].place != Place::Record;
    let required: Vec<usize> = (0..source.fields.len()).filter(is_required).collect();
    required[rng.random_range(0..required.len())]
}

fn event_time(source: &Source) -> usize {
    source.fields.iter().position(|field| field.name == source.event_time).unwrap_or_default()
}
