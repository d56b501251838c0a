//! A micro-batch: consecutive records of one partition, decoded, as columns.
//!
//! It is what a reading thread hands to a counting loop. A micro-batch speaks for a range of offsets, which may be empty
//! and may hold offsets without a record (transaction markers, aborted records).
//!
//! How many counters it adds to is known only once it is counted. So it has marks, up to which it may be applied by itself if all
//! of it would be too much for one script.
//!
//! Copies are still in it. The loop finds them by the identities of its events, and by those of events before its first
//! micro-batch. Of the latter there may be many, so most of them are handed on beforehand.

use std::mem;
use std::time::Instant;

use platform::kafka::Record;
use polars::prelude::{DataFrame, PolarsResult};
use shared_logic::catalog::Source;
use shared_logic::contracts::stream::{mark_of, upstream_of};
use shared_logic::contracts::table_rows::HeldChange;
use shared_logic::decode::{Change, Columns, Event};
use shared_logic::dedup::Sighting;
use shared_logic::log::{Position, Witness};
use shared_logic::stream::{MarkRecord, Originals, Upstream};
use shared_logic::table::row_of;

/// How many events before the cursor are handed on together.
const WARMING_PORTION: usize = 16_384;

/// What a reading thread hands to a counting loop.
#[derive(Debug)]
pub enum Handed {
    /// Events before the cursor, in order. They only warm the loop's deduplication window.
    Warming(Vec<Sighting>),
    /// What is counted.
    MicroBatch(MicroBatch),
}

/// A sealed micro-batch.
#[derive(Debug)]
pub struct MicroBatch {
    /// The first offset of its range: the cursor that the shard must have before it is applied.
    pub from: i64,
    /// Up to where it may be applied, ascending; the last mark is its end. There is at least one.
    pub marks: Vec<Mark>,
    /// The valid records, with only the columns that at least one metric reads.
    pub events: DataFrame,
    /// Where the source names an event id: who the events are, row by row. Before these come events before the cursor that
    /// were not handed on yet.
    pub sightings: Vec<Sighting>,
    /// What lanes need besides; empty where counting loops read.
    pub lane: Box<LaneRows>,
    /// The changes of a table's keys, in the order of their offsets, each as Redis keeps it; empty where others read.
    pub changes: Vec<(String, Vec<u8>)>,
    /// When its first record was read.
    pub opened: Instant,
    /// When it was sealed. Until then, no connection was known to be broken.
    pub sealed: Instant,
}

/// A place in a micro-batch up to which it may be applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// How many rows of its events lie before it.
    pub rows: usize,
    /// How many records lie before it, valid or not.
    pub records: usize,
    /// The first offset after them, and the last record before that: where the shard's cursor goes.
    pub to: Position,
}

/// What a lane needs to know of the events of a micro-batch, row by row.
#[derive(Debug, Default)]
pub struct LaneRows {
    /// The events' offsets.
    pub offsets: Vec<i64>,
    /// The timestamps of their records, in microseconds.
    pub record_times_us: Vec<Option<i64>>,
    /// Their records' keys and payloads, where a stream may have to write them.
    pub originals: Originals,
    /// Where a re-keying map has read them, if one writes the source.
    pub upstreams: Vec<Option<Upstream>>,
    /// The marks of such a map, which are no events.
    pub marks: Vec<MarkRecord>,
}

/// What the micro-batches of lanes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneShape {
    /// Whether they keep the bytes of records.
    pub originals: bool,
    /// Whether a re-keying map writes the source.
    pub rekeyed: bool,
}

/// What the micro-batches of a source are made of.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The fields that they keep, sorted.
    pub wanted: Vec<String>,
    /// After how many records there is a mark.
    pub mark_every: usize,
    /// What lanes need besides, if they read.
    pub lane: Option<LaneShape>,
    /// Whether they keep the changes of a table, and no events.
    pub is_of_table: bool,
}

impl Shape {
    /// Whether they are counted, and that is all: then records may be gathered for `speed.linger`. What lanes read goes on at once.
    pub fn is_counted(&self) -> bool {
        self.lane.is_none() && !self.is_of_table
    }
}

/// Collects records into micro-batches, one after the other.
#[derive(Debug)]
pub struct MicroBatchBuilder {
    shape: Shape,
    from: i64,
    to: i64,
    columns: Columns,
    sightings: Vec<Sighting>,
    marks: Vec<Mark>,
    lane: LaneRows,
    changes: Vec<(String, Vec<u8>)>,
    records: usize,
    bytes: usize,
    opened: Option<Instant>,
}

