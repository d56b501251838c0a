//! A message → the record's tokens.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, Value as Wire};

use super::plan::{Hop, Meaning, Message, ProtobufPlan, Way};
use crate::format::record::Record;
use crate::format::registered::Plan;
use crate::format::registered::value::Value;
use crate::rejection::Reason;
use crate::schema::EpochUnit;

impl Plan for ProtobufPlan {
    fn tokenize(&self, payload: &[u8], at: usize, record: &mut Record) -> Result<(), Reason> {
        let (message, datum) = message_of(&self.messages, &payload[at..]).ok_or(Reason::NotProtobuf)?;
        let decoded = DynamicMessage::decode(message.descriptor.clone(), datum).map_err(|_| Reason::NotProtobuf)?;
        for (at, (field, way)) in self.fields.iter().zip(&message.ways).enumerate() {
            let Some(way) = way else { continue };
            let Some(found) = value_in(&decoded, &way.hops) else { continue };
            let value = meant(&found, way);
            record.tokens[at] = value.token(field, &mut record.unescaped);
        }
        Ok(())
    }
}

/// The message that a payload names, and the bytes behind its name.
fn message_of<'m, 'p>(messages: &'m [Message], mut rest: &'p [u8]) -> Option<(&'m Message, &'p [u8])> {
    let count = integer(&mut rest)?;
    if count == 0 {
        // Short for the first message.
        return Some((messages.first()?, rest));
    }
    let (mut level, mut named) = (messages, None);
    for _ in 0..count {
        let message = level.get(usize::try_from(integer(&mut rest)?).ok()?)?;
        level = &message.nested;
        named = Some(message);
    }
    Some((named?, rest))
}

/// Takes an integer of at most 32 bits off the front, in bytes of seven bits each, the lowest first; the lowest bit is the
/// sign.
fn integer(bytes: &mut &[u8]) -> Option<i64> {
    let mut bits = 0_u64;
    for shift in (0..u32::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        bits |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some((bits >> 1) as i64 ^ -((bits & 1) as i64));
        }
    }
    None
}

/// The value at the end of a way; `None` if it is absent.
fn value_in<'m>(message: &'m DynamicMessage, way: &[Hop]) -> Option<Cow<'m, Wire>> {
    let (Hop::Field(field), rest) = way.split_first()? else { return None };
    if field.supports_presence() && !message.has_field(field) {
        return None;
    }
    match message.get_field(field) {
        Cow::Borrowed(value) => value_below(value, rest),
        // A default, in which nothing lies.
        Cow::Owned(value) => rest.is_empty().then_some(Cow::Owned(value)),
    }
}

fn value_below<'m>(value: &'m Wire, way: &[Hop]) -> Option<Cow<'m, Wire>> {
    match (way.split_first(), value) {
        (None, value) => Some(Cow::Borrowed(value)),
        (Some((Hop::Field(_), _)), Wire::Message(message)) => value_in(message, way),
        (Some((Hop::Item(position), rest)), Wire::List(items)) => value_below(items.get(*position)?, rest),
        (Some((Hop::Entry(key), rest)), Wire::Map(entries)) => value_below(entries.get(key)?, rest),
        _ => None,
    }
}

fn meant<'v>(value: &'v Wire, way: &'v Way) -> Value<'v> {
    match (value, &way.meaning) {
        (Wire::EnumNumber(number), Meaning::Enum(names)) => {
            names.get(number).map_or(Value::Other, |name| Value::Word(name))
        }
        (Wire::Message(message), Meaning::Timestamp) => timestamp(message),
        (Wire::Bool(value), _) => Value::Bool(*value),
        (Wire::I32(number), _) => Value::Int((*number).into()),
        (Wire::I64(number), _) => Value::Int((*number).into()),
        (Wire::U32(number), _) => Value::Int((*number).into()),
        (Wire::U64(number), _) => Value::Int((*number).into()),
        (Wire::F32(number), _) => Value::Float((*number).into()),
        (Wire::F64(number), _) => Value::Float(*number),
        (Wire::String(text), _) => Value::Word(text),
        _ => Value::Other,
    }
}

fn timestamp(message: &DynamicMessage) -> Value<'static> {
    let part = |number: u32| message.get_field_by_number(number);
    let seconds = part(1).and_then(|part| part.as_i64()).unwrap_or_default();
    let nanos = part(2).and_then(|part| part.as_i32()).unwrap_or_default();
    Value::Instant(i128::from(seconds) * 1_000_000_000 + i128::from(nanos), EpochUnit::Nanoseconds)
}
