//! `debezium`: one change of a row per record, in JSON, with or without the block that describes its schema.
//!
//! The row is the object `after`. The members of a record that has a schema block stand one step deeper, in `payload`. A record that
//! deletes a row is none that can be read ([`Reason::Delete`]).

use std::borrow::Cow;

use super::json::{self, Json};
use super::places::{Places, steps};
use super::record::{Cell, Record, Token};
use super::{Codec, FieldValue, Layout, Reader};
use crate::rejection::Reason;
use crate::schema::{Field, Step};

/// What a record with a schema block has its other members in.
const PAYLOAD: &str = "payload";
/// The row as the change left it.
const AFTER: &str = "after";
/// What the change did: created, updated, deleted, or read a row for a snapshot.
const OPERATION: &str = "op";

pub(super) struct Debezium;

impl Codec for Debezium {
    fn name(&self) -> &'static str {
        "debezium"
    }

    fn is_positional(&self) -> bool {
        false
    }

    fn null(&self) -> Option<&'static str> {
        None
    }

    fn reasons(&self) -> &'static [Reason] {
        &[Reason::NotJson, Reason::NotObject, Reason::NotChange]
    }

    /// The fields inside of `after`; behind them the operation, and `after` itself.
    fn places(&self, fields: &[Field]) -> Places {
        let rows = fields.iter().map(|field| (AFTER, steps(field)));
        let mut places = Places::default();
        for (at, (name, rest)) in rows.chain([(OPERATION, Vec::new()), (AFTER, Vec::new())]).enumerate() {
            let way: Vec<Step> = [Step::Member(name.to_owned())].into_iter().chain(rest).collect();
            let deeper: Vec<Step> = [Step::Member(PAYLOAD.to_owned())].into_iter().chain(way.iter().cloned()).collect();
            places.enter(at, &way);
            places.enter(at, &deeper);
        }
        places
    }

    fn tokens(&self, fields: usize) -> usize {
        fields + 2
    }

    fn tokenize(&self, reader: &Reader, payload: &[u8], record: &mut Record) -> Result<(), Reason> {
        json::tokenize(&reader.places, payload, record)?;
        let fields = reader.fields.len();
        let Token::Text(operation) = record.tokens[fields] else { return Err(Reason::NotChange) };
        match operation.of(payload, &record.unescaped) {
            b"d" => Err(Reason::Delete),
            b"c" | b"u" | b"r" if record.tokens[fields + 1] == Token::Nested => Ok(()),
            _ => Err(Reason::NotChange),
        }
    }

    fn cell(
        &self,
        reader: &Reader,
        field: &Field,
        token: Token,
        payload: &[u8],
        unescaped: &[u8],
    ) -> Result<Cell, Reason> {
        Json.cell(reader, field, token, payload, unescaped)
    }

    fn write(&self, layout: Layout<'_>, values: &[Option<FieldValue<'_>>]) -> Vec<u8> {
        let row = Json.write(layout, values);
        [&br#"{"before":null,"after":"#[..], row.as_slice(), &br#","op":"u"}"#[..]].concat()
    }

    fn field_text<'a>(&self, layout: Layout<'_>, payload: &'a [u8], at: usize) -> Option<Cow<'a, [u8]>> {
        let field = layout.fields.get(at)?;
        json::text_at(&self.places(std::slice::from_ref(field)), self.tokens(1), payload)
    }
}

#[cfg(test)]
mod tests;
