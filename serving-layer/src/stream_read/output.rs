//! Outputs, as they are shown: the JSON object that the record holds.

use shared_logic::catalog::Source;
use shared_logic::decode::{Decoder, Event};
use shared_logic::format::FieldValue;

/// An output of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Output {
    /// Its `output_time`, microseconds since 1970.
    pub(super) time_us: i64,
    /// Its `output_id`. Copies of an output share it, and the time.
    pub(super) id: String,
    /// The record's payload.
    pub(super) json: String,
}

/// Makes outputs of records.
#[derive(Debug, Clone)]
pub(super) struct OutputReader {
    decoder: Decoder,
    /// The place of the field that identifies an output.
    id: usize,
}

impl OutputReader {
    pub(super) fn new(source: &Source) -> OutputReader {
        let id = source.event_id.first().and_then(|id| source.fields.iter().position(|field| field.name == *id));
        OutputReader { decoder: Decoder::new(source), id: id.unwrap_or_default() }
    }

    /// The event that a record holds; `None` if it is a mark, which has no payload, or is not valid.
    pub(super) fn event<'a>(&'a mut self, payload: Option<&'a [u8]>, timestamp_us: Option<i64>) -> Option<Event<'a>> {
        self.decoder.decode(Some(payload?), timestamp_us).ok()
    }

    /// The output that a record holds, if it is one that is accepted.
    pub(super) fn output(
        &mut self,
        payload: Option<&[u8]>,
        timestamp_us: Option<i64>,
        accepts: impl FnOnce(&Event<'_>) -> bool,
    ) -> Option<Output> {
        let id = self.id;
        let event = self.event(payload, timestamp_us).filter(accepts)?;
        let id = match event.value(id) {
            Some(FieldValue::Text(id)) => id.to_owned(),
            _ => String::new(),
        };
        Some(Output { time_us: event.time_us, id, json: text_of(payload.unwrap_or_default()).to_owned() })
    }
}

/// A payload of JSON as text, without the byte-order mark that another program may have written before it.
pub(super) fn text_of(payload: &[u8]) -> &str {
    std::str::from_utf8(payload).unwrap_or_default().trim_start_matches('\u{feff}')
}
