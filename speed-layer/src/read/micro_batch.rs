//! A micro-batch: consecutive records of one partition, decoded, without duplicates, as columns.
//!
//! It is what the reading thread hands to a counting loop. A micro-batch speaks for a range of offsets, which may be empty
//! and may hold offsets without a record (transaction markers, aborted records).

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
    /// The first offset after its range, and the last record before it: where the shard's cursor goes.
    pub to: Position,
    /// The valid records, with only the columns that at least one metric reads.
    pub events: DataFrame,
    /// How many records were read, valid or not.
    pub records: usize,
    /// When its first record was read.
    pub opened: Instant,
    /// When it was sealed. Until then, no connection was known to be broken.
    pub sealed: Instant,
}

/// Collects records into micro-batches, one after the other.
#[derive(Debug)]
pub struct MicroBatchBuilder {
    wanted: Vec<String>,
    from: i64,
    to: i64,
    columns: Columns,
    records: usize,
    bytes: usize,
    opened: Option<Instant>,
}

impl MicroBatchBuilder {
    /// Starts an empty micro-batch at an offset. It keeps the `wanted` fields, which are sorted.
    pub fn new(source: &Source, wanted: &[String], from: i64) -> MicroBatchBuilder {
        let columns = columns(source, wanted, 0);
        MicroBatchBuilder { wanted: wanted.to_vec(), from, to: from, columns, records: 0, bytes: 0, opened: None }
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
        let capacity = self.records;
        let columns = std::mem::replace(&mut self.columns, columns(source, &self.wanted, capacity));
        let sealed = MicroBatch {
            from: self.from,
            to: Position { offset: self.to, witness },
            events: columns.finish()?,
            records: std::mem::take(&mut self.records),
            opened: self.opened.take().unwrap_or_else(Instant::now),
            sealed: Instant::now(),
        };
        self.from = self.to;
        self.bytes = 0;
        Ok(sealed)
    }
}

fn columns(source: &Source, wanted: &[String], capacity: usize) -> Columns {
    Columns::new(source, |name| wanted.binary_search_by(|wanted| wanted.as_str().cmp(name)).is_ok(), capacity)
}
