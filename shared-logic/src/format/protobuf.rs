//! `protobuf`: one Protobuf message per record, framed for Confluent's schema registry. A field stands under its name in the
//! message, or at the end of its path through messages, maps with text keys, and repeated fields.
//!
//! What is not on the wire is absent if its field can be told from its default: an `optional` field, a member of a `oneof`, a
//! message, any field of proto2. Another field of proto3 then has its default value, such as 0, and is not absent. The
//! wrappers of `google.protobuf`, such as `Int64Value`, stand for what they wrap.
//!
//! Behind the schema's id, a payload names the message among those of the schema's file: its position, preceded by those of
//! the messages that it is nested in.
//!
//! - `plan`: schema and places → a way to every field, for each message of the schema;
//! - `read`: a message → the record's tokens.

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

pub(super) struct Protobuf;

impl Codec for Protobuf {
    fn name(&self) -> &'static str {
        "protobuf"
    }

    /// The fields of a message have names.
    fn is_positional(&self) -> bool {
        false
    }

    fn names_schemas(&self) -> bool {
        true
    }

    /// A field can be left out, or missing in the schema.
    fn null(&self) -> Option<&'static str> {
        None
    }

    fn plan(&self, reader: &Reader, schema: &WriterSchema) -> Result<Arc<dyn Plan>, UnusableSchema> {
        schema.expect_kind("PROTOBUF")?;
        Ok(Arc::new(plan::ProtobufPlan::new(&reader.fields, schema)?))
    }

    fn reasons(&self) -> &'static [Reason] {
        &[Reason::UnknownSchema, Reason::NotProtobuf]
    }

    fn tokenize(&self, reader: &Reader, payload: &[u8], record: &mut Record) -> Result<(), Reason> {
        reader.writers.tokenize(payload, record, Reason::NotProtobuf)
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
