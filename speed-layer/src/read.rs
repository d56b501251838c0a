//! Records → micro-batches, in the reading [`threads`] of a source.
//!
//! A thread reads exactly the partitions that counting loops have started, from exactly the offsets that they named. It
//! decodes a record where librdkafka put it, so no payload is copied. Of events before a loop's cursor it hands on who they are,
//! which warms the loop's deduplication window. It judges no copies itself: the loops of its partitions work at the same time.
//!
//! When a connection to Kafka breaks, whatever comes afterwards may be of another copy of the log (R12). So nothing more is
//! handed on: the client is replaced, and every loop starts again from its shard, whose position is compared with the log.
//! The same is done when Kafka tells nothing about a partition for `kafka.stalled_after` although something is due, also
//! while a loop's window is warmed or its position is compared.
//!
//! A record may name a schema that the decoder lacks. Its partition waits there; the thread hands on what it has, and asks for the
//! schema before it reads on.
//!
//! A micro-batch is sealed when it is full or old enough, and later where the log is known to fill it. While its loop is busy it
//! goes on growing up to its bound; then the thread waits for the loop, for a second at most. If the loop still has not taken it by then, its
//! partition alone is paused until it has, and the others go on. So a slow Redis or a lane without room slows down reading, and nothing
//! piles up in memory. A loop that is always late is waited for less, once others starve meanwhile: see `patience`.

pub mod micro_batch;
mod partition;
mod patience;
pub mod threads;

use std::collections::BTreeMap;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use platform::kafka::{Consumer, KafkaError, Losses, Polled};
use platform::settings::Speed;
use shared_logic::catalog::Source;
use shared_logic::decode::Decoder;
use shared_logic::log::{Check, Witness};
use storage::{AwaitedSchema, Schemas};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, warn};

use self::micro_batch::{Handed, Shape};
use self::partition::Partition;
use crate::log::ends::Ends;

/// How many records one call to Kafka may bring: few enough that what librdkafka makes of them, 450 bytes for small ones, stays in a
/// processor's second cache until it is freed.
const POLL_RECORDS: usize = 1_024;
/// How long the thread sleeps in Kafka when there is nothing to read.
const POLL_WAIT: Duration = Duration::from_millis(5);
/// How long the thread waits at most for loops that are busy, also while no other partition starves. To pause a partition costs what of it
/// was fetched and not read, so it is longer than a loop takes to count a large micro-batch in which every event has a counter of its own.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// How often it looks meanwhile.
const BUSY_LOOK: Duration = Duration::from_millis(1);
/// R12: on a connection on which nothing is fetched for so long a loss may go unnoticed.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a reading thread is told to read.
#[derive(Debug)]
pub enum Assignment {
    /// Read a partition. What was read of it before is forgotten.
    Start(Box<Start>),
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
    /// The first offset to read. Events before `cursor` only warm the loop's deduplication window.
    pub warm_from: i64,
    /// The first offset to hand on.
    pub cursor: i64,
    /// R12: the cursor's witness, if it is known.
    pub witness: Option<Witness>,
    /// R12: the comparison of the log with the archive's position, where that lies ahead. It comes first.
    pub ahead: Option<Check>,
    /// R12: the comparison of the log with the cursor's position. No micro-batch is handed on before it fits.
    pub check: Option<Check>,
    /// An offset at which a micro-batch ends in any case.
    pub seal_at: Option<i64>,
    /// Where the log differs, if it does.
    pub truncated: oneshot::Sender<i64>,
    /// Where micro-batches go, and before them what warms the window. If its receiver is closed, the partition is no longer read.
    pub to_loop: mpsc::Sender<Handed>,
}

/// Reads some partitions of one source. It belongs to a thread of its own.
pub struct Reader {
    source: Source,
    shape: Shape,
    settings: Speed,
    kafka: platform::settings::Kafka,
    consumer: Consumer,
    losses: Losses,
    decoder: Decoder,
    runtime: Handle,
    schemas: Schemas,
    /// The schema that some partitions wait for.
    awaited: Option<AwaitedSchema>,
    partitions: BTreeMap<i32, Partition>,
    /// Up to when time has passed for the patience with their loops.
    passed: Instant,
    assignments: std_mpsc::Receiver<Assignment>,
    ends: watch::Receiver<Ends>,
}

