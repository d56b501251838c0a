//! What a session has read of one log and not committed yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use platform::kafka::{Consumer, KafkaError, Polled, Record, Topic};
use platform::settings;
use polars::prelude::Schema;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::headers_text;
use shared_logic::decode::Decoder;
use shared_logic::log::{Check, Outcome, Witness};
use storage::Schemas;
use tracing::warn;

use super::pace::Pace;
use super::share::Own;
use super::waiting::Waiting;
use crate::archive::buffer::Buffer;
use crate::archive_rows::record_rows::Incoming;

/// How many records one call to Kafka may return.
pub(super) const POLL_RECORDS: usize = 4_096;
/// How long a call to Kafka waits when there is nothing to read.
pub(super) const POLL_WAIT: Duration = Duration::from_millis(20);

/// The state of a session that reads.
pub(super) struct Reading {
    /// The topic at the start of the session.
    pub(super) topic: Topic,
    /// Which of its partitions are read.
    pub(super) own: Own,
    /// Where its partitions ended when Kafka was last asked.
    pub(super) ends: BTreeMap<i32, i64>,
    /// When that was.
    pub(super) ends_asked: Instant,
    /// What is not committed yet.
    pub(super) buffer: Buffer,
    /// The partitions whose log does not hold the next offset. If there is one, the session has to end.
    pub(super) out_of_range: BTreeSet<i32>,
    /// R12: the partitions whose position is not compared with the log yet. None of their records is taken.
    checks: BTreeMap<i32, Check>,
    /// R12: the partitions whose log lost its tail, each with an offset at which it holds another record than the
    /// archive. If there is one, the session has to end.
    pub(super) differs: BTreeMap<i32, i64>,
    /// The partitions that wait for a schema.
    pub(super) waiting: Waiting,
    pace: Pace,
}

impl Reading {
    /// Nothing is read yet. `declared` are the columns of the archive's table; `positions` are the archive's, with the names of other
    /// incarnations.
    pub(super) fn new(
        source: &Source,
        declared: &Schema,
        topic: Topic,
        positions: Positions,
        ends: BTreeMap<i32, i64>,
        own: Own,
    ) -> Reading {
        let Positions { next, checks, incarnations } = positions;
        let buffer = Buffer::new(source, declared, &topic.log, &next).with_incarnations(&incarnations);
        Reading {
            topic,
            own,
            ends,
            ends_asked: Instant::now(),
            buffer,
            out_of_range: BTreeSet::new(),
            checks,
            differs: BTreeMap::new(),
            waiting: Waiting::default(),
            pace: Pace::default(),
        }
    }

