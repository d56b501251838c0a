//! What a server is told when an index is created.

use serde_json::{Map, Value, json};

use crate::catalog::{Index, IndexKind, SLICE};

/// For how long the server remembers the version of a document that was deleted, in seconds (I1). No request is retried for so long, and no
/// batch is sent that is older than half of it: so what arrives late does not bring back what was deleted.
pub const GC_DELETES_S: u64 = 3_600;
/// For how long a document is sent after it was asked what is there, in seconds (I1). A server that is started again remembers only what it
/// had not flushed, so that is minutes, and not half of that hour.
pub const SENT_WITHIN_S: u64 = GC_DELETES_S / 12;

/// How large an index is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// Primary shards.
    pub shards: u32,
    /// Copies of each of them.
    pub replicas: u32,
    /// How often what was written can be found, in milliseconds.
    pub refresh_ms: u64,
}

/// Settings and mappings of an index.
pub fn settings(index: &Index, sizing: Sizing) -> Value {
    let Sizing { shards, replicas, refresh_ms } = sizing;
    let mut properties: Map<String, Value> =
        index.fields.iter().map(|field| (field.name.clone(), mapping(field.kind))).collect();
    properties.insert(SLICE.to_owned(), json!({"type": "short"}));
    json!({
        "settings": {"index": {
            "number_of_shards": shards,
            "number_of_replicas": replicas,
            "refresh_interval": format!("{refresh_ms}ms"),
            "gc_deletes": format!("{GC_DELETES_S}s"),
        }},
        // A document with another field would be one that Braid has not written.
        "mappings": {"dynamic": "strict", "properties": properties},
    })
}

fn mapping(kind: IndexKind) -> Value {
    match kind {
        IndexKind::Text => json!({"type": "text"}),
        IndexKind::Keyword => json!({"type": "keyword"}),
        IndexKind::Integer => json!({"type": "long"}),
        IndexKind::Float => json!({"type": "double"}),
        IndexKind::Time => json!({"type": "date", "format": "strict_date_optional_time"}),
        IndexKind::Boolean => json!({"type": "boolean"}),
    }
}
