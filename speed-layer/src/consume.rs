//! Records → micro-batches, in one thread per source.
//!
//! The thread reads exactly the partitions that lanes started, from exactly the offsets that they named. A record is
//! decoded where librdkafka put it, so no payload is copied. Offsets before a lane's cursor only warm its deduplication
//! window. A micro-batch is sealed when it is full or old enough; while its lane is busy it goes on growing up to its
//! bound, and beyond that the thread waits: a slow Redis slows reading, nothing piles up.

use std::collections::BTreeMap;
use std::sync::mpsc as commands;
use std::time::{Duration, Instant};

use metrics::counter;
use platform::kafka::{Consumer, KafkaError, Polled, Record};
use platform::settings::Speed;
use shared_logic::catalog::Source;
use shared_logic::decode::Decoder;
use shared_logic::dedup::RecentIdentities;
use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::micro_batch::{Filling, MicroBatch};

/// How many records one call to Kafka may bring.
const POLL_RECORDS: usize = 4_096;
/// How long the thread sleeps in Kafka when there is nothing to read.
const POLL_WAIT: Duration = Duration::from_millis(5);

/// What a lane tells the consumer.
#[derive(Debug)]
pub enum Command {
    /// Read a partition; what was read of it before is forgotten.
    Start(Start),
    /// Read it no longer.
    Stop {
        /// Which.
        partition: i32,
    },
}

/// How to read a partition.
#[derive(Debug)]
pub struct Start {
    /// Which.
    pub partition: i32,
    /// The first offset to read; those before `cursor` only warm the deduplication window.
    pub warm_from: i64,
    /// The first offset to hand on.
    pub cursor: i64,
    /// Where micro-batches go. A closed receiver stops the partition.
    pub batches: mpsc::Sender<MicroBatch>,
}

/// The consumer of one source.
pub struct Consume {
    source: Source,
    wanted: Vec<String>,
    settings: Speed,
    consumer: Consumer,
    decoder: Decoder,
    lanes: BTreeMap<i32, Lane>,
    commands: commands::Receiver<Command>,
}

/// One partition that is being read.
struct Lane {
    window: RecentIdentities,
    cursor: i64,
    /// The next offset to read.
    next: i64,
    filling: Filling,
    batches: mpsc::Sender<MicroBatch>,
    /// When the last micro-batch was sent, so that an idle lane sends an empty one now and then.
    sent: Instant,
    failed: bool,
}

impl Consume {
    /// A consumer of the source's topic that reads nothing yet. `wanted` names the fields that metrics read, sorted.
    ///
    /// # Errors
    /// If Kafka's settings are not usable.
    pub fn new(
        kafka: &platform::settings::Kafka,
        settings: &Speed,
        source: &Source,
        wanted: Vec<String>,
        commands: commands::Receiver<Command>,
    ) -> Result<Consume, KafkaError> {
        Ok(Consume {
            consumer: Consumer::new(kafka, &source.topic)?,
            decoder: Decoder::new(source),
            source: source.clone(),
            wanted,
            settings: settings.clone(),
            lanes: BTreeMap::new(),
            commands,
        })
    }

    /// Reads until every sender of commands is gone. What is not handed on then is read again by whoever counts next.
    pub fn run(mut self) {
        while self.take_commands() {
            let read = self.read();
            if let Err(error) = read {
                error!(topic = self.source.topic, %error, "cannot read from kafka; trying again");
                std::thread::sleep(POLL_WAIT * 20);
            }
            self.hand_on();
        }
    }

    /// Gives false once there can be no more commands.
    fn take_commands(&mut self) -> bool {
        let mut changed = false;
        loop {
            match self.commands.try_recv() {
                Ok(Command::Start(start)) => {
                    let partition = start.partition;
                    self.lanes.insert(partition, Lane::new(&self.source, &self.wanted, start));
                    changed = true;
                }
                Ok(Command::Stop { partition }) => changed |= self.lanes.remove(&partition).is_some(),
                Err(commands::TryRecvError::Empty) => break,
                Err(commands::TryRecvError::Disconnected) => return false,
            }
        }
        let before = self.lanes.len();
        self.lanes.retain(|_, lane| !lane.failed && !lane.batches.is_closed());
        if changed || self.lanes.len() != before {
            let offsets = self.lanes.iter().map(|(partition, lane)| (*partition, lane.next)).collect();
            if let Err(error) = self.consumer.assign(&offsets) {
                error!(topic = self.source.topic, %error, "cannot assign partitions; lanes start again");
                self.lanes.clear();
            }
        }
        true
    }

