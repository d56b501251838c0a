//! Rows of the older layout → documents: the JSON objects that stand for the records' payloads.

use polars::prelude::*;

use super::EXTRA;
use crate::format::{FieldValue, Format, Layout};
use crate::schema::{Field, FieldType};

/// Makes the documents of some rows.
pub struct Documents {
    /// The declared members.
    fields: Vec<Field>,
    /// Their columns, in the same order.
    columns: Vec<Values>,
    extra: StringChunked,
}

enum Values {
    Text(StringChunked),
    Int(Int64Chunked),
    Float(Float64Chunked),
    Bool(BooleanChunked),
    /// Microseconds since 1970.
    Instant(Int64Chunked),
}

impl Documents {
    pub(super) fn of(fields: Vec<Field>, rows: &DataFrame) -> PolarsResult<Documents> {
        let columns = fields.iter().map(|field| Values::of(rows.column(&field.name)?, field.kind));
        let columns = columns.collect::<PolarsResult<Vec<Values>>>()?;
        Ok(Documents { columns, extra: rows.column(EXTRA)?.str()?.clone(), fields })
    }

    /// The document of a row that is an event. A member is absent where its column is null: the record had none, or it had null.
    ///
    /// An undeclared member stands last, so it counts where a field of its name was declared later than the row was written.
    pub fn document(&self, row: usize) -> Vec<u8> {
        let values: Vec<Option<FieldValue<'_>>> = self.columns.iter().map(|values| values.get(row)).collect();
        let layout = Layout { fields: &self.fields, null: &[], time_zone: None };
        with_members(Format::Json.write(layout, &values), self.extra.get(row))
    }
}

impl Values {
    fn of(column: &Column, kind: FieldType) -> PolarsResult<Values> {
        Ok(match kind {
            FieldType::String => Values::Text(column.str()?.clone()),
            FieldType::Int => Values::Int(column.i64()?.clone()),
            FieldType::Float => Values::Float(column.f64()?.clone()),
            FieldType::Bool => Values::Bool(column.bool()?.clone()),
            FieldType::Timestamp => Values::Instant(column.i64()?.clone()),
        })
    }

    fn get(&self, row: usize) -> Option<FieldValue<'_>> {
        match self {
            Values::Text(texts) => texts.get(row).map(FieldValue::Text),
            Values::Int(numbers) => numbers.get(row).map(FieldValue::Int),
            Values::Float(numbers) => numbers.get(row).map(FieldValue::Float),
            Values::Bool(values) => values.get(row).map(FieldValue::Bool),
            Values::Instant(instants) => instants.get(row).map(FieldValue::Instant),
        }
    }
}

/// An object with the members of another one behind its own.
fn with_members(mut object: Vec<u8>, other: Option<&str>) -> Vec<u8> {
    let members = other.and_then(|other| other.strip_prefix('{')?.strip_suffix('}'));
    if let Some(members) = members.filter(|members| !members.is_empty()) {
        object.pop();
        if object.len() > 1 {
            object.push(b',');
        }
        object.extend_from_slice(members.as_bytes());
        object.push(b'}');
    }
    object
}
