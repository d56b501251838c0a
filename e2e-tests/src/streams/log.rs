//! Records of one partition → events and marks.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::front::{Front, is_mark};
use crate::kafka::Found;
use crate::time::{micros, rfc3339};

const HOUR_US: i64 = 3_600_000_000;
/// Braid's defaults: how old an event may be, and how far ahead of its record.
const MAX_AGE_US: i64 = 400 * 24 * HOUR_US;
const MAX_AHEAD_US: i64 = HOUR_US;

/// A field's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A text.
    Text,
    /// An integer.
    Int,
    /// A number.
    Float,
    /// Milliseconds since 1970, or RFC 3339.
    Instant,
}

/// A source as the catalog declares it. All of its fields are required.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// The field that identifies an event together with its time, if copies are told apart.
    pub event_id: Option<&'static str>,
    /// The field of the event time.
    pub event_time: &'static str,
    /// The fields in the order of the catalog.
    pub fields: &'static [(&'static str, Type)],
    /// How many offsets back a copy is looked for.
    pub dedup_window: i64,
    /// Whether Braid writes it: ages are not judged then.
    pub is_stream: bool,
    /// Whether a re-keying map writes it.
    pub is_rekeyed: bool,
}

/// An event.
#[derive(Debug, Clone)]
pub struct Event {
    /// The record's offset.
    pub offset: i64,
    /// When it happened, in microseconds since 1970.
    pub at_us: i64,
    /// The declared fields in their order; instants as RFC 3339.
    pub fields: Map<String, Value>,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub payload: Vec<u8>,
}

/// An event that is no copy, or a mark, and the front before and after it.
#[derive(Debug, Clone)]
pub struct Step {
    /// The record's offset.
    pub offset: i64,
    /// The event; nothing for a mark.
    pub event: Option<Event>,
    /// The front before it.
    pub before_us: Option<i64>,
    /// The front after it.
    pub after_us: Option<i64>,
}

impl Event {
    /// A field's text.
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field's number.
    pub fn number(&self, field: &str) -> f64 {
        self.fields.get(field).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }
}

impl Source {
    /// The events of one partition's records, which ascend, and its marks.
    ///
    /// # Errors
    /// If the records are of several partitions or in another order, or a mark lacks a header.
    pub fn steps<'a>(&self, records: impl IntoIterator<Item = &'a Found>) -> Result<Vec<Step>> {
        let mut front = Front::new(self.is_rekeyed);
        // Where each identity was seen last, as a copy too.
        let mut seen: HashMap<(String, i64), i64> = HashMap::new();
        let mut steps = Vec::new();
        let mut last: Option<(i32, i64)> = None;
        for found in records {
            let place = (found.partition, found.offset);
            ensure!(
                last.is_none_or(|(partition, offset)| partition == place.0 && offset < place.1),
                "{last:?}, {place:?}"
            );
            last = Some(place);
            let before_us = front.us();
            let event = if is_mark(found) {
                front.mark(found)?;
                None
            } else {
                let Some(event) = self.event(found) else { continue };
                if let Some(event_id) = self.event_id {
                    let earlier = seen.insert((event.text(event_id).to_owned(), event.at_us), event.offset);
                    if earlier.is_some_and(|earlier| event.offset - earlier <= self.dedup_window) {
                        continue;
                    }
                }
                front.event(found, event.at_us.min(found.timestamp_ms * 1_000))?;
                Some(event)
            };
            steps.push(Step { offset: found.offset, event, before_us, after_us: front.us() });
        }
        Ok(steps)
    }

    /// What a record says; nothing if it must be rejected.
    fn event(&self, found: &Found) -> Option<Event> {
        let document: Value = serde_json::from_slice(&found.payload).ok()?;
        let mut fields = Map::new();
        for (name, kind) in self.fields {
            let value = document.as_object()?.get(*name)?;
            fields.insert((*name).to_owned(), read(*kind, value)?);
        }
        let at_us = micros(fields.get(self.event_time)?.as_str()?).ok()?;
        let ahead_us = at_us - found.timestamp_ms * 1_000;
        let is_in_range = ahead_us <= MAX_AHEAD_US && (self.is_stream || ahead_us >= -MAX_AGE_US);
        let (key, payload) = (found.key.clone(), found.payload.clone());
        is_in_range.then_some(Event { offset: found.offset, at_us, fields, key, payload })
    }
}

fn read(kind: Type, value: &Value) -> Option<Value> {
    Some(match (kind, value) {
        (Type::Text, Value::String(_)) => value.clone(),
        (Type::Int, _) => Value::from(value.as_i64()?),
        (Type::Float, _) => Value::from(value.as_f64()?),
        (Type::Instant, Value::Number(_)) => Value::from(rfc3339(value.as_i64()? * 1_000)),
        (Type::Instant, Value::String(text)) => Value::from(rfc3339(micros(text).ok()?)),
        _ => return None,
    })
}

/// The records of one partition among those of a topic.
pub fn of_partition(records: &[Found], partition: i32) -> Vec<&Found> {
    records.iter().filter(|found| found.partition == partition).collect()
}

/// The partitions that records lie in.
pub fn partitions(records: &[Found]) -> Vec<i32> {
    let mut partitions: Vec<i32> = records.iter().map(|found| found.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

/// The number in `<log>/<partition>/<offset>/<n>`, from the end.
pub(super) fn parts(position: &str) -> Result<(String, i32, i64, u32)> {
    let mut parts = position.rsplitn(4, '/');
    let mut next = || parts.next().with_context(|| format!("{position:?} is no position"));
    let (n, offset, partition, log) = (next()?, next()?, next()?, next()?);
    Ok((log.to_owned(), partition.parse()?, offset.parse()?, n.parse()?))
}
