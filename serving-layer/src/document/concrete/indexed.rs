//! Fields of search indexes: as parameters, and in documents.

use serde_json::{Map, Value, json};
use shared_logic::catalog::{Index, IndexField, IndexKind};
use shared_logic::index::TEXT_MAX;
use shared_logic::schema::FieldType;

use super::columns;

/// A number without a fraction, as a pattern.
const INTEGER: &str = "[+-]?[0-9]{1,19}";
/// A number.
const FLOAT: &str = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?";
/// An instant.
const INSTANT: &str =
    "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})";

/// What a field has to be.
pub(super) fn parameter(field: &IndexField) -> Value {
    let name = &field.name;
    let range = |of: &str| {
        let pattern = format!("^(({of})|({of})?[.][.]({of})?)$");
        let text = format!(
            "The documents with this value of `{name}`, or with one in this range: both ends belong to it, and one may be left out."
        );
        (text, json!({"type": "string", "pattern": pattern, "maxLength": TEXT_MAX}))
    };
    let value = || format!("The documents with this value of `{name}`.");
    let text = json!({"type": "string", "maxLength": TEXT_MAX});
    let ((description, schema), example) = match field.kind {
        IndexKind::Text => ((format!("The documents with all of these words in `{name}`."), text), "ada".into()),
        IndexKind::Keyword => ((value(), text), columns::example(FieldType::String)),
        IndexKind::Integer => (range(INTEGER), "1..100".into()),
        IndexKind::Float => (range(FLOAT), "0.5..100".into()),
        IndexKind::Time => (range(INSTANT), "2026-04-24T09:30:00Z..".into()),
        IndexKind::Boolean => ((value(), columns::of_type(FieldType::Bool)), columns::example(FieldType::Bool)),
    };
    json!({"name": name, "in": "query", "description": description, "required": false, "schema": schema, "example": example})
}

/// By what documents can be ordered, and one such order; `None`: all fields are texts that are taken apart into words.
pub(super) fn order(index: &Index) -> Option<(Value, Value)> {
    let fields = index.fields.iter().filter(|field| field.kind != IndexKind::Text).map(|field| &field.name);
    let orders: Vec<String> = fields.flat_map(|name| [name.clone(), format!("-{name}")]).collect();
    let first = orders.first()?.clone();
    let schema = json!({"type": "array", "items": {"type": "string", "enum": orders}, "minItems": 1});
    Some((schema, json!([first])))
}

/// The schema of a document. A field that the row does not have is absent, and so may any be while the build is of an older definition.
pub(super) fn document(index: &Index) -> Value {
    let properties = index.fields.iter().map(|field| {
        let kind = match field.kind {
            IndexKind::Text | IndexKind::Keyword => FieldType::String,
            IndexKind::Integer => FieldType::Int,
            IndexKind::Float => FieldType::Float,
            IndexKind::Time => FieldType::Timestamp,
            IndexKind::Boolean => FieldType::Bool,
        };
        (field.name.clone(), columns::in_answer(kind, false))
    });
    let properties: Map<String, Value> = properties.collect();
    json!({
        "type": "object",
        "description": "The fields of the index that the row has. While `rebuilding`, those of the definition before may be there.",
        "properties": properties,
    })
}
