//! The Delta archive of a source, in `<name>/archive/<source>`: every record that arrived.
//!
//! A row is a record: where it lies, its bytes, and what these were decoded to: its declared fields as columns, or the
//! reason why it is invalid. The bytes are the truth, and the rest is a cache under the [rules](RULES) that its file
//! names (R11). Each commit carries [`Facts`] in the same atomic write as its rows, as Delta domain metadata.
//!
//! - `headers`: how headers are written;
//! - `older_layout`: what rows tell that were archived before bytes were kept (R11);
//! - `facts`: what the archive knows of the source's logs, and how each fact may change (R6);
//! - `registration`: what an archiver's session changes once it has seen the topic (R6);
//! - `schemas`: the writers' schemas that records name, beside the table (R11).

mod facts;
mod headers;
mod older_layout;
mod registration;
mod schemas;

pub use facts::{
    Appended, AppendedTo, ColumnsOnly, Decodable, ErasedIn, ErasedPart, Erasure, Facts, Import, ImportedRecords,
    LeftIn, LogFacts, Lost, NotHeld, PartitionFacts, Place, Rejects, TopicLog, Unreached, WhyNotHeld, import_log,
};
pub use headers::{headers_of, headers_text};
pub use older_layout::{Documents, OlderLayout};
pub use registration::Change;
pub use schemas::{ArchivedSchema, schema_path};

use polars::prelude::{DataType, PlSmallStr, Schema};

use crate::plan::in_sql::RecordColumns;
use crate::rejection::Reason;
use crate::schema::Field;

/// The Delta metadata domain that holds the [`Facts`].
pub const FACTS_DOMAIN: &str = "braid.archive";
/// Where the facts' JSON has an entry for each log: most of these are over and do not change any more.
pub const FACTS_LOGS: &str = "/facts/logs";

/// The partition column: the event's day, or the record's if it could not be decoded. `YYYY-MM-DD`.
pub const DAY: &str = "_day";
/// The log's id.
pub const LOG: &str = "_log";
/// The partition's number.
pub const PARTITION: &str = "_partition";
/// The record's offset.
pub const OFFSET: &str = "_offset";
/// The name under which a file's entry in the table's log has the smallest and largest offset of each partition, `<log>/<partition>`. One
/// partition may be far behind another, so the range of all offsets says little.
pub const PARTITION_OFFSETS: &str = "_log/_partition/_offset";
/// The record's own timestamp, microseconds UTC; null if it has none.
pub const TIMESTAMP: &str = "_timestamp";
/// The record's key, bytes.
pub const KEY: &str = "_key";
/// The record's headers, a JSON array of `[name, value]`. A value is text, `null`, or, if it is not UTF-8,
/// `{"hex": "<digits>"}`.
pub const HEADERS: &str = "_headers";
/// The rules that the row was decoded under: a [`RulesHash`](crate::catalog::RulesHash), the same in every row of a
/// file. Files that were written before bytes were kept do not have it.
pub const RULES: &str = "_rules";
/// The record's payload. Null in a row with an `_error`: the record has no payload. Null in a row without one: the
/// bytes were not kept.
pub const RAW: &str = "_raw";
/// What tells the record from another at the same offset (R12), whether its bytes were kept or not: the low 32 bits of the
/// hash of its key, payload and headers, in two's complement, which is its
/// [`short_hash`](crate::log::Witness::short_hash). Null in rows of builds that did not have this column.
pub const HASH: &str = "_hash";
/// The undeclared members of an event that was archived before bytes were kept: the text of a JSON object, or null if there are none.
pub const EXTRA: &str = "_extra";
/// Why the record is no event: `reason` or `reason:field`, which may be that of a mark or of a delete; or [`ERASED`].
pub const ERROR: &str = "_error";
/// The error of a record that was an event and is erased. Its row keeps where the record lay, its timestamp and its short hash, by
/// which R12 compares it with the log, and nothing else. No decoder gives this reason, and no decoder sees such a row again.
pub const ERASED: &str = "erased";

/// The columns of a record that a query of events reads.
pub const RECORD: RecordColumns = RecordColumns { log: LOG, partition: PARTITION, offset: OFFSET, error: ERROR };

/// Whether a row with that error is a reject: neither a mark of a stream, nor a delete of a table, nor erased.
pub fn is_reject(error: &str) -> bool {
    ![ERASED, Reason::Mark.name(), Reason::Delete.name()].contains(&error)
}

/// The column that holds a field, in a table that declares those columns.
///
/// One column cannot hold two types. A field whose name is taken by a column of another type has a column of its own,
/// `_<field>_<type>`. Tables never lose a column or change its type, so a field's column stays the same. Delta tells
/// names apart without regard to case.
pub fn field_column(field: &Field, declared: &Schema) -> PlSmallStr {
    let taken = declared.iter().any(|(name, dtype)| {
        name.eq_ignore_ascii_case(&field.name) && (name.as_str() != field.name || *dtype != field.kind.table_type())
    });
    if taken { format!("_{}_{}", field.name, field.kind.name()).into() } else { field.name.as_str().into() }
}

/// The columns of a record, which come before those of the fields, because Delta keeps statistics of the first columns
/// only: those of `_log`, `_partition`, `_offset` and `_rules` are needed.
pub fn record_columns() -> [(PlSmallStr, DataType); 10] {
    use crate::schema::INSTANT;
    let columns = [
        (LOG, DataType::String),
        (PARTITION, DataType::Int32),
        (OFFSET, DataType::Int64),
        (RULES, DataType::String),
        (TIMESTAMP, INSTANT),
        (KEY, DataType::Binary),
        (HEADERS, DataType::String),
        (RAW, DataType::Binary),
        (HASH, DataType::Int32),
        (ERROR, DataType::String),
    ];
    columns.map(|(name, dtype)| (name.into(), dtype))
}

/// The consumer group of the archivers of an archive, which divides its topic's partitions among them. Names of sources and versions hold no
/// dots, and an archive's name only one between these two, so no other group has so many parts of which the last is `records`.
pub fn group(deployment: &str, archive: &str) -> String {
    format!("braid.{deployment}.archive.{archive}.records")
}

/// The path of a source's archive below the deployment's root, `<store.url>/<name>`.
pub fn path(source: &str) -> String {
    format!("archive/{source}")
}
