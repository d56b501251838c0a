//! Records → rows of the archive, decoded under the rules of a source, and gathered by the days whose files they go to.
//!
//! - `day_rows`: the rows of one day.

mod day_rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use polars::prelude::{DataFrame, PolarsResult, Schema};
use shared_logic::catalog::{KeptBytes, Source};
use shared_logic::decode::{Decoder, Event};
use shared_logic::log::Content;
use shared_logic::rejection::Rejected;
use shared_logic::time::{day_of, format_day};

pub(crate) use self::day_rows::DayRows;
use self::day_rows::Origin;

/// A record, as it was read from Kafka or from the archive.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_us: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    /// As in the column [`HEADERS`](shared_logic::contracts::archive::HEADERS), if there are any.
    pub(crate) headers: Option<String>,
}

impl Incoming<'_> {
    /// What the record's witness is made from (R12).
    pub(crate) fn content(&self) -> Content<'_> {
        let Incoming { timestamp_us, key, payload, headers, .. } = self;
        Content { timestamp_us: *timestamp_us, key: *key, payload: *payload, headers: headers.as_deref() }
    }

    /// How many bytes its key and payload have.
    pub(crate) fn bytes(&self) -> usize {
        self.payload.map_or(0, <[u8]>::len) + self.key.map_or(0, <[u8]>::len)
    }
}

/// What is left of a record that is erased.
#[derive(Debug)]
pub(crate) struct Erased {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_us: Option<i64>,
    /// The record's short hash, if it is known (R12).
    pub(crate) hash: Option<i32>,
    /// The day whose file the row lies in.
    pub(crate) day: i64,
}

/// So many rows, or rows of so many bytes of keys and payloads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Extent {
    fn is_reached_by(self, rows: usize, bytes: usize) -> bool {
        rows >= self.rows || bytes >= self.bytes
    }
}

/// Rows of one log, or of the incarnations of its partitions.
pub(crate) struct RecordRows {
    origin: Arc<Origin>,
    /// By day. One whose rows were taken is empty.
    days: BTreeMap<i64, DayRows>,
    /// The day of the row that was added last.
    last: i64,
    /// Of all days together.
    rows: usize,
    bytes: usize,
}

impl RecordRows {
    /// No rows yet, of a log of that source.
    pub(crate) fn new(source: &Source, log: &str) -> RecordRows {
        RecordRows::keeping(source.kept_bytes, source, log)
    }

    fn keeping(kept_bytes: KeptBytes, source: &Source, log: &str) -> RecordRows {
        let (source, log) = (source.clone(), log.to_owned());
        RecordRows::of(Arc::new(Origin { source, kept_bytes, log, incarnations: BTreeMap::new() }))
    }

    fn of(origin: Arc<Origin>) -> RecordRows {
        RecordRows { origin, days: BTreeMap::new(), last: 0, rows: 0, bytes: 0 }
    }

    /// No rows yet, of the same log and incarnations.
    pub(crate) fn following(&self) -> RecordRows {
        RecordRows::of(Arc::clone(&self.origin))
    }

    /// R12: rows of these partitions belong to those logs.
    pub(crate) fn set_incarnations(&mut self, incarnations: BTreeMap<i32, String>) {
        Arc::make_mut(&mut self.origin).incarnations = incarnations;
    }

    /// The log to which rows of that partition belong.
    pub(crate) fn log_of(&self, partition: i32) -> &str {
        self.origin.log_of(partition)
    }

    /// No rows yet, of records that the archive holds: bytes that are kept stay, whatever the source says by now.
    pub(crate) fn of_archived(source: &Source, log: &str) -> RecordRows {
        RecordRows::keeping(KeptBytes::All, source, log)
    }

    /// No rows yet, of a file that is imported: all bytes are kept, whatever the source says, since no log could give them again.
    pub(crate) fn of_import(source: &Source, log: &str) -> RecordRows {
        RecordRows::keeping(KeptBytes::All, source, log)
    }

