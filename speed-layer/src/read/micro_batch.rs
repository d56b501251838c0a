//! A micro-batch: consecutive records of one partition, decoded, without duplicates, as columns.
//!
//! It is what the reading thread hands to a counting loop. A micro-batch speaks for a range of offsets, which may be empty
//! and may hold offsets without a record (transaction markers, aborted records).
//!
//! How many counters it adds to is known only once it is counted. So it has marks, up to which it may be applied by itself if all
//! of it would be too much for one script.

use std::time::Instant;

use polars::prelude::{DataFrame, PolarsResult};
use shared_logic::catalog::Source;
use shared_logic::decode::Columns;
use shared_logic::log::{Position, Witness};

/// A sealed micro-batch.
#[derive(Debug)]
pub struct MicroBatch {
    /// The first offset of its range: the cursor that the shard must have before it is applied.
    pub from: i64,
    /// Up to where it may be applied, ascending; the last mark is its end. There is at least one.
    pub marks: Vec<Mark>,
    /// The valid records, with only the columns that at least one metric reads.
    pub events: DataFrame,
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

/// What the micro-batches of a source are made of.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The fields that they keep, sorted.
    pub wanted: Vec<String>,
    /// After how many records there is a mark.
    pub mark_every: usize,
}

/// Collects records into micro-batches, one after the other.
#[derive(Debug)]
pub struct MicroBatchBuilder {
    shape: Shape,
    from: i64,
    to: i64,
    columns: Columns,
    marks: Vec<Mark>,
    records: usize,
    bytes: usize,
    opened: Option<Instant>,
}

impl MicroBatchBuilder {
    /// Starts an empty micro-batch of that shape at an offset.
    pub fn new(source: &Source, shape: &Shape, from: i64) -> MicroBatchBuilder {
        let columns = columns(source, shape, 0);
        let (shape, marks) = (shape.clone(), Vec::new());
        MicroBatchBuilder { shape, from, to: from, columns, marks, records: 0, bytes: 0, opened: None }
    }

    /// Notes that a record of that size was read at the offset; returns the columns to which its event is added.
    pub fn record(&mut self, offset: i64, bytes: usize) -> &mut Columns {
        self.reach(offset + 1);
        self.records += 1;
        self.bytes += bytes;
        self.opened.get_or_insert_with(Instant::now);
        &mut self.columns
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
        let columns = std::mem::replace(&mut self.columns, columns(source, &self.shape, self.records));
        let sealed = MicroBatch {
            from: self.from,
            marks: std::mem::take(&mut self.marks),
            events: columns.finish()?,
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
