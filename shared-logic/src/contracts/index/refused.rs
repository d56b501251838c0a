//! What the server refused for good (I3).

use serde::{Deserialize, Serialize};

/// With more refused documents than that, the lanes of a build stop reading: then not some documents are wrong, but the index is.
pub const REFUSED_MAX: u64 = 10_000;

/// A document that the server refused, until a later change of its id is taken, or it is sent again and taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The id of the document.
    pub id: String,
    /// The log of the change that leaves it; of a row that a build began with, that of its last change.
    pub log: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The version that it was written with.
    pub version: u64,
    /// The document, as JSON text.
    pub document: String,
    /// What the server said.
    pub reason: String,
    /// When, microseconds since 1970 by the clock of the process that wrote it.
    pub at_us: i64,
}
