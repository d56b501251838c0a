//! What a lane decides.

use std::ops::Range;

use super::OutputPosition;
use super::json::Object;
use crate::catalog::{INCOMPLETE, OUTPUT_ID, OUTPUT_TIME};

/// About how long an output is.
const OUTPUT_BYTES: usize = 256;

/// Something to write, in the order in which it was decided. Positions of one stream ascend, and those of one offset have no
/// hole.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Which of [`LanePlan::streams`](super::LanePlan::streams).
    pub stream: usize,
    /// Where it stands among all that the stream writes.
    pub position: OutputPosition,
    /// What it is.
    pub kind: DecidedKind,
    /// The key of its record. That of an event in the side output are the original bytes.
    pub key: Option<Vec<u8>>,
    /// An output's JSON, or the original bytes of an event.
    pub payload: Vec<u8>,
    /// `output_time`, or the event's time, in microseconds.
    pub time_us: i64,
}

impl Decided {
    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Decided>() + self.key.as_ref().map_or(0, Vec::len) + self.payload.len()
    }
}

/// Which topic it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecidedKind {
    /// An output of the stream.
    Output,
    /// An event that came too late, for the side output (T9).
    Late {
        /// Of a stream of windows: from the start of the first window that the event missed to the end of the last one.
        missed: Option<Range<i64>>,
    },
    /// An event that names no row of a table from which its output has to take something, for the side output (B5).
    NoRow {
        /// The table.
        table: String,
        /// As of which changes there is none; `None`: the event names no key.
        seen: Option<String>,
    },
}

/// Where a stream's outputs for one offset go.
#[derive(Debug)]
pub(super) struct Outputs<'a> {
    pub(super) out: &'a mut Vec<Decided>,
    pub(super) stream: usize,
    /// The stream's next position.
    pub(super) next: &'a mut OutputPosition,
    /// What the ids of the stream's outputs begin with; the position follows (T1).
    pub(super) id_prefix: &'a str,
    /// Whether the past is incomplete (T8).
    pub(super) incomplete: bool,
}

impl Outputs<'_> {
    /// Writes an output. `fields` adds what follows identity and time. Gives the bytes that it takes.
    pub(super) fn output(&mut self, time_us: i64, key: Option<Vec<u8>>, fields: impl FnOnce(&mut Object)) -> usize {
        let mut object = Object::new(OUTPUT_BYTES);
        object.id(OUTPUT_ID, self.id_prefix, *self.next);
        object.instant(OUTPUT_TIME, time_us);
        fields(&mut object);
        object.flag(INCOMPLETE, self.incomplete);
        self.push(DecidedKind::Output, key, object.end(), time_us)
    }

    /// T9: hands on an event that came too late, as it was.
    pub(super) fn late(&mut self, missed: Option<Range<i64>>, key: Option<&[u8]>, payload: &[u8], time_us: i64) {
        self.push(DecidedKind::Late { missed }, key.map(<[u8]>::to_vec), payload.to_vec(), time_us);
    }

    /// B5: hands on an event that has no row in that table, as it was.
    pub(super) fn no_row(&mut self, table: &str, seen: Option<&str>, key: Option<&[u8]>, payload: &[u8], time_us: i64) {
        let kind = DecidedKind::NoRow { table: table.to_owned(), seen: seen.map(str::to_owned) };
        self.push(kind, key.map(<[u8]>::to_vec), payload.to_vec(), time_us);
    }

    fn push(&mut self, kind: DecidedKind, key: Option<Vec<u8>>, payload: Vec<u8>, time_us: i64) -> usize {
        let position = *self.next;
        *self.next = position.next();
        let decided = Decided { stream: self.stream, position, kind, key, payload, time_us };
        let bytes = decided.bytes();
        self.out.push(decided);
        bytes
    }
}
