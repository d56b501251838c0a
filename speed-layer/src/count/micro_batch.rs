//! A micro-batch: consecutive records of one partition, decoded, deduplicated, as columns.

use std::time::Instant;

use polars::prelude::{DataFrame, PolarsResult};
use shared_logic::catalog::Source;
use shared_logic::decode::Columns;

/// What the consumer hands on.
#[derive(Debug)]
pub struct MicroBatch {
    /// The first offset that it speaks for: the shard's cursor before it.
    pub from: i64,
    /// The first offset behind it: the shard's cursor after it.
    pub to: i64,
    /// The events among the records, only the columns that some metric reads.
    pub events: DataFrame,
    /// How many records were read, events or not.
    pub records: usize,
    /// When its first record was read.
    pub opened: Instant,
}

/// A micro-batch that is still being filled.
#[derive(Debug)]
pub struct Filling {
    wanted: Vec<String>,
    from: i64,
    to: i64,
    columns: Columns,
    records: usize,
    bytes: usize,
    opened: Option<Instant>,
}

impl Filling {
    /// An empty one that begins at an offset and keeps the `wanted` fields.
    pub fn new(source: &Source, wanted: &[String], from: i64) -> Filling {
        let columns = columns(source, wanted, 0);
        Filling { wanted: wanted.to_vec(), from, to: from, columns, records: 0, bytes: 0, opened: None }
    }

    /// Notes that a record of that size was read at the offset; gives the columns to add its event to.
    pub fn record(&mut self, offset: i64, bytes: usize) -> &mut Columns {
        self.reach(offset + 1);
        self.records += 1;
        self.bytes += bytes;
        self.opened.get_or_insert_with(Instant::now);
        &mut self.columns
    }

    /// Notes that everything before the offset was read: markers and aborted records have no records of their own.
    pub fn reach(&mut self, to: i64) {
        self.to = self.to.max(to);
    }

    /// How many records it holds.
    pub fn records(&self) -> usize {
        self.records
    }

    /// The payload bytes of its records.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Since when it holds a record.
    pub fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// Whether it would move the cursor.
    pub fn moves(&self) -> bool {
        self.to > self.from
    }

    /// The first offset behind it.
    pub fn end(&self) -> i64 {
        self.to
    }

    /// Takes what is there and goes on behind it.
    ///
    /// # Errors
    /// None that a checked catalog can cause.
    pub fn seal(&mut self, source: &Source) -> PolarsResult<MicroBatch> {
        let capacity = self.records;
        let columns = std::mem::replace(&mut self.columns, columns(source, &self.wanted, capacity));
        let sealed = MicroBatch {
            from: self.from,
            to: self.to,
            events: columns.finish()?,
            records: std::mem::take(&mut self.records),
            opened: self.opened.take().unwrap_or_else(Instant::now),
        };
        self.from = self.to;
        self.bytes = 0;
        Ok(sealed)
    }
}

fn columns(source: &Source, wanted: &[String], capacity: usize) -> Columns {
    Columns::new(source, |name| wanted.binary_search_by(|wanted| wanted.as_str().cmp(name)).is_ok(), capacity)
}
