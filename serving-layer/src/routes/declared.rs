//! A declared field, as lists of metrics, streams and tables show it.

use serde::Serialize;
use shared_logic::schema::Field;
use utoipa::ToSchema;

/// A field, or a column of a group key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeclaredField {
    name: String,
    /// `string`, `int`, `float`, `bool` or `timestamp`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Whether it may be absent, so that `<name>.missing=true` can be asked.
    optional: bool,
}

impl DeclaredField {
    /// What is declared of a field.
    pub(crate) fn new(field: &Field) -> DeclaredField {
        DeclaredField { name: field.name.clone(), kind: field.kind.name(), optional: field.optional }
    }
}
