//! A measure's value while it is being merged.

use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use super::sketch::Sketch;

const NIL: u8 = 0xc0;
const TRUE: u8 = 0xc3;
const FLOAT: u8 = 0xcb;
/// The two bytes before an integer of 128 bits: a MessagePack binary of 16 bytes.
const WIDE: [u8; 2] = [0xc4, 16];

const FITS: &str = "a vector takes every byte";

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
    /// A sketch. Values are copied often, and most are numbers, so it is shared.
    Sketch(Arc<Sketch>),
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

    /// The sketch that it is.
    pub fn sketch(&self) -> Option<&Sketch> {
        if let Value::Sketch(sketch) = self { Some(sketch) } else { None }
    }

    /// The number that it is, or that a sketch estimates: how many different values there are. Others say nothing by themselves.
    pub fn number(&self) -> Value {
        match self {
            Value::Sketch(sketch) => match sketch.as_ref() {
                Sketch::Distinct(theta) => Value::Int(theta.estimate().into()),
                Sketch::Quantile(_) | Sketch::Top(_) => Value::Null,
            },
            number => number.clone(),
        }
    }

    /// A quantile of what is a distribution, from 0 to 1; else nothing.
    pub fn quantile(&self, q: f64) -> Value {
        match self {
            Value::Sketch(sketch) => match sketch.as_ref() {
                Sketch::Quantile(bins) => bins.quantile(q).map_or(Value::Null, Value::float),
                Sketch::Distinct(_) | Sketch::Top(_) => Value::Null,
            },
            Value::Overflow => Value::Overflow,
            Value::Null | Value::Int(_) | Value::Float(_) => Value::Null,
        }
    }

    /// About how many bytes of memory it takes elsewhere.
    pub fn memory(&self) -> usize {
        self.sketch().map_or(0, Sketch::memory)
    }

    /// The value as it is kept and answered: an integer outside 64 bits is an overflow.
    pub fn finalized(self) -> Value {
        match self {
            Value::Int(x) if i64::try_from(x).is_err() => Value::Overflow,
            other => other,
        }
    }

    /// The finalized value as JSON; null for nothing and for an overflow, and of a sketch a text that tells it from others.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null | Value::Overflow => Json::Null,
            Value::Int(x) => i64::try_from(*x).map_or(Json::Null, Json::from),
            // Floats are finite, so each has a JSON form.
            Value::Float(x) => Json::from(*x),
            Value::Sketch(sketch) => Json::from(sketch.to_string()),
        }
    }

    /// Appends a finalized value as one MessagePack item.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.push(NIL),
            Value::Overflow => out.push(TRUE),
            Value::Float(x) => rmp::encode::write_f64(out, x).expect(FITS),
            Value::Int(x) => {
                let x = i64::try_from(x).expect("a finalized value has 64 bits");
                rmp::encode::write_sint(out, x).map(drop).expect(FITS);
            }
            Value::Sketch(sketch) => rmp::encode::write_bin(out, &sketch.to_bytes()).expect(FITS),
        }
    }

    /// Reads one MessagePack item of a measure that is a sketch, given what reads the sketch's bytes; `None` if it is none that
    /// [`Value::write`] writes.
    pub(super) fn read_sketch(from: &mut &[u8], sketch: impl FnOnce(&[u8]) -> Option<Sketch>) -> Option<Value> {
        if matches!(*from.first()?, NIL | TRUE) {
            return Value::read(from);
        }
        let length = rmp::decode::read_bin_len(from).ok()?;
        let (bytes, rest) = from.split_at_checked(length as usize)?;
        *from = rest;
        sketch(bytes).map(|sketch| Value::Sketch(Arc::new(sketch)))
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
            Value::Sketch(sketch) => write!(f, "{sketch}"),
        }
    }
}