impl Reader {
    /// A reader of the source's topic that reads nothing yet. `schemas` are those that records may name, and `ends` says how
    /// far the log reaches.
    ///
    /// # Errors
    /// If Kafka's settings are not usable.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(
        kafka: &platform::settings::Kafka,
        settings: &Speed,
        source: &Source,
        shape: Shape,
        schemas: Schemas,
        assignments: std_mpsc::Receiver<Assignment>,
        ends: watch::Receiver<Ends>,
    ) -> Result<Reader, KafkaError> {
        let consumer = consumer(kafka, settings, source, &shape)?;
        Ok(Reader {
            losses: consumer.losses(),
            consumer,
            kafka: kafka.clone(),
            decoder: Decoder::new(source),
            runtime: Handle::current(),
            schemas,
            awaited: None,
            source: source.clone(),
            shape,
            settings: settings.clone(),
            partitions: BTreeMap::new(),
            passed: Instant::now(),
            assignments,
            ends,
        })
    }

    /// Reads until every sender of assignments is gone. Records that were not handed on by then are read again by the worker
    /// that is assigned the partition next.
    pub fn run(mut self) {
        while self.take_assignments() {
            if self.ends.has_changed().unwrap_or(false) {
                self.note_ends();
            }
            let read = self.read();
            if let Err(error) = read {
                error!(topic = self.source.topic, %error, "cannot read from kafka; trying again");
                std::thread::sleep(POLL_WAIT * 20);
            }
            if self.losses.take() {
                warn!(
                    topic = self.source.topic,
                    "a connection to kafka broke; comparing the log with what was counted"
                );
                self.renew();
            } else if let Some(partition) = self.consumer.stalled() {
                warn!(
                    topic = self.source.topic,
                    partition, "kafka tells nothing although more is due; replacing the client"
                );
                self.renew();
            }
            self.hand_on();
            self.pace();
        }
    }

    /// Waits for loops that are busy, pauses the partitions of those that stay so, and goes on with those that are not any more.
    fn pace(&mut self) {
        let until = Instant::now() + BUSY_WAIT;
        let mut is_at_cost = false;
        loop {
            self.pass(is_at_cost);
            self.partitions.values_mut().for_each(Partition::hand_over);
            is_at_cost = self.partitions.values().any(Partition::is_starving);
            if is_at_cost {
                self.pause(Partition::is_too_slow);
            }
            if !self.partitions.values().any(Partition::is_ahead) || Instant::now() >= until {
                break;
            }
            std::thread::sleep(BUSY_LOOK);
        }
        self.pause(Partition::is_ahead);
        let behind: Vec<i32> = self.numbers(Partition::is_behind);
        if !behind.is_empty() {
            let resumed = self.consumer.resume(&behind);
            self.each(&behind, resumed, |partition| partition.resume(PAUSE_MAX));
        }
    }

    /// Lets the time pass since the last call; if loops were waited for meanwhile, and others starved, `is_at_cost`.
    fn pass(&mut self, is_at_cost: bool) {
        let now = Instant::now();
        let time = now.duration_since(std::mem::replace(&mut self.passed, now));
        self.partitions.values_mut().for_each(|partition| partition.pass(time, is_at_cost));
    }

    /// Has nothing be fetched of some partitions.
    fn pause(&mut self, which: impl Fn(&Partition) -> bool) {
        let paused = self.numbers(which);
        if !paused.is_empty() {
            let outcome = self.consumer.pause(&paused);
            self.each(&paused, outcome, Partition::pause);
        }
    }

    fn numbers(&self, which: impl Fn(&Partition) -> bool) -> Vec<i32> {
        self.partitions.iter().filter(|(_, partition)| which(partition)).map(|(number, _)| *number).collect()
    }

    /// Notes of some partitions what was done, or ends them if it was not.
    fn each(&mut self, numbers: &[i32], done: Result<(), KafkaError>, note: impl Fn(&mut Partition)) {
        if let Err(error) = &done {
            error!(topic = self.source.topic, %error, "cannot pause or resume partitions; their loops start again");
        }
        for number in numbers {
            if let Some(partition) = self.partitions.get_mut(number) {
                if done.is_ok() { note(partition) } else { partition.fail() }
            }
        }
    }

    /// R12: replaces the client, which may stall for ever after a broker went back to an older copy of its data. Every loop
    /// starts again.
    fn renew(&mut self) {
        self.partitions.values_mut().for_each(Partition::fail);
        match consumer(&self.kafka, &self.settings, &self.source, &self.shape) {
            Ok(consumer) => (self.losses, self.consumer) = (consumer.losses(), consumer),
            Err(error) => {
                error!(topic = self.source.topic, %error, "cannot start another client; going on with this one")
            }
        }
    }

    /// Returns false once there can be no more assignments.
    fn take_assignments(&mut self) -> bool {
        let mut changed = false;
        loop {
            match self.assignments.try_recv() {
                Ok(Assignment::Start(start)) => {
                    let number = start.partition;
                    let mut partition = Partition::new(&self.source, &self.shape, *start);
                    partition.note_end(self.ends.borrow().of.get(&number).copied().unwrap_or_default());
                    self.partitions.insert(number, partition);
                    changed = true;
                }
                Ok(Assignment::Stop { partition }) => changed |= self.partitions.remove(&partition).is_some(),
                Err(std_mpsc::TryRecvError::Empty) => break,
                Err(std_mpsc::TryRecvError::Disconnected) => return false,
            }
        }
        let before = self.partitions.len();
        self.partitions.retain(|_, partition| !partition.has_ended());
        for partition in self.partitions.values_mut() {
            changed |= partition.moves();
        }
        if changed || self.partitions.len() != before {
            let offsets = self.partitions.iter().map(|(number, partition)| (*number, partition.next())).collect();
            if let Err(error) = self.consumer.assign(&offsets) {
                error!(topic = self.source.topic, %error, "cannot assign partitions; their counting loops start again");
                self.partitions.clear();
            }
            // An assignment resumes all.
            self.pause(Partition::is_paused);
        }
        true
    }

    fn note_ends(&mut self) {
        let ends = self.ends.borrow_and_update();
        self.consumer.note_ends(&ends.of);
        for (number, partition) in &mut self.partitions {
            ends.of.get(number).into_iter().for_each(|end| partition.note_end(*end));
        }
    }

    fn read(&mut self) -> Result<(), KafkaError> {
        let awaited = self.awaited.take();
        if self.partitions.is_empty() {
            std::thread::sleep(POLL_WAIT);
            return Ok(());
        }
        if let Some(awaited) = awaited {
            self.ask(awaited);
            return Ok(());
        }
        let Reader { consumer, losses, partitions, decoder, settings, source, schemas, awaited, .. } = self;
        let names_schemas = source.format.names_schemas();
        consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
            Polled::Record(record) => {
                if let Some(partition) = partitions.get_mut(&record.partition) {
                    if let Some(schema) = partition.take(&record, decoder, source) {
                        let time_us = record.timestamp_ms.map(|ms| ms.saturating_mul(1_000));
                        awaited.get_or_insert_with(|| schemas.awaited(schema, time_us));
                    }
                    let is_full = partition.is_full(settings);
                    if record.is_last || is_full || names_schemas || partition.is_at_mark() {
                        partition.note_witness(&record);
                    }
                    if is_full && !losses.is_new() {
                        partition.send(source);
                    }
                }
            }
            Polled::End { partition, offset } => {
                if let Some(partition) = partitions.get_mut(&partition) {
                    partition.reach(offset, source);
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

    /// Asks for the schema that partitions wait for. Once it is learned, they go on.
    fn ask(&mut self, mut awaited: AwaitedSchema) {
        if self.runtime.block_on(self.schemas.ask(&mut awaited, &mut self.decoder)) {
            self.partitions.values_mut().for_each(Partition::go_on);
        } else {
            self.awaited = Some(awaited);
            std::thread::sleep(POLL_WAIT);
        }
    }

    fn hand_on(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.hand_on(&self.source, &self.settings);
        }
    }
}

/// A consumer of the source. What is only counted is gathered by Kafka already.
fn consumer(
    kafka: &platform::settings::Kafka,
    settings: &Speed,
    source: &Source,
    shape: &Shape,
) -> Result<Consumer, KafkaError> {
    let linger = settings.linger.get();
    if shape.is_counted() && !linger.is_zero() {
        Consumer::gathering(kafka, &source.topic, linger)
    } else {
        Consumer::new(kafka, &source.topic)
    }
}
