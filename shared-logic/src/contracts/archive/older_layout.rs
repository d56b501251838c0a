//! The layout of events that were archived before bytes were kept, and under which rules it tells what the bytes would (R11).
//!
//! A row has a column for each field that was declared, and in [`EXTRA`] the other members of the record's JSON object, as they were
//! written. So of an undeclared member everything is known. Of a declared one its value is known, and not how it was written: `5` may
//! have been `5.0`. A [document](Documents) puts both together to an object that stands for the payload. Under rules that read nothing
//! else ([`OlderLayout::is_read_by`]) a decoder makes of the document what it would make of the payload, event or not. Under all
//! others nothing is decoded, and the records are a gap.
//!
//! What is decided here must not change without another [`DECODER_VERSION`]: views that were counted before would lack rows.
//!
//! - `documents`: rows → documents.

mod documents;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use polars::prelude::{DataFrame, DataType, PlSmallStr, PolarsResult, Schema};
use serde::{Deserialize, Serialize};

pub use documents::Documents;

use super::EXTRA;
use crate::catalog::{DECODER_VERSION, Source};
use crate::format::Format;
use crate::schema::{Field, FieldType, InstantFormat, Place, Step};

/// What the rows of events tell that were archived before bytes were kept, under the rules of the first archiver that keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlderLayout {
    /// The [`DECODER_VERSION`] of those rules.
    decoder: u32,
    /// No payload has more bytes.
    max_record: u64,
    /// The declared members, which have a column of that type. `None`: the field had been taken out of the catalog by then, and
    /// compaction dropped its values for good.
    members: BTreeMap<String, Option<FieldType>>,
}

impl OlderLayout {
    /// The layout of a table that declares these columns, under the rules of that source. `None`, if the table was not written under
    /// them, or they say what no build of that time knew.
    pub fn of(source: &Source, declared: &Schema) -> Option<OlderLayout> {
        let is_older = |field: &Field| {
            let is_plain = *field == Field::new(&field.name, field.kind, field.optional);
            is_plain && declared.get(&field.name) == Some(&field.kind.table_type())
        };
        let is_json = source.format == Format::Json && source.time_zone.is_none() && declared.contains(EXTRA);
        if !is_json || !source.fields.iter().all(is_older) {
            return None;
        }
        // The platform's own columns begin with _, and no field does.
        let fields = declared.iter_names().filter(|name| !name.starts_with('_'));
        let members = fields.map(|name| (name.to_string(), source.field(name).map(|field| field.kind)));
        Some(OlderLayout { decoder: DECODER_VERSION, max_record: source.max_record, members: members.collect() })
    }

    /// Whether the rows tell everything that the rules of a source read in the records.
    pub fn is_read_by(&self, source: &Source) -> bool {
        self.decoder == DECODER_VERSION
            && source.format == Format::Json
            && source.max_record >= self.max_record
            && source.fields.iter().all(|field| self.tells(field))
    }

    /// Whether the rows tell all that this field reads.
    fn tells(&self, field: &Field) -> bool {
        let (name, is_inside) = match &field.place {
            Place::Own => (&field.name, false),
            Place::Path(steps) => match steps.as_slice() {
                [Step::Member(name), inside @ ..] => (name, !inside.is_empty()),
                _ => return false,
            },
            // It reads how other fields are written.
            Place::Joined(_) => return false,
            // It reads no member.
            Place::Record => return true,
        };
        match self.members.get(name) {
            None => true,
            Some(None) => false,
            // What a column holds has nothing inside.
            Some(Some(kind)) => is_inside || tells(*kind, field),
        }
    }

    /// The columns that documents are made from, and the types in which these are read.
    pub fn columns(&self) -> impl Iterator<Item = (PlSmallStr, DataType)> {
        let fields = self.fields().into_iter().map(|field| (PlSmallStr::from(field.name), field.kind.column_type()));
        fields.chain([(PlSmallStr::from(EXTRA), DataType::String)])
    }

    /// The documents of rows that have these columns.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub fn documents(&self, rows: &DataFrame) -> PolarsResult<Documents> {
        Documents::of(self.fields(), rows)
    }

    fn fields(&self) -> Vec<Field> {
        let known = |(name, kind): (&String, &Option<FieldType>)| kind.map(|kind| Field::new(name, kind, true));
        self.members.iter().filter_map(known).collect()
    }
}

/// Whether the value of a member, which was read as `kind`, tells what a field reads in that member.
fn tells(kind: FieldType, field: &Field) -> bool {
    match kind {
        // Nothing else can have been written: a text reads as what it says, and `true` is nothing but true.
        FieldType::String | FieldType::Bool => true,
        // A number of exactly that value. Only those who read its digits ask whether it was `5`, `5.0` or `5e0`.
        FieldType::Int => match field.kind {
            FieldType::String => !field.numbers,
            FieldType::Timestamp => !matches!(field.instants, InstantFormat::Pattern(_)),
            FieldType::Int | FieldType::Float | FieldType::Bool => true,
        },
        // A number that is nearest to that float: `2.0` may have been 2.00000000000000000001, which is no integer.
        FieldType::Float => match field.kind {
            FieldType::String => !field.numbers,
            FieldType::Float | FieldType::Bool => true,
            FieldType::Int | FieldType::Timestamp => false,
        },
        // A text that names its zone, or a number, in quotes or not.
        FieldType::Timestamp => match field.kind {
            FieldType::Timestamp => field.instants == InstantFormat::Usual,
            FieldType::Bool => true,
            FieldType::String | FieldType::Int | FieldType::Float => false,
        },
    }
}
