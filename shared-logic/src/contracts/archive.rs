//! The Delta archive of a source, in `<name>/archive/<source>`: every record that arrived.
//!
//! A row is a record: where it lies, its declared fields as columns, and, if it could not be decoded, its bytes and the
//! reason. Each commit carries [`Facts`] in the same atomic write as its rows, as Delta domain metadata.
//!
//! - `facts`: what the archive knows of the source's logs, and how each fact may change (R6);
//! - `registration`: what an archiver's session changes once it has seen the topic (R6).

mod facts;
mod registration;

pub use facts::{Facts, LogFacts, Lost, PartitionFacts, Place, Rejects};
pub use registration::Change;

/// The Delta metadata domain that holds the [`Facts`].
pub const FACTS_DOMAIN: &str = "braid.archive";

/// The partition column: the event's day, or the record's if it could not be decoded. `YYYY-MM-DD`.
pub const DAY: &str = "_day";
/// The log's id.
pub const LOG: &str = "_log";
/// The partition's number.
pub const PARTITION: &str = "_partition";
/// The record's offset.
pub const OFFSET: &str = "_offset";
/// The record's own timestamp, microseconds UTC; null if it has none.
pub const TIMESTAMP: &str = "_timestamp";
/// The record's key, bytes.
pub const KEY: &str = "_key";
/// The record's headers, a JSON array of `[name, value]`.
pub const HEADERS: &str = "_headers";
/// Undeclared members of a JSON payload, as a JSON object.
pub const EXTRA: &str = "_extra";
/// The payload of a record that could not be decoded.
pub const RAW: &str = "_raw";
/// Why the record could not be decoded: `reason` or `reason:field`.
pub const ERROR: &str = "_error";

/// The path of a source's archive below the deployment's root, `<store.url>/<name>`.
pub fn path(source: &str) -> String {
    format!("archive/{source}")
}
