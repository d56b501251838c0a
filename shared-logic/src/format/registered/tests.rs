//! Payloads of schemas and what is read of them: what the tests of both formats use.

use super::*;
use crate::format::{Cell, Format, Reader};
use crate::schema::Field;

/// A datum, framed.
pub(in crate::format) fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[MAGIC][..], &id.to_be_bytes()[..], datum].concat()
}

/// A schema without references.
pub(in crate::format) fn schema(kind: &str, text: &str) -> WriterSchema {
    WriterSchema { kind: kind.to_owned(), text: text.to_owned(), references: Vec::new() }
}

/// A reader that has learned these schemas.
pub(in crate::format) fn reader(format: Format, fields: &[Field], schemas: &[(u32, WriterSchema)]) -> Reader {
    let mut reader = Reader::new(format, fields, &[], None);
    for (id, schema) in schemas {
        reader.learn(SchemaId(*id), Some(schema)).unwrap_or_else(|unusable| panic!("schema {id}: {unusable}"));
    }
    reader
}

/// The cells of a payload in the order of the fields, as text (`-` if absent), or else `reason[:field]`.
pub(in crate::format) fn read(reader: &Reader, fields: &[Field], payload: &[u8]) -> Result<Vec<String>, String> {
    let mut record = Record::new(fields.len());
    reader.read(payload, &mut record).map_err(|rejected| rejected.text(fields))?;
    let text = |cell: &Cell| match *cell {
        Cell::Null => "-".to_owned(),
        Cell::Text(span) => String::from_utf8(span.of(payload, &record.unescaped).to_vec()).expect("UTF-8"),
        Cell::Int(number) => number.to_string(),
        Cell::Float(number) => format!("{number:?}"),
        Cell::Bool(value) => value.to_string(),
    };
    Ok(record.cells.iter().map(text).collect())
}

#[test]
fn a_payload_names_its_schema_in_five_bytes() {
    assert_eq!(named(&framed(0x0102_0304, b"")), Some(SchemaId(0x0102_0304)));
    assert_eq!(named(&[0, 0, 0, 1]), None, "too short");
    assert_eq!(named(&[1, 0, 0, 0, 1, 9]), None, "another first byte");
    assert_eq!(named(b""), None);
}

#[test]
fn what_an_id_means_is_missing_until_it_is_learned() {
    let mut writers = Writers::default();
    let payload = framed(7, b"x");
    assert_eq!(writers.missing(&payload), Some(SchemaId(7)));
    let tokenized = |writers: &Writers| writers.tokenize(&payload, &mut Record::new(0), Reason::NotAvro);
    assert_eq!(tokenized(&writers), Err(Reason::UnknownSchema));
    writers.learn(SchemaId(7), Err(Reason::UnknownSchema));
    assert_eq!((writers.missing(&payload), writers.len()), (None, 1));
    assert_eq!(tokenized(&writers), Err(Reason::UnknownSchema));
    assert_eq!(writers.tokenize(b"x", &mut Record::new(0), Reason::NotAvro), Err(Reason::NotAvro));
    writers.forget();
    assert_eq!(writers.missing(&payload), Some(SchemaId(7)));
    assert_eq!(writers.missing(b"x"), None, "it names none");
}
