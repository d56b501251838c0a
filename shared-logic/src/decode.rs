//! Bytes → columns, or the reason why not.
//!
//! One decoder serves every layer, so a record is an event in all of them or in none. It is directed by the source's
//! schema: its [format](crate::format) scans a payload once into one token per declared field, without allocating, and
//! types them. Everything is judged in a fixed order: the bytes, the document, the fields as declared, the event's age. What
//! it says depends on the payload and the record's own timestamp alone.
//!
//! - `columns`: cells → a `DataFrame`.

mod columns;

pub use columns::Columns;

use crate::catalog::Source;
use crate::format::{Cell, Reader, Record, SchemaId, Span, UnusableSchema, WriterSchema};
use crate::group_key::MAX_KEY_BYTES;
use crate::identity::Identity;
use crate::rejection::{Reason, Rejected};

/// Decodes the records of one source. A clone knows the same schemas.
#[derive(Debug, Clone)]
pub struct Decoder {
    source: Source,
    reader: Reader,
    event_id: Option<usize>,
    event_time: usize,
    limited: Vec<bool>,
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

impl Decoder {
    /// A decoder for one source of a checked catalog.
    pub fn new(source: &Source) -> Decoder {
        let position = |name: &str| source.fields.iter().position(|field| field.name == name);
        Decoder {
            event_id: source.event_id.as_deref().and_then(position),
            event_time: position(&source.event_time).expect("a checked catalog declares the event time"),
            limited: source.fields.iter().map(|field| source.grouped.contains(&field.name)).collect(),
            reader: Reader::new(source.format, &source.fields, &source.null, source.time_zone),
            record: Record::new(source.fields.len()),
            source: source.clone(),
        }
    }

    /// The schema that a record names and that this decoder lacks. Without it, the record is rejected as `unknown_schema`, so
    /// the decoder has to [learn](Decoder::learn) it first. Always `None`, if the source's format names no schemas.
    pub fn missing_schema(&self, payload: Option<&[u8]>) -> Option<SchemaId> {
        self.reader.missing_schema(payload?)
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

    /// Decodes one record.
    ///
    /// `payload` is the record's value (`None`: a tombstone) and `record_time_us` its own Kafka timestamp, against which
    /// the event's age is judged (`None`: not judged).
    ///
    /// # Errors
    /// The first reason, in the order of [`Reason::ALL`] for the document and of the fields for its values.
    pub fn decode<'a>(
        &'a mut self,
        payload: Option<&'a [u8]>,
        record_time_us: Option<i64>,
    ) -> Result<Event<'a>, Rejected> {
        let payload = payload.unwrap_or_default();
        if payload.is_empty() {
            return Err(Rejected::whole(Reason::Empty));
        }
        if !self.source.format.names_schemas() && simdutf8::basic::from_utf8(payload).is_err() {
            return Err(Rejected::whole(Reason::NotUtf8));
        }
        self.reader.read(payload, &mut self.record)?;
        self.judge_lengths()?;
        let time_us = self.judge_age(record_time_us)?;
        Ok(Event { decoder: self, payload, time_us })
    }

    fn judge_lengths(&self) -> Result<(), Rejected> {
        for (at, cell) in self.record.cells.iter().enumerate() {
            if let Cell::Text(span) = cell
                && self.limited[at]
                && (span.end - span.start) as usize > MAX_KEY_BYTES
            {
                return Err(Rejected::at(Reason::TooLong, at));
            }
        }
        Ok(())
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
        let id = self.decoder.event_id?;
        match self.decoder.record.cells[id] {
            Cell::Text(span) => Some(Identity::of(self.text(span), self.time_us)),
            Cell::Int(id) => Some(Identity::of(&id.to_le_bytes(), self.time_us)),
            _ => None,
        }
    }

    /// The members that the source does not declare, as the text of a JSON object; `None` if there are none.
    pub fn extra(&self) -> Option<String> {
        if self.decoder.record.extra.is_empty() {
            return None;
        }
        let mut text = String::from("{");
        for (start, end) in &self.decoder.record.extra {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&String::from_utf8_lossy(&self.payload[*start as usize..*end as usize]));
        }
        text.push('}');
        Some(text)
    }

    fn text(&self, span: Span) -> &[u8] {
        span.of(self.payload, &self.decoder.record.unescaped)
    }
}

#[cfg(test)]
mod tests;
