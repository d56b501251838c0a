//! Bytes → columns, or the reason why not.
//!
//! One decoder serves every layer, so a record is an event in all of them or in none. It is directed by the source's
//! schema: its [format](crate::format) scans a payload once into one token per declared field, without allocating, and
//! types them. Everything is judged in a fixed order: the bytes and their number, the document, the fields as declared, the
//! event's age. What it says depends on the payload and the record's own timestamp alone.
//!
//! - `columns`: cells → a `DataFrame`;
//! - `key`: the key of a table's record.

mod columns;
mod key;

pub use columns::Columns;
pub use key::RecordKey;

use crate::catalog::Source;
use crate::format::{Cell, FieldValue, Reader, Record, SchemaId, Span, UnusableSchema, WriterSchema, without_mark};
use crate::identity::{IdValue, Identity};
use crate::rejection::{Reason, Rejected};
use crate::schema::FieldType;
use crate::time::{MAX_INSTANT_US, MIN_INSTANT_US};

/// Decodes the records of one source. A clone knows the same schemas.
#[derive(Debug, Clone)]
pub struct Decoder {
    source: Source,
    reader: Reader,
    event_id: Vec<usize>,
    event_time: usize,
    /// How a table's records are keyed.
    key: Option<RecordKey>,
    /// The current payload.
    record: Record,
}

/// One decoded event, valid until the next payload is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    decoder: &'a Decoder,
    payload: &'a [u8],
    /// When it happened, in microseconds since 1970.
    pub time_us: i64,
}

/// What a record of a table does to the row of its key.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// The key: a text, or the digits of an integer.
    pub key: String,
    /// The row from now on; `None`: there is none.
    pub row: Option<Event<'a>>,
}

impl Decoder {
    /// A decoder for one source of a checked catalog.
    pub fn new(source: &Source) -> Decoder {
        let position = |name: &str| source.fields.iter().position(|field| field.name == name);
        // A table's last field is the record's own time, which no payload holds.
        let in_payloads = source.fields.len() - usize::from(source.is_table);
        let reader = Reader::new(source.format, &source.fields[..in_payloads], &source.null, source.time_zone);
        Decoder {
            event_id: source.event_id.iter().filter_map(|name| position(name)).collect(),
            event_time: position(&source.event_time).expect("a checked catalog declares the event time"),
            key: RecordKey::of(source),
            record: Record::new(reader.tokens().max(source.fields.len())),
            reader,
            source: source.clone(),
        }
    }

    /// The schema that a record names and that this decoder lacks. Without it, the record is rejected as `unknown_schema`, so
    /// the decoder has to [learn](Decoder::learn) it first. Always `None`, if the source's format names no schemas, or the
    /// record is too long anyway.
    pub fn missing_schema(&self, payload: Option<&[u8]>) -> Option<SchemaId> {
        self.reader.missing_schema(payload.filter(|payload| !self.is_too_long(payload))?)
    }

    /// Takes in what a schema's id means; `None`: its registry does not know it.
    ///
    /// # Errors
    /// If records of the schema cannot be read. They are rejected as `unknown_schema` then.
    pub fn learn(&mut self, id: SchemaId, schema: Option<&WriterSchema>) -> Result<(), UnusableSchema> {
        self.reader.learn(id, schema)
    }

    /// How many schemas' ids this decoder has learned.
    pub fn schemas(&self) -> usize {
        self.reader.schemas()
    }

    /// Forgets all schemas, so that their number stays bounded.
    pub fn forget_schemas(&mut self) {
        self.reader.forget_schemas();
    }

