//! `[sources.…]`: Kafka topics with a declared schema.

use std::borrow::Cow;

use chrono_tz::Tz;

use super::{Cron, DefinitionHash};
use crate::format::{FieldValue, Format, Layout};
use crate::schema::Field;

/// The largest number of fields that together identify an event.
pub const MAX_EVENT_ID: usize = 4;

/// A Kafka topic with a declared schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The source's name, the key of its table in the catalog.
    pub name: String,
    /// The Kafka topic; no two sources share one.
    pub topic: String,
    /// How many partitions Braid gives the topic when it creates it.
    pub partitions: u32,
    /// The fields that together identify an event: required strings or ints, at most [`MAX_EVENT_ID`]. Without any, no event
    /// counts as a duplicate.
    pub event_id: Vec<String>,
    /// The required timestamp field that says when the event happened.
    pub event_time: String,
    /// The field that producers key records by.
    pub key: Option<String>,
    /// An event that is older than its record's timestamp by more than this is rejected. Microseconds.
    pub max_age_us: i64,
    /// An event that is newer than its record's timestamp by more than this is rejected. Microseconds.
    pub max_ahead_us: i64,
    /// How long the archive keeps events after their day: microseconds, at least `max_age`. `None`: for good.
    pub retain_us: Option<i64>,
    /// A record whose payload has more bytes than this is rejected.
    pub max_record: u64,
    /// Where reading starts in a topic that already holds records.
    pub start: Start,
    /// How payloads are written.
    pub format: Format,
    /// The texts that stand for an absent value, in formats that hold texts only: at least one there, else none.
    pub null: Vec<String>,
    /// The zone of instants that name none.
    pub time_zone: Option<Tz>,
    /// Of which records the archive keeps the bytes (`raw` in the file).
    pub kept_bytes: KeptBytes,
    /// When its metrics are reconciled; `None`: by the catalog's schedule.
    pub reconcile: Option<Cron>,
    /// How many offsets back the speed layer looks for an earlier copy of an event, per partition.
    pub dedup_window: u64,
    /// Declared fields, in the order of the file (the column order of `tsv` and `csv`). An event time that is put together
    /// from other fields is the last one.
    pub fields: Vec<Field>,
    /// Whether it is a stream: its topic is written by Braid, and a record without a payload is a mark.
    pub is_stream: bool,
    /// Whether it is a table: its records are changes of rows, and some of them deletes. Its last field is
    /// [`CHANGED_AT`](super::CHANGED_AT).
    pub is_table: bool,
    /// The definition by which the stream's records are written; `None` of what is no stream.
    pub written_by: Option<DefinitionHash>,
    /// Whether the stream keys records anew, so that a partition has a front for each partition that it was written from.
    pub rekeyed: bool,
}

impl Source {
    /// The declared field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Writes a row as a payload. `values` are those of the fields, in the same order; `None` is absent.
    ///
    /// The decoder reads the same values, as far as the format can hold them: not, for example, a text with tabs in a line of
    /// TSV, or one that stands for an absent value.
    pub fn write(&self, values: &[Option<FieldValue<'_>>]) -> Vec<u8> {
        self.format.write(self.layout(), values)
    }

    /// How Braid has its topic kept, if it creates it; what is not named stays as the broker has it.
    pub fn topic_config(&self) -> &'static [(&'static str, &'static str)] {
        if self.is_table { &super::table::TOPIC } else { &[] }
    }

    /// Finds the text of the field at that position, without judging the rest of the payload. `None` if the field is absent
    /// or the payload is too broken to find it.
    pub fn field_text<'a>(&self, payload: &'a [u8], at: usize) -> Option<Cow<'a, [u8]>> {
        self.format.field_text(self.layout(), payload, at)
    }

    fn layout(&self) -> Layout<'_> {
        Layout { fields: &self.fields, null: &self.null, time_zone: self.time_zone }
    }
}

/// Where reading starts in a topic that already holds records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that the topic still holds.
    Earliest,
    /// At the topic's end.
    Latest,
}

/// Of which records the archive keeps the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptBytes {
    /// Of every record, so that the decoding rules can be changed.
    All,
    /// Only of those that could not be decoded. This saves disk; changed rules can be applied to what is archived only as long
    /// as the topic still holds all of it.
    Rejected,
}

/// The catalog has no source of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the catalog declares no source `{name}`; it declares {}", .known.join(", "))]
pub struct UnknownSource {
    /// The name that was asked for.
    pub name: String,
    /// The names of the catalog's sources.
    pub known: Vec<String>,
}

/// Records cannot be sent or imported under that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnInput {
    /// There is no such source.
    #[error(transparent)]
    Unknown(#[from] UnknownSource),
    /// It is a stream.
    #[error("`{name}` is a stream, which Braid writes itself; its records are made from those of `{from}`")]
    Stream {
        /// The name that was asked for.
        name: String,
        /// What the stream reads.
        from: String,
    },
    /// It is a table, and what was asked for takes no changes.
    #[error("`{name}` is a table: its records are keyed changes, which only its topic can tell")]
    Table {
        /// The name that was asked for.
        name: String,
    },
}
