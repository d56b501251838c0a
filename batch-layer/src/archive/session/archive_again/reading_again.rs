//! What was read again of a log, and is not committed yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use platform::kafka::{Consumer, KafkaError, Polled, Record, Topic};
use platform::settings;
use platform::store::DataFile;
use polars::prelude::Schema;
use shared_logic::catalog::Source;
use shared_logic::decode::Decoder;
use shared_logic::log::Check;
use storage::Schemas;
use tracing::{info, warn};

use super::super::reading::{POLL_RECORDS, POLL_WAIT, checked, incoming, witness_of};
use super::super::waiting::Waiting;
use super::Wanted;
use crate::archive::buffer::Buffer;
use crate::archive::replace::ReadAgain;
use crate::archive_rows::erased::Places;

/// The state of a reading.
pub(super) struct ReadingAgain<'a> {
    wanted: &'a Wanted,
    begins: BTreeMap<i32, i64>,
    /// Per partition, the first offset that was not read.
    reached: BTreeMap<i32, i64>,
    /// What was read of what is wanted, as far as it is written.
    pub(super) read: ReadAgain,
    /// What is not written yet.
    buffer: Buffer,
    /// The partitions whose log does not hold the offset at which reading begins.
    pub(super) out_of_range: BTreeSet<i32>,
    /// Where logs ended, if Kafka said so.
    pub(super) ends: BTreeMap<i32, i64>,
    /// R12: the partitions whose position is not compared with the log yet.
    checks: BTreeMap<i32, Check>,
    /// R12: the partitions whose log lost its tail, each with an offset at which it holds another record than the archive.
    pub(super) differs: BTreeMap<i32, i64>,
    /// The partitions that wait for a schema.
    pub(super) waiting: Waiting,
}

impl<'a> ReadingAgain<'a> {
    /// Nothing is read yet. `declared` are the columns of the archive's table; `erased` are those of the wanted records that are erased.
    pub(super) fn new(
        source: &Source,
        declared: &Schema,
        topic: &Topic,
        wanted: &'a Wanted,
        erased: Places,
    ) -> ReadingAgain<'a> {
        let begins = wanted.begins();
        let checks = wanted.positions.checks.iter().filter(|(partition, _)| begins.contains_key(*partition));
        let buffer = Buffer::new(source, declared, &topic.log, &begins);
        ReadingAgain {
            checks: checks.map(|(partition, check)| (*partition, *check)).collect(),
            buffer: buffer.with_incarnations(&wanted.positions.incarnations).with_erased(&Arc::new(erased)),
            wanted,
            reached: begins.clone(),
            begins,
            read: ReadAgain { erased_parts: wanted.erased_parts, ..ReadAgain::default() },
            out_of_range: BTreeSet::new(),
            ends: BTreeMap::new(),
            differs: BTreeMap::new(),
            waiting: Waiting::default(),
        }
    }

    /// Where reading begins, and where it goes on.
    pub(super) fn starts(&self) -> &BTreeMap<i32, i64> {
        &self.reached
    }

    /// Reads once.
    pub(super) fn poll(
        &mut self,
        consumer: &mut Consumer,
        topic: &str,
        decoder: &mut Decoder,
        schemas: &Schemas,
    ) -> Result<(), KafkaError> {
        consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
            Polled::Record(record) => self.record(&record, decoder, schemas),
            Polled::End { partition, offset } => self.end(partition, offset),
            Polled::OutOfRange { partition } => {
                self.out_of_range.insert(partition);
            }
            Polled::Failed { partition, error } => warn!(topic, ?partition, %error, "kafka reports an error"),
        })?;
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>, decoder: &mut Decoder, schemas: &Schemas) {
        let (partition, offset) = (record.partition, record.offset);
        let is_new = self.reached.get(&partition).is_some_and(|reached| offset >= *reached);
        if !is_new || self.waiting.holds(partition) {
            return;
        }
        if self.wanted.holds(partition, offset) {
            let row = incoming(record);
            let (timestamp_us, hash) = (row.timestamp_us, row.content().short_hash());
            if let Some(schema) = self.buffer.push(row, decoder) {
                self.waiting.add(partition, schema, timestamp_us, schemas);
                return;
            }
            self.read.digest.add(partition, offset, timestamp_us, Some(hash));
        }
        self.reached.insert(partition, offset + 1);
        if let Some(check) = self.checks.get_mut(&partition).filter(|check| offset >= check.begins_at()) {
            let outcome = check.record(&witness_of(record));
            checked(&mut self.checks, &mut self.differs, partition, outcome);
        }
    }

    fn end(&mut self, partition: i32, offset: i64) {
        if self.waiting.holds(partition) {
            return;
        }
        let Some(reached) = self.reached.get_mut(&partition) else { return };
        *reached = offset.max(*reached);
        self.ends.insert(partition, offset);
        let outcome = self.checks.get(&partition).and_then(|check| check.end(offset));
        checked(&mut self.checks, &mut self.differs, partition, outcome);
    }

    /// Whether everything was read, up to the archive's positions, and these were compared with the log (R12).
    pub(super) fn is_done(&self) -> bool {
        let is_read = |(partition, reached): (&i32, &i64)| *reached >= self.wanted.upto(*partition);
        self.reached.iter().all(is_read) && self.checks.is_empty() && self.differs.is_empty()
    }

    /// Whether as much was read as one file may hold.
    pub(super) fn is_full(&self, settings: &settings::Archive) -> bool {
        self.buffer.is_full(settings)
    }

    /// Takes what is not written yet.
    pub(super) fn take_rows(&mut self) -> Buffer {
        let following = self.buffer.following();
        std::mem::replace(&mut self.buffer, following)
    }

    /// What was taken is written in these files.
    pub(super) fn add_files(&mut self, files: Vec<DataFile>) {
        self.read.files.extend(files);
    }

    /// Logs how many offsets were read, and of how many.
    pub(super) fn log_progress(&self, topic: &str) {
        let (mut offsets, mut of) = (0, 0);
        for (partition, begin) in &self.begins {
            let (reached, upto) = (self.reached.get(partition).unwrap_or(begin), self.wanted.upto(*partition));
            offsets += upto.min(*reached) - begin;
            of += upto - begin;
        }
        info!(topic, offsets, of, "archiving again what the source's rules cannot decode");
    }
}