    /// Reads once into the buffer.
    pub(super) fn poll(
        &mut self,
        consumer: &mut Consumer,
        source: &Source,
        decoder: &mut Decoder,
        schemas: &Schemas,
    ) -> Result<(), KafkaError> {
        let Reading { buffer, out_of_range, checks, differs, waiting, .. } = self;
        let (topic, names_schemas) = (&source.topic, source.format.names_schemas());
        let items = consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
            Polled::Record(record) => {
                let partition = record.partition;
                if waiting.holds(partition) {
                    return;
                }
                if let Some(check) = checks.get_mut(&partition) {
                    let outcome = check.record(&witness_of(&record));
                    checked(checks, differs, partition, outcome);
                }
                if !differs.contains_key(&partition) {
                    let incoming = incoming(&record);
                    let time_us = incoming.timestamp_us;
                    if let Some(schema) = buffer.push(incoming, decoder) {
                        waiting.add(partition, schema, time_us, schemas);
                    }
                    // The next one may have to wait.
                    if record.is_last || names_schemas {
                        buffer.note_witness(partition, witness_of(&record));
                    }
                }
            }
            Polled::End { partition, offset } => {
                if waiting.holds(partition) {
                    return;
                }
                let outcome = checks.get(&partition).and_then(|check| check.end(offset));
                checked(checks, differs, partition, outcome);
                if !checks.contains_key(&partition) && !differs.contains_key(&partition) {
                    buffer.reach(partition, offset);
                }
            }
            Polled::OutOfRange { partition } => {
                out_of_range.insert(partition);
            }
            Polled::Failed { partition, error } => warn!(topic, ?partition, %error, "kafka reports an error"),
        })?;
        self.pace.read(items, self.buffer.has_progress(), Instant::now());
        Ok(())
    }

    /// Where reading goes on: at the witness of a position that is not compared yet, or else behind what was read.
    pub(super) fn starts(&self) -> BTreeMap<i32, i64> {
        let start = |(partition, (_, next)): (&i32, &(i64, i64))| {
            let start = self.checks.get(partition).map_or(*next, Check::begins_at);
            (*partition, start.min(*next))
        };
        self.buffer.reached.iter().map(start).collect()
    }

    /// The first offset of a partition that was not read.
    pub(super) fn next(&self, partition: i32) -> Option<i64> {
        self.buffer.reached.get(&partition).map(|(_, to)| *to)
    }

    /// Whether the buffer is full, or has waited long enough for more records.
    pub(super) fn is_due(&self, settings: &settings::Archive) -> bool {
        self.buffer.is_full(settings) || self.pace.is_due(settings.linger.get(), Instant::now())
    }

    /// The first commit does not wait for more records.
    pub(super) fn hurry(&mut self) {
        self.pace.hurry();
    }

    /// Whether more may be read: the buffer is not full, no partition waits, and nothing was found that ends the session.
    pub(super) fn takes_more(&self, settings: &settings::Archive) -> bool {
        let goes_on = self.waiting.is_empty() && self.out_of_range.is_empty() && self.differs.is_empty();
        goes_on && !self.buffer.is_full(settings)
    }

    /// Takes everything that was read; the buffer goes on, empty, where it was.
    pub(super) fn take_rows(&mut self, settings: &settings::Archive) -> Buffer {
        self.pace.commits(self.buffer.is_full(settings));
        let following = self.buffer.following();
        std::mem::replace(&mut self.buffer, following)
    }
}

/// Where the archive stands in the partitions of a topic.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Positions {
    /// The first offset that is not archived.
    pub(super) next: BTreeMap<i32, i64>,
    /// R12: how the log is compared with that position, where its witness is known and was not deleted by retention.
    pub(super) checks: BTreeMap<i32, Check>,
    /// The logs of partitions that are another incarnation.
    pub(super) incarnations: BTreeMap<i32, String>,
}

impl Positions {
    /// Those of these partitions alone.
    pub(super) fn of(mut self, partitions: &BTreeSet<i32>) -> Positions {
        self.next.retain(|partition, _| partitions.contains(partition));
        self.checks.retain(|partition, _| partitions.contains(partition));
        self.incarnations.retain(|partition, _| partitions.contains(partition));
        self
    }

    /// Where reading starts: at the witness, so that it is compared before anything is taken.
    pub(super) fn starts(&self) -> BTreeMap<i32, i64> {
        let start = |partition: &i32, next: i64| self.checks.get(partition).map_or(next, Check::begins_at).min(next);
        self.next.iter().map(|(partition, next)| (*partition, start(partition, *next))).collect()
    }
}

/// Notes what a comparison has found.
pub(super) fn checked(
    checks: &mut BTreeMap<i32, Check>,
    differs: &mut BTreeMap<i32, i64>,
    partition: i32,
    outcome: Option<Outcome>,
) {
    match outcome {
        None => {}
        Some(Outcome::Fits) => {
            checks.remove(&partition);
        }
        Some(Outcome::Differs(at)) => {
            checks.remove(&partition);
            differs.insert(partition, at);
        }
    }
}

/// The record as a row to be.
pub(super) fn incoming<'a>(record: &Record<'a>) -> Incoming<'a> {
    Incoming {
        partition: record.partition,
        offset: record.offset,
        timestamp_us: record.timestamp_ms.map(|ms| ms.saturating_mul(1_000)),
        key: record.key,
        payload: record.payload,
        headers: headers_text(record.headers()),
    }
}

/// The record as a witness.
pub(super) fn witness_of(record: &Record<'_>) -> Witness {
    Witness::of(record.offset, record.epoch(), &incoming(record).content())
}
