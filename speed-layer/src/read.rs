//! Records → micro-batches, in one thread per source.
//!
//! The thread reads exactly the partitions that counting loops have started, from exactly the offsets that they named. It
//! decodes a record where librdkafka put it, so no payload is copied. Offsets before a loop's cursor only warm the
//! partition's deduplication window.
//!
//! A micro-batch is sealed when it is full or old enough. While its loop is busy it goes on growing up to its bound; then
//! the thread waits. So a slow Redis slows down reading, and nothing piles up in memory.

pub mod micro_batch;
mod partition;

use std::collections::BTreeMap;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use platform::kafka::{Consumer, KafkaError, Polled};
use platform::settings::Speed;
use shared_logic::catalog::Source;
use shared_logic::decode::Decoder;
use tokio::sync::mpsc;
use tracing::{error, warn};

use self::micro_batch::MicroBatch;
use self::partition::Partition;

/// How many records one call to Kafka may bring.
const POLL_RECORDS: usize = 4_096;
/// How long the thread sleeps in Kafka when there is nothing to read.
const POLL_WAIT: Duration = Duration::from_millis(5);

/// What the reading thread is told to read.
#[derive(Debug)]
pub enum Assignment {
    /// Read a partition. What was read of it before is forgotten.
    Start(Start),
    /// Stop reading a partition.
    Stop {
        /// The partition's number.
        partition: i32,
    },
}

/// How to read a partition.
#[derive(Debug)]
pub struct Start {
    /// The partition's number.
    pub partition: i32,
    /// The first offset to read. Records before `cursor` only warm the deduplication window.
    pub warm_from: i64,
    /// The first offset to hand on.
    pub cursor: i64,
    /// Where micro-batches go. If its receiver is closed, the partition is no longer read.
    pub batches: mpsc::Sender<MicroBatch>,
}

/// Reads one source. It belongs to a thread of its own.
pub struct Reader {
    source: Source,
    wanted: Vec<String>,
    settings: Speed,
    consumer: Consumer,
    decoder: Decoder,
    partitions: BTreeMap<i32, Partition>,
    assignments: std_mpsc::Receiver<Assignment>,
}

impl Reader {
    /// A reader of the source's topic that reads nothing yet. `wanted` names the fields that metrics read, sorted.
    ///
    /// # Errors
    /// If Kafka's settings are not usable.
    pub fn new(
        kafka: &platform::settings::Kafka,
        settings: &Speed,
        source: &Source,
        wanted: Vec<String>,
        assignments: std_mpsc::Receiver<Assignment>,
    ) -> Result<Reader, KafkaError> {
        Ok(Reader {
            consumer: Consumer::new(kafka, &source.topic)?,
            decoder: Decoder::new(source),
            source: source.clone(),
            wanted,
            settings: settings.clone(),
            partitions: BTreeMap::new(),
            assignments,
        })
    }

    /// Reads until every sender of assignments is gone. Records that were not handed on by then are read again by the worker
    /// that is assigned the partition next.
    pub fn run(mut self) {
        while self.take_assignments() {
            let read = self.read();
            if let Err(error) = read {
                error!(topic = self.source.topic, %error, "cannot read from kafka; trying again");
                std::thread::sleep(POLL_WAIT * 20);
            }
            self.hand_on();
        }
    }

    /// Returns false once there can be no more assignments.
    fn take_assignments(&mut self) -> bool {
        let mut changed = false;
        loop {
            match self.assignments.try_recv() {
                Ok(Assignment::Start(start)) => {
                    let partition = start.partition;
                    self.partitions.insert(partition, Partition::new(&self.source, &self.wanted, start));
                    changed = true;
                }
                Ok(Assignment::Stop { partition }) => changed |= self.partitions.remove(&partition).is_some(),
                Err(std_mpsc::TryRecvError::Empty) => break,
                Err(std_mpsc::TryRecvError::Disconnected) => return false,
            }
        }
        let before = self.partitions.len();
        self.partitions.retain(|_, partition| !partition.has_ended());
        if changed || self.partitions.len() != before {
            let offsets = self.partitions.iter().map(|(number, partition)| (*number, partition.next())).collect();
            if let Err(error) = self.consumer.assign(&offsets) {
                error!(topic = self.source.topic, %error, "cannot assign partitions; their counting loops start again");
                self.partitions.clear();
            }
        }
        true
    }

    fn read(&mut self) -> Result<(), KafkaError> {
        if self.partitions.is_empty() {
            std::thread::sleep(POLL_WAIT);
            return Ok(());
        }
        let Reader { consumer, partitions, decoder, settings, source, .. } = self;
        consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
            Polled::Record(record) => {
                if let Some(partition) = partitions.get_mut(&record.partition) {
                    partition.take(&record, decoder);
                    if partition.is_full(settings) {
                        partition.send(source);
                    }
                }
            }
            Polled::End { partition, offset } => {
                if let Some(partition) = partitions.get_mut(&partition) {
                    partition.reach(offset);
                }
            }
            Polled::OutOfRange { partition } => {
                warn!(topic = source.topic, partition, "the log does not hold the offset; opening the shard again");
                partitions.get_mut(&partition).into_iter().for_each(Partition::fail);
            }
            Polled::Failed { partition, error } => {
                warn!(topic = source.topic, ?partition, %error, "kafka reports an error");
            }
        })?;
        Ok(())
    }

    fn hand_on(&mut self) {
        let (linger, idle) = (self.settings.linger.get(), self.settings.idle_apply.get());
        for partition in self.partitions.values_mut() {
            partition.hand_on(&self.source, linger, idle);
        }
    }
}