    /// Decodes one record with its key, which only tables look at.
    ///
    /// # Errors
    /// As [`Decoder::decode`], or of a table as [`Decoder::change`]; a delete is an error, too.
    pub fn decode_keyed<'a>(
        &'a mut self,
        key: Option<&[u8]>,
        payload: Option<&'a [u8]>,
        record_time_us: Option<i64>,
    ) -> Result<Event<'a>, Rejected> {
        if self.key.is_none() {
            return self.decode(payload, record_time_us);
        }
        self.change(key, payload, record_time_us)?.row.ok_or(Rejected::whole(Reason::Delete))
    }

    /// The change that a record of a table is: the row that it decodes to, whose key has to be that of the record, or a delete.
    ///
    /// # Errors
    /// As [`Decoder::decode`], but for deletes; and [`Reason::WrongKey`] where nothing else is wrong.
    pub fn change<'a>(
        &'a mut self,
        key: Option<&[u8]>,
        payload: Option<&'a [u8]>,
        record_time_us: Option<i64>,
    ) -> Result<Change<'a>, Rejected> {
        let named = self.key.as_ref().and_then(|keyed| Some((keyed.field(), keyed.text(key)?)));
        match (self.decode(payload, record_time_us), named) {
            (Ok(event), Some((field, key))) if event.text_of(field).as_deref() == Some(key.as_str()) => {
                Ok(Change { key, row: Some(event) })
            }
            (Err(rejected), Some((_, key))) if rejected.reason == Reason::Delete => Ok(Change { key, row: None }),
            (Err(rejected), _) if rejected.reason != Reason::Delete => Err(rejected),
            (Ok(_) | Err(_), _) => Err(Rejected::whole(Reason::WrongKey)),
        }
    }

    /// Decodes one record.
    ///
    /// `payload` is the record's value (`None`: a tombstone, a delete of a table, or a mark of a stream) and `record_time_us` its own
    /// Kafka timestamp, against which the event's age is judged (`None`: not judged).
    ///
    /// # Errors
    /// The first reason, in the order of [`Reason::ALL`] for the document and of the fields for its values.
    pub fn decode<'a>(
        &'a mut self,
        payload: Option<&'a [u8]>,
        record_time_us: Option<i64>,
    ) -> Result<Event<'a>, Rejected> {
        if payload.is_none() && self.source.is_stream {
            return Err(Rejected::whole(Reason::Mark));
        }
        if payload.is_none() && self.source.is_table {
            return Err(self.delete(record_time_us));
        }
        let payload = payload.unwrap_or_default();
        if self.is_too_long(payload) {
            return Err(Rejected::whole(Reason::TooLong));
        }
        let is_text = !self.source.format.names_schemas();
        let payload = if is_text { without_mark(payload) } else { payload };
        if payload.is_empty() {
            return Err(Rejected::whole(Reason::Empty));
        }
        if is_text && simdutf8::basic::from_utf8(payload).is_err() {
            return Err(Rejected::whole(Reason::NotUtf8));
        }
        self.decode_document(payload, record_time_us)
    }

    /// Decodes a document, which is not empty and, unless its format is binary, UTF-8. It may stand for a payload whose bytes are not
    /// known: how long it is does not matter.
    ///
    /// # Errors
    /// As [`Decoder::decode`] has them for a payload that is not too long.
    pub fn decode_document<'a>(
        &'a mut self,
        document: &'a [u8],
        record_time_us: Option<i64>,
    ) -> Result<Event<'a>, Rejected> {
        let read = self.reader.read(document, &mut self.record);
        if self.source.is_table {
            read.map_err(
                |rejected| if rejected.reason == Reason::Delete { self.delete(record_time_us) } else { rejected },
            )?;
            self.record.cells[self.event_time] = Cell::Int(self.record_time(record_time_us)?);
        } else {
            read?;
        }
        let time_us = self.judge_age(record_time_us)?;
        Ok(Event { decoder: self, payload: document, time_us })
    }

    fn is_too_long(&self, payload: &[u8]) -> bool {
        payload.len() as u64 > self.source.max_record
    }

    /// What a record is that deletes a row of a table: a delete, if it has a time.
    fn delete(&self, record_time_us: Option<i64>) -> Rejected {
        self.record_time(record_time_us).err().unwrap_or(Rejected::whole(Reason::Delete))
    }

    /// The time of a change, which is its record's own.
    fn record_time(&self, record_time_us: Option<i64>) -> Result<i64, Rejected> {
        let time_us = record_time_us.ok_or(Rejected::at(Reason::MissingField, self.event_time))?;
        let is_known = (MIN_INSTANT_US..MAX_INSTANT_US).contains(&time_us);
        if is_known { Ok(time_us) } else { Err(Rejected::at(Reason::OutOfRange, self.event_time)) }
    }

    fn judge_age(&self, record_time_us: Option<i64>) -> Result<i64, Rejected> {
        let Cell::Int(time_us) = self.record.cells[self.event_time] else {
            return Err(Rejected::at(Reason::MissingField, self.event_time));
        };
        let Some(record_time_us) = record_time_us else { return Ok(time_us) };
        if time_us < record_time_us.saturating_sub(self.source.max_age_us) {
            return Err(Rejected::at(Reason::TooOld, self.event_time));
        }
        if time_us > record_time_us.saturating_add(self.source.max_ahead_us) {
            return Err(Rejected::at(Reason::TooFarAhead, self.event_time));
        }
        Ok(time_us)
    }
}

impl Event<'_> {
    /// The event's identity, or `None` if its source names no event id: then nothing is a duplicate.
    pub fn identity(&self) -> Option<Identity> {
        let fields = &self.decoder.event_id;
        (!fields.is_empty()).then(|| Identity::of(fields.iter().map(|field| self.id(*field)), self.time_us))
    }

    /// The value of a field, by its place among the source's fields; `None` if it is absent.
    pub fn value(&self, field: usize) -> Option<FieldValue<'_>> {
        let is_instant = self.decoder.source.fields[field].kind == FieldType::Timestamp;
        Some(match self.decoder.record.cells[field] {
            Cell::Null => return None,
            Cell::Text(span) => FieldValue::Text(self.str(span)),
            Cell::Int(us) if is_instant => FieldValue::Instant(us),
            Cell::Int(number) => FieldValue::Int(number),
            Cell::Float(number) => FieldValue::Float(number),
            Cell::Bool(value) => FieldValue::Bool(value),
        })
    }

    /// The values of the fields that payloads have, in their order; `None` is absent.
    pub fn values(&self) -> impl Iterator<Item = Option<FieldValue<'_>>> {
        let source = &self.decoder.source;
        (0..source.fields.len() - usize::from(source.is_table)).map(move |field| self.value(field))
    }

    /// The text of a key field, by its place among the source's fields: a text, or the digits of an integer.
    fn text_of(&self, field: usize) -> Option<String> {
        self.value(field).map(|value| value.to_string())
    }

    /// The value of a field that identifies the event, which a checked catalog declares as a required text or integer.
    fn id(&self, field: usize) -> IdValue<'_> {
        match self.decoder.record.cells[field] {
            Cell::Text(span) => IdValue::Text(self.text(span)),
            Cell::Int(id) => IdValue::int(id),
            Cell::Null | Cell::Float(_) | Cell::Bool(_) => IdValue::Text(&[]),
        }
    }

    fn str(&self, span: Span) -> &str {
        // The payload was checked as a whole and escapes resolve to characters, so this never replaces anything.
        std::str::from_utf8(self.text(span)).unwrap_or_default()
    }

    fn text(&self, span: Span) -> &[u8] {
        span.of(self.payload, &self.decoder.record.unescaped)
    }
}

#[cfg(test)]
mod tests;