    fn read(&mut self) -> Result<(), KafkaError> {
        if self.lanes.is_empty() {
            std::thread::sleep(POLL_WAIT);
            return Ok(());
        }
        let Consume { consumer, lanes, decoder, settings, source, .. } = self;
        consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
            Polled::Record(record) => {
                if let Some(lane) = lanes.get_mut(&record.partition) {
                    lane.take(&record, decoder);
                    if lane.is_full(settings) {
                        send(source, lane);
                    }
                }
            }
            Polled::End { partition, offset } => {
                if let Some(lane) = lanes.get_mut(&partition).filter(|lane| offset >= lane.cursor) {
                    lane.filling.reach(offset);
                    lane.next = lane.next.max(offset);
                }
            }
            Polled::OutOfRange { partition } => {
                warn!(topic = source.topic, partition, "the log does not hold the offset; looking at the shard again");
                lanes.get_mut(&partition).into_iter().for_each(|lane| lane.failed = true);
            }
            Polled::Failed { partition, error } => warn!(topic = source.topic, ?partition, %error, "kafka reports"),
        })?;
        Ok(())
    }

    /// Seals what is old enough, where the lane is free; an idle lane gets an empty micro-batch.
    fn hand_on(&mut self) {
        let (linger, idle) = (self.settings.linger.get(), self.settings.idle_apply.get());
        for lane in self.lanes.values_mut() {
            let old = lane.filling.opened().is_some_and(|opened| opened.elapsed() >= linger);
            let idle = lane.next >= lane.cursor && lane.sent.elapsed() >= idle;
            let moved = lane.filling.moves() && lane.sent.elapsed() >= linger && lane.filling.opened().is_none();
            if (old || idle || moved) && lane.batches.capacity() > 0 {
                send(&self.source, lane);
            }
        }
    }
}

impl Lane {
    fn new(source: &Source, wanted: &[String], start: Start) -> Lane {
        Lane {
            window: RecentIdentities::new(source.dedup_window),
            cursor: start.cursor,
            next: start.warm_from,
            filling: Filling::new(source, wanted, start.cursor),
            batches: start.batches,
            sent: Instant::now(),
            failed: false,
        }
    }

    fn take(&mut self, record: &Record<'_>, decoder: &mut Decoder) {
        if record.offset < self.next {
            return;
        }
        self.next = record.offset + 1;
        let event = decoder.decode(record.payload, record.timestamp_ms.map(|ms| ms.saturating_mul(1_000)));
        let duplicate = |window: &mut RecentIdentities, event: &shared_logic::decode::Event<'_>| {
            event.identity().is_some_and(|identity| window.is_duplicate(identity, record.offset))
        };
        if record.offset < self.cursor {
            if let Ok(event) = event {
                duplicate(&mut self.window, &event);
            }
            return;
        }
        let columns = self.filling.record(record.offset, record.payload.map_or(0, <[u8]>::len));
        match event {
            Ok(event) if duplicate(&mut self.window, &event) => counter!("braid_speed_duplicates_total").increment(1),
            Ok(event) => columns.push(&event),
            Err(rejected) => {
                counter!("braid_speed_rejected_total", "reason" => rejected.reason.name()).increment(1);
            }
        }
    }

    fn is_full(&self, settings: &Speed) -> bool {
        self.filling.records() >= settings.max_rows || self.filling.bytes() as u64 >= settings.max_bytes.bytes()
    }
}

/// Seals and sends, waiting while the lane is busy; a lane that is gone is dropped at the next look.
fn send(source: &Source, lane: &mut Lane) {
    lane.sent = Instant::now();
    match lane.filling.seal(source) {
        Ok(batch) => lane.failed |= lane.batches.blocking_send(batch).is_err(),
        Err(error) => {
            error!(topic = source.topic, %error, "cannot make columns of decoded events");
            lane.failed = true;
        }
    }
}
