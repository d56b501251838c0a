//! What a lane is given: consecutive records of one partition, decoded.

use polars::prelude::DataFrame;

use super::{LookedUp, Mark, Upstream};
use crate::dedup::Sighting;

/// Consecutive records of one partition. The lists without another remark have an item for each event.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// The first offset: where the ones before ended.
    pub from: i64,
    /// The offset behind the last. Between the two there may be offsets without a record.
    pub to: i64,
    /// The offset of each event, ascending.
    pub offsets: Vec<i64>,
    /// The timestamp of each event's record in microseconds, if it has one.
    pub record_times_us: Vec<Option<i64>>,
    /// Who the events are; empty if the source names no event id.
    pub sightings: Vec<Sighting>,
    /// The events, copies included: a row each, and at least the columns of [`LanePlan::columns`](super::LanePlan::columns).
    pub events: DataFrame,
    /// The bytes of each event's record. Empty if [`LanePlan::keeps_originals`](super::LanePlan::keeps_originals) says so.
    pub originals: Originals,
    /// From which partition a re-keying map made each event; empty for any other source.
    pub upstreams: Vec<Option<Upstream>>,
    /// The marks of a re-keying map, ascending by their offsets; none for any other source.
    pub marks: Vec<MarkRecord>,
    /// What each of [`LanePlan::lookups`](super::LanePlan::lookups) has found; empty where nobody needs the outputs, and then no event
    /// has a row.
    pub looked_up: Vec<LookedUp>,
}

/// A mark, and the record that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRecord {
    /// The record's offset.
    pub offset: i64,
    /// The record's timestamp in microseconds, if it has one.
    pub record_time_us: Option<i64>,
    /// What it says.
    pub mark: Mark,
}

/// Keys and payloads of records, one after the other in one buffer.
#[derive(Debug, Clone, Default)]
pub struct Originals {
    bytes: Vec<u8>,
    ends: Vec<Ends>,
}

/// Where the bytes of a record end: those of its key, and then those of its payload. `None`: it has none.
#[derive(Debug, Clone, Copy)]
struct Ends {
    key: Option<usize>,
    payload: usize,
}

impl Originals {
    /// Appends a record.
    pub fn push(&mut self, key: Option<&[u8]>, payload: &[u8]) {
        self.bytes.extend_from_slice(key.unwrap_or_default());
        let key = key.map(|_| self.bytes.len());
        self.bytes.extend_from_slice(payload);
        self.ends.push(Ends { key, payload: self.bytes.len() });
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key of the record in that row, if it has one.
    pub(super) fn key(&self, row: usize) -> Option<&[u8]> {
        Some(&self.bytes[self.begin(row)..self.ends.get(row)?.key?])
    }

    /// The payload of the record in that row; nothing if there is no such row.
    pub(super) fn payload(&self, row: usize) -> &[u8] {
        self.ends.get(row).map_or(&[], |ends| &self.bytes[ends.key.unwrap_or_else(|| self.begin(row))..ends.payload])
    }

    fn begin(&self, row: usize) -> usize {
        row.checked_sub(1).map_or(0, |before| self.ends[before].payload)
    }
}
