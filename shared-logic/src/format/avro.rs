//! `avro`: one datum of Apache Avro per record, framed for Confluent's schema registry. A field stands under its name in the
//! writer's record, or at the end of its path through records, maps and arrays; `null` counts as absent, and so does a field
//! that the writer's schema does not have.
//!
//! Schemas are read by the crate `apache-avro`; data are read here. The crate takes a datum that ends too early for one whose
//! last fields are null, builds a tree of every value, and goes as deep as the datum says. Here a datum is of its schema to the
//! last byte or is rejected, and takes no memory.
//!
//! - `plan`: schema and places → the steps of reading;
//! - `read`: a datum → the record's tokens.

mod plan;
mod read;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use super::record::{Cell, Record, Token};
use super::registered::{Plan, UnusableSchema, WriterSchema, value};
use super::{Codec, FieldValue, Layout, Reader};
use crate::rejection::Reason;
use crate::schema::Field;

pub(super) struct Avro;

impl Codec for Avro {
    fn name(&self) -> &'static str {
        "avro"
    }

    /// The fields of a record have names.
    fn is_positional(&self) -> bool {
        false
    }

    fn names_schemas(&self) -> bool {
        true
    }

    /// A field can be null, or missing in the schema.
    fn null(&self) -> Option<&'static str> {
        None
    }

    fn plan(&self, reader: &Reader, schema: &WriterSchema) -> Result<Arc<dyn Plan>, UnusableSchema> {
        schema.expect_kind("AVRO")?;
        Ok(Arc::new(plan::AvroPlan::new(&reader.fields, &reader.places, schema)?))
    }

    fn reasons(&self) -> &'static [Reason] {
        &[Reason::UnknownSchema, Reason::NotAvro]
    }

    fn tokenize(&self, reader: &Reader, payload: &[u8], record: &mut Record) -> Result<(), Reason> {
        reader.writers.tokenize(payload, record, Reason::NotAvro)
    }

    fn cell(&self, _reader: &Reader, _field: &Field, token: Token, _: &[u8], _: &[u8]) -> Result<Cell, Reason> {
        value::cell(token)
    }

    fn write(&self, _layout: Layout<'_>, _values: &[Option<FieldValue<'_>>]) -> Vec<u8> {
        Vec::new()
    }

    fn field_text<'a>(&self, _layout: Layout<'_>, _payload: &'a [u8], _at: usize) -> Option<Cow<'a, [u8]>> {
        None
    }
}