impl MicroBatchBuilder {
    /// Starts an empty micro-batch of that shape at an offset.
    pub fn new(source: &Source, shape: &Shape, from: i64) -> MicroBatchBuilder {
        let columns = columns(source, shape, 0);
        let (shape, sightings, marks) = (shape.clone(), Vec::new(), Vec::new());
        MicroBatchBuilder {
            shape,
            from,
            to: from,
            columns,
            sightings,
            marks,
            lane: LaneRows::default(),
            changes: Vec::new(),
            records: 0,
            bytes: 0,
            opened: None,
        }
    }

    /// Notes an event before the cursor. Returns those that it is time to hand on, together with it.
    pub fn warm(&mut self, event: &Event<'_>, offset: i64) -> Option<Vec<Sighting>> {
        self.see(event, offset);
        let is_portion = self.sightings.len() >= WARMING_PORTION;
        is_portion.then(|| mem::replace(&mut self.sightings, Vec::with_capacity(WARMING_PORTION)))
    }

    /// Notes that a record of that size was read at the offset.
    pub fn record(&mut self, offset: i64, bytes: usize) {
        self.reach(offset + 1);
        self.records += 1;
        self.bytes += bytes;
        self.opened.get_or_insert_with(Instant::now);
    }

    /// Adds the event of the record at that offset, which was read last.
    pub fn event(&mut self, event: &Event<'_>, offset: i64) {
        self.see(event, offset);
        self.columns.push(event);
    }

    /// Adds what lanes need of the record of the event that was added last.
    pub fn lane_event(&mut self, record: &Record<'_>) {
        let Some(shape) = self.shape.lane else { return };
        self.lane.offsets.push(record.offset);
        self.lane.record_times_us.push(record.timestamp_ms.map(|ms| ms.saturating_mul(1_000)));
        if shape.originals {
            self.lane.originals.push(record.key, record.payload.unwrap_or_default());
        }
        if shape.rekeyed {
            self.lane.upstreams.push(upstream_of(record.headers()));
        }
    }

    /// Adds the mark that a record holds, if it does and lanes read.
    pub fn lane_mark(&mut self, record: &Record<'_>) {
        if self.shape.lane.is_some_and(|shape| shape.rekeyed)
            && let Some(mark) = mark_of(record.headers())
        {
            let record_time_us = record.timestamp_ms.map(|ms| ms.saturating_mul(1_000));
            self.lane.marks.push(MarkRecord { offset: record.offset, record_time_us, mark });
        }
    }

    /// Adds the change that a record of a table is. It has a timestamp, or it would be none.
    pub fn change(&mut self, record: &Record<'_>, change: Change<'_>) {
        let timestamp_us = record.timestamp_ms.unwrap_or_default().saturating_mul(1_000);
        let held = HeldChange { offset: record.offset, timestamp_us, row: change.row.as_ref().map(row_of) };
        self.changes.push((change.key, held.to_bytes()));
    }

    /// As [`Shape::is_counted`] says.
    pub fn is_counted(&self) -> bool {
        self.shape.is_counted()
    }

    /// Whether it collects the changes of a table, and no events.
    pub fn is_of_table(&self) -> bool {
        self.shape.is_of_table
    }

    fn see(&mut self, event: &Event<'_>, offset: i64) {
        self.sightings.extend(event.identity().map(|identity| Sighting { identity, offset }));
    }

    /// Notes that everything before the offset was read. Transaction markers and aborted records are skipped this way.
    pub fn reach(&mut self, to: i64) {
        self.to = self.to.max(to);
    }

    /// Whether there should be a mark after the record that was read last.
    pub fn is_at_mark(&self) -> bool {
        let marked = self.marks.last().map_or(0, |mark| mark.records);
        self.records - marked >= self.shape.mark_every
    }

    /// Puts a mark after the record that was read last, whose witness this is.
    pub fn mark(&mut self, witness: Option<Witness>) {
        let to = Position { offset: self.to, witness };
        self.marks.push(Mark { rows: self.columns.len(), records: self.records, to });
    }

    /// Whether so many more records follow that the micro-batch will have `max_rows`; the log is known to hold everything before
    /// `end`.
    pub fn will_be_full(&self, end: i64, max_rows: usize) -> bool {
        let missing = max_rows.saturating_sub(self.records);
        i64::try_from(missing).is_ok_and(|missing| end.saturating_sub(self.to) >= missing)
    }

    /// How many records were read since the last seal.
    pub fn records(&self) -> usize {
        self.records
    }

    /// The payload bytes of these records.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the first of these records was read.
    pub fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// Whether applying it would move the cursor.
    pub fn moves(&self) -> bool {
        self.to > self.from
    }

