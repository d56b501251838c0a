//! Why a record was rejected: it cannot be decoded to an event of its source. A mark of a stream and a delete of a table are none
//! either, and no rejects.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::schema::Field;

/// Why a record is no event. The list is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No payload, or nothing in it. A byte-order mark is nothing.
    Empty,
    /// The payload is longer than the source's `max_record`.
    TooLong,
    /// The payload is not UTF-8.
    NotUtf8,
    /// The payload is not JSON (RFC 8259).
    NotJson,
    /// The payload is JSON, but not an object.
    NotObject,
    /// The registry does not know the schema that the payload names, or it is not one that the source's format can be read with.
    UnknownSchema,
    /// The payload is not framed for a schema registry, or what it holds is not a datum of the schema that it names.
    NotAvro,
    /// The payload is not framed for a schema registry, or what it holds is not a message of the schema that it names.
    NotProtobuf,
    /// The payload is no envelope of a change of one row: it lacks `op` or `after`, or its operation is another, such as a truncation.
    NotChange,
    /// A line or row has another number of columns than the source has fields, a quote in the wrong place, or a second one
    /// behind it; or a line of an access log has another form.
    WrongColumns,
    /// A required field is absent.
    MissingField,
    /// A field holds another type than declared.
    WrongType,
    /// An integer outside of 64 bits, a float that is not finite, or an instant outside the years 1 to 9999.
    OutOfRange,
    /// The event is older than its record by more than the source's `max_age`.
    TooOld,
    /// The event is newer than its record by more than the source's `max_ahead`.
    TooFarAhead,
    /// The record of a table has no key, or its key is not that of its row.
    WrongKey,
    /// The record deletes a row of a table: neither an event nor a reject.
    Delete,
    /// The record is a mark, which a stream that re-keys has written between its outputs: neither an event nor a reject.
    Mark,
}

impl Reason {
    /// Every reason for which a record is a reject, in the order in which it is judged.
    pub const ALL: [Reason; 16] = [
        Reason::Empty,
        Reason::TooLong,
        Reason::NotUtf8,
        Reason::NotJson,
        Reason::NotObject,
        Reason::UnknownSchema,
        Reason::NotAvro,
        Reason::NotProtobuf,
        Reason::NotChange,
        Reason::WrongColumns,
        Reason::MissingField,
        Reason::WrongType,
        Reason::OutOfRange,
        Reason::TooOld,
        Reason::TooFarAhead,
        Reason::WrongKey,
    ];

    /// The reason's word in the archive, the API and telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooLong => "too_long",
            Reason::NotUtf8 => "not_utf8",
            Reason::NotJson => "not_json",
            Reason::NotObject => "not_object",
            Reason::UnknownSchema => "unknown_schema",
            Reason::NotAvro => "not_avro",
            Reason::NotProtobuf => "not_protobuf",
            Reason::NotChange => "not_change",
            Reason::WrongColumns => "wrong_columns",
            Reason::MissingField => "missing_field",
            Reason::WrongType => "wrong_type",
            Reason::OutOfRange => "out_of_range",
            Reason::TooOld => "too_old",
            Reason::TooFarAhead => "too_far_ahead",
            Reason::WrongKey => "wrong_key",
            Reason::Delete => "delete",
            Reason::Mark => "mark",
        }
    }

    /// Whether a record for which this holds is a reject: counted, listed and shown as one.
    pub fn is_reject(self) -> bool {
        !matches!(self, Reason::Mark | Reason::Delete)
    }
}

/// An invalid record: the reason and, where there is one, the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// The position of the offending field among the source's fields.
    pub field: Option<usize>,
}

impl Rejected {
    /// A rejection of the whole record.
    pub fn whole(reason: Reason) -> Rejected {
        Rejected { reason, field: None }
    }

    /// A rejection because of the field at that position.
    pub fn at(reason: Reason, field: usize) -> Rejected {
        Rejected { reason, field: Some(field) }
    }

    /// `reason` or `reason:field`, as in the archive's `_error` column. `fields` are those of the source.
    pub fn text(&self, fields: &[Field]) -> String {
        match self.field {
            Some(field) => format!("{}:{}", self.reason.name(), fields[field].name),
            None => self.reason.name().to_owned(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
