//! A measure's value while it is being merged.

use std::fmt;

use serde_json::Value as Json;

const NIL: u8 = 0xc0;
const TRUE: u8 = 0xc3;
const FLOAT: u8 = 0xcb;
/// The two bytes before an integer of 128 bits: a MessagePack binary of 16 bytes.
const WIDE: [u8; 2] = [0xc4, 16];

/// A measure's value while it is being merged.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing was seen (`min` and `max` only).
    Null,
    /// An integer. Wider than 64 bits, so that sums are judged once, when they are final: where the batch layer holds one
    /// half and the speed layer the other, an intermediate excess that cancels out is not an overflow.
    Int(i128),
    /// A finite float.
    Float(f64),
    /// The value left its 64 bits where it was kept.
    Overflow,
}

impl Value {
    /// A float, or [`Value::Overflow`] if it is not finite. Negative zero becomes zero, so that equal values are written
    /// alike.
    pub fn float(x: f64) -> Value {
        if x.is_finite() { Value::Float(x + 0.0) } else { Value::Overflow }
    }

    /// An integer that leaves 64 bits as integers that do not and add up to it, as few as possible; nothing for any other value.
    pub(crate) fn parts(&self) -> Vec<i64> {
        let mut rest = match self {
            Value::Int(x) if i64::try_from(*x).is_err() => *x,
            _ => 0,
        };
        let mut parts = Vec::new();
        while rest != 0 {
            let part = i64::try_from(rest).unwrap_or(if rest > 0 { i64::MAX } else { i64::MIN });
            parts.push(part);
            rest -= i128::from(part);
        }
        parts
    }

    /// The value as it is kept and answered: an integer outside 64 bits is an overflow.
    pub fn finalized(self) -> Value {
        match self {
            Value::Int(x) if i64::try_from(x).is_err() => Value::Overflow,
            other => other,
        }
    }

    /// The finalized value as JSON; null for nothing and for an overflow.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null | Value::Overflow => Json::Null,
            Value::Int(x) => i64::try_from(*x).map_or(Json::Null, Json::from),
            // Floats are finite, so each has a JSON form.
            Value::Float(x) => Json::from(*x),
        }
    }

    /// Appends a finalized value as one MessagePack item.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        const FITS: &str = "a vector takes every byte";
        match self {
            Value::Null => out.push(NIL),
            Value::Overflow => out.push(TRUE),
            Value::Float(x) => rmp::encode::write_f64(out, x).expect(FITS),
            Value::Int(x) => {
                let x = i64::try_from(x).expect("a finalized value has 64 bits");
                rmp::encode::write_sint(out, x).map(drop).expect(FITS);
            }
        }
    }

    /// Appends the value as one MessagePack item, which holds integers of more than 64 bits, too.
    pub(super) fn write_partial(&self, out: &mut Vec<u8>) {
        match self {
            Value::Int(x) if i64::try_from(*x).is_err() => {
                out.extend_from_slice(&WIDE);
                out.extend_from_slice(&x.to_be_bytes());
            }
            other => other.clone().write(out),
        }
    }

    /// Reads one MessagePack item; `None` if it is none that [`Value::write_partial`] writes.
    pub(super) fn read_partial(from: &mut &[u8]) -> Option<Value> {
        match from.strip_prefix(&WIDE) {
            Some(wide) => {
                let (integer, rest) = wide.split_first_chunk()?;
                *from = rest;
                Some(Value::Int(i128::from_be_bytes(*integer)))
            }
            None => Value::read(from),
        }
    }

    /// Reads one MessagePack item; `None` if it is none that [`Value::write`] writes.
    pub(super) fn read(from: &mut &[u8]) -> Option<Value> {
        let constant = match *from.first()? {
            NIL => Value::Null,
            TRUE => Value::Overflow,
            FLOAT => return rmp::decode::read_f64(from).ok().map(Value::float),
            _ => return rmp::decode::read_int::<i64, _>(from).ok().map(|x| Value::Int(x.into())),
        };
        *from = &from[1..];
        Some(constant)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Int(x) => write!(f, "{x}"),
            Value::Float(x) => write!(f, "{x:?}"),
            Value::Overflow => f.write_str("overflow"),
        }
    }
}