    /// Returns what was collected, and starts the next micro-batch after it. `witness` is the last record before its end.
    ///
    /// # Errors
    /// None that a checked catalog can cause.
    pub fn seal(&mut self, source: &Source, witness: Option<Witness>) -> PolarsResult<MicroBatch> {
        self.mark(witness);
        let columns = mem::replace(&mut self.columns, columns(source, &self.shape, self.records));
        let room = Vec::with_capacity(self.sightings.len());
        let sealed = MicroBatch {
            from: self.from,
            marks: mem::take(&mut self.marks),
            events: columns.finish()?,
            sightings: mem::replace(&mut self.sightings, room),
            lane: Box::new(mem::take(&mut self.lane)),
            changes: mem::take(&mut self.changes),
            opened: self.opened.take().unwrap_or_else(Instant::now),
            sealed: Instant::now(),
        };
        self.from = self.to;
        (self.records, self.bytes) = (0, 0);
        Ok(sealed)
    }
}

fn columns(source: &Source, shape: &Shape, capacity: usize) -> Columns {
    Columns::new(source, |name| shape.wanted.binary_search_by(|wanted| wanted.as_str().cmp(name)).is_ok(), capacity)
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;
    use shared_logic::decode::Decoder;
    use test_kit::catalogs::TINY;

    use super::*;

    /// A source with an event id or without, and its builder from the offset 40,000 on.
    fn builder(has_id: bool) -> (Source, MicroBatchBuilder) {
        let event_id = if has_id { "event_time = \"at\"\nevent_id = \"k\"" } else { "event_time = \"at\"" };
        let catalog = Catalog::parse(&TINY.replace("event_time = \"at\"", event_id)).expect("a valid catalog");
        let source = catalog.sources["s"].clone();
        let shape = Shape { wanted: vec!["at".to_owned()], mark_every: 1_000, lane: None, is_of_table: false };
        let builder = MicroBatchBuilder::new(&source, &shape, 40_000);
        (source, builder)
    }

    fn payload(offset: i64) -> Vec<u8> {
        format!("{{\"at\":1000,\"k\":\"{offset}\"}}").into_bytes()
    }

    fn offsets(sightings: &[Sighting]) -> Vec<i64> {
        sightings.iter().map(|sighting| sighting.offset).collect()
    }

    #[test]
    fn every_event_before_the_cursor_is_handed_on_once_and_the_last_ones_with_the_first_micro_batch() {
        let (source, mut builder) = builder(true);
        let mut decoder = Decoder::new(&source);
        let mut handed = Vec::new();
        for offset in 5_000..40_000 {
            let payload = payload(offset);
            let event = decoder.decode(Some(&payload[..]), None).expect("an event");
            if let Some(portion) = builder.warm(&event, offset) {
                assert_eq!(portion.len(), WARMING_PORTION);
                handed.extend(offsets(&portion));
            }
        }
        assert_eq!(handed.len(), 2 * WARMING_PORTION);
        assert_eq!((builder.records(), builder.opened(), builder.moves()), (0, None, false), "they are not counted");
        for offset in 40_000..40_010 {
            let payload = payload(offset);
            builder.record(offset, payload.len());
            // The others are rejected.
            if offset % 2 == 0 {
                builder.event(&decoder.decode(Some(&payload[..]), None).expect("an event"), offset);
            }
        }
        let sealed = builder.seal(&source, None).expect("columns");
        handed.extend(offsets(&sealed.sightings));
        let events = (40_000..40_010).step_by(2);
        assert_eq!(handed, (5_000..40_000).chain(events).collect::<Vec<i64>>());
        assert_eq!((sealed.from, sealed.events.height(), sealed.marks.len()), (40_000, 5, 1));
        assert!(builder.seal(&source, None).expect("columns").sightings.is_empty());
    }

    #[test]
    fn a_micro_batch_will_be_full_if_the_log_holds_what_it_lacks() {
        let (_, mut builder) = builder(false);
        assert!(!builder.will_be_full(40_099, 100) && builder.will_be_full(40_100, 100));
        (40_000..40_060).for_each(|offset| builder.record(offset, 1));
        assert!(!builder.will_be_full(40_099, 100) && builder.will_be_full(40_100, 100));
        // A transaction marker is no record.
        builder.reach(40_061);
        assert!(!builder.will_be_full(40_100, 100) && builder.will_be_full(40_101, 100));
        assert!(!builder.will_be_full(0, 100), "the end is not known yet, or older than what was read");
        assert!(!builder.will_be_full(i64::MAX, usize::MAX));
    }

    #[test]
    fn events_without_an_id_are_nobody() {
        let (source, mut builder) = builder(false);
        let mut decoder = Decoder::new(&source);
        builder.record(40_000, 1);
        builder.event(&decoder.decode(Some(&payload(1)[..]), None).expect("an event"), 40_000);
        let sealed = builder.seal(&source, None).expect("columns");
        assert_eq!((sealed.events.height(), sealed.sightings), (1, Vec::new()));
    }
}
