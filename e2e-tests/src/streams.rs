//! What streams must write, and what they have written.
//!
//! The oracle takes the records of one partition as the log holds them, in the order of their offsets, and recomputes all that a
//! stream decides of them in the most naive way: every window, session and history is a list of events. It shares no code with
//! the platform, and no idea but the rules of the contract.
//!
//! - `log`: records → events and marks, without copies, and the front before and after each;
//! - `front`: how far a partition has come in time, also one that a re-keying map writes;
//! - `map`, `window`, `session`, `detect`: what each kind of stream decides;
//! - `written`: what a stream's topics hold, read as a consumer of committed records does, and held to the oracle;
//! - `murmur2`: the partition of a key, as Kafka's clients choose it;
//! - `fraud`: rules against fraud, as a catalog says them, and as they are judged here.

pub mod detect;
pub mod fraud;
mod front;
pub mod log;
pub mod map;
pub mod murmur2;
pub mod session;
pub mod window;
pub mod written;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use self::log::{Event, Step};

/// What a stream writes for one offset, one thing after the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// An output.
    Output {
        /// Its `output_time`, in microseconds since 1970.
        time_us: i64,
        /// The key of its record.
        key: Option<Vec<u8>>,
        /// Its fields behind `output_time`, in their order.
        fields: Map<String, Value>,
    },
    /// A late event for the side output, as it arrived.
    Late {
        /// The record's key.
        key: Option<Vec<u8>>,
        /// The record's value.
        payload: Vec<u8>,
        /// Of a window stream: the start of the first window that it missed, and the end of the last one.
        missed: Option<(i64, i64)>,
    },
}

/// One thing that a stream writes, and where it stands among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The offset of the record that caused it.
    pub offset: i64,
    /// How many things of the same stream the same record caused before.
    pub n: u32,
    /// What it is.
    pub said: Said,
}

/// One kind of stream.
pub trait Operator {
    /// Takes an event, where the watermark is that before it.
    fn event(&mut self, event: &Event, watermark_us: i64, said: &mut Vec<Said>);

    /// Writes what is due at a watermark, in the order of (end, start, key).
    fn close(&mut self, watermark_us: i64, said: &mut Vec<Said>);
}

/// All that a stream decides of the steps of one partition. Events that do not pass only move the front.
pub fn decide(
    steps: &[Step],
    lateness_us: i64,
    passes: impl Fn(&Event) -> bool,
    mut operator: impl Operator,
) -> Vec<Decided> {
    let watermark = |front_us: Option<i64>| front_us.map_or(i64::MIN, |front_us| front_us - lateness_us);
    let mut decided = Vec::new();
    for step in steps {
        let mut said = Vec::new();
        if let Some(event) = step.event.as_ref().filter(|event| passes(event)) {
            operator.event(event, watermark(step.before_us), &mut said);
        }
        operator.close(watermark(step.after_us), &mut said);
        decided.extend((0..).zip(said).map(|(n, said)| Decided { offset: step.offset, n, said }));
    }
    decided
}

/// Fields in their order; those that are null are left out.
pub fn fields<'a>(of: impl IntoIterator<Item = (&'a str, Value)>) -> Map<String, Value> {
    let present = of.into_iter().filter(|(_, value)| !value.is_null());
    present.map(|(name, value)| (name.to_owned(), value)).collect()
}
