//! The writers' schemas that a source's records name, beside its archive: `_schemas/<id>.json`.
//!
//! The first process that needs to know what a schema's id means asks the registry, and writes the answer down before it uses
//! it. What is written first stands, for every layer and for good. So all of them decode a record alike, and a rebuild needs no
//! registry.

use serde::{Deserialize, Serialize};

use crate::format::{SchemaId, WriterSchema};

/// What a schema's id means to a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchivedSchema {
    /// This schema.
    Registered(WriterSchema),
    /// Nothing: the registry did not know it when the first record that names it had arrived long enough ago.
    Unknown,
}

impl ArchivedSchema {
    /// The schema; `None` if it is unknown.
    pub fn schema(&self) -> Option<&WriterSchema> {
        match self {
            ArchivedSchema::Registered(schema) => Some(schema),
            ArchivedSchema::Unknown => None,
        }
    }
}

/// Where the meaning of a schema's id is kept, below the archive's folder.
pub fn schema_path(id: SchemaId) -> String {
    format!("_schemas/{id}.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::SchemaReference;

    #[test]
    fn what_an_id_means_is_written_so() {
        let written = |meaning: &ArchivedSchema| serde_json::to_string(meaning).expect("plain data");
        let reference = SchemaReference { name: "b.proto".to_owned(), text: "…".to_owned() };
        let schema = WriterSchema { kind: "PROTOBUF".to_owned(), text: "…".to_owned(), references: vec![reference] };
        let registered = ArchivedSchema::Registered(schema);
        let text = r#"{"registered":{"kind":"PROTOBUF","text":"…","references":[{"name":"b.proto","text":"…"}]}}"#;
        assert_eq!(written(&registered), text);
        assert_eq!(written(&ArchivedSchema::Unknown), r#""unknown""#);
        assert_eq!(serde_json::from_str::<ArchivedSchema>(text).expect("read"), registered);
        assert_eq!(schema_path(SchemaId(17)), "_schemas/17.json");
    }
}