    /// Adds a record, decoded by a decoder of the source. Returns why it is a reject, if it is, and the text of that. A mark is none, and
    /// neither is a delete of a table, although its row says why it is no event.
    pub(crate) fn push(&mut self, record: Incoming<'_>, decoder: &mut Decoder) -> Option<(Rejected, String)> {
        let hash = Some(record.content().short_hash());
        let kept = record.payload.filter(|_| self.origin.kept_bytes == KeptBytes::All);
        let decoded = decoder.decode_keyed(record.key, record.payload, record.timestamp_us);
        self.add(record, hash, kept, decoded)
    }

    /// Adds a record whose bytes were not kept. The document in the place of its payload stands for them: of an invalid record it is
    /// kept, of an event nothing is. `hash` is the record's short hash, if it is known.
    pub(crate) fn push_document(
        &mut self,
        record: Incoming<'_>,
        document: &[u8],
        hash: Option<i32>,
        decoder: &mut Decoder,
    ) {
        let decoded = decoder.decode_document(document, record.timestamp_us);
        self.add(record, hash, None, decoded);
    }

    /// Adds a record that was decoded. `kept` are the bytes that are kept of it if it is an event.
    fn add(
        &mut self,
        record: Incoming<'_>,
        hash: Option<i32>,
        kept: Option<&[u8]>,
        decoded: Result<Event<'_>, Rejected>,
    ) -> Option<(Rejected, String)> {
        self.bytes += record.bytes();
        match decoded {
            Ok(event) => {
                self.of_day(day_of(event.time_us)).push_event(record, hash, kept, &event);
                None
            }
            Err(rejected) => {
                let text = rejected.text(&self.origin.source.fields);
                let day = day_of(record.timestamp_us.unwrap_or_default());
                self.of_day(day).push_invalid(record, hash, text.clone());
                rejected.reason.is_reject().then_some((rejected, text))
            }
        }
    }

    /// Adds a record that is erased: what is left of it, whatever else of it is at hand.
    pub(crate) fn push_erased(&mut self, record: Erased) {
        self.of_day(record.day).push_erased(record);
    }

    /// The rows of that day, to which one is added.
    fn of_day(&mut self, day: i64) -> &mut DayRows {
        (self.last, self.rows) = (day, self.rows + 1);
        self.days.entry(day).or_insert_with(|| DayRows::new(&self.origin, day, 0))
    }

    /// The number of days that had a row.
    pub(crate) fn days(&self) -> usize {
        self.days.len()
    }

    /// Takes rows that are to be encoded before more are added: those of the last row's day, once they are enough for a `group`; or
    /// else those of the largest day, once all days together have as many as may be `held`.
    pub(crate) fn take_group(&mut self, group: Extent, held: Extent) -> Option<DayRows> {
        let last = self.days.get(&self.last)?;
        if group.is_reached_by(last.len(), last.bytes()) {
            return self.take(self.last);
        }
        if !held.is_reached_by(self.rows, self.bytes) {
            return None;
        }
        let by_rows = self.rows >= held.rows;
        let size = |rows: &&DayRows| if by_rows { rows.len() } else { rows.bytes() };
        let most = self.days.values().max_by_key(size)?.day();
        self.take(most)
    }

    /// Takes the rows of a day. As many are likely to come again.
    fn take(&mut self, day: i64) -> Option<DayRows> {
        let rows = self.days.get_mut(&day)?;
        let next = DayRows::new(&self.origin, day, rows.len());
        let taken = std::mem::replace(rows, next);
        (self.rows, self.bytes) = (self.rows - taken.len(), self.bytes - taken.bytes());
        Some(taken)
    }

    /// What was not taken, by day.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = DayRows> {
        self.days.into_values().filter(|rows| rows.len() > 0)
    }

    /// The rows of each day. `declared` are the columns of the table that they are written to; where it is `None`, the
    /// columns of fields have the fields' names.
    pub(crate) fn into_days(self, declared: Option<&Schema>) -> PolarsResult<Vec<(String, DataFrame)>> {
        self.into_rest().map(|rows| Ok((format_day(rows.day()), rows.into_frame(declared)?))).collect()
    }
}

#[cfg(test)]
mod tests;
