//! A consumer with given offsets: it reads the partitions that it is assigned, from the offsets that it is given, and
//! commits nothing.
//!
//! librdkafka requires a group id all the same; it is set and never used. The consumer polls whole batches from
//! librdkafka's queue, which is its fastest path, and passes every record to a closure as borrowed bytes, without a
//! copy or an allocation.
//!
//! Two mechanisms make a changed assignment safe. librdkafka marks fetched records with a version that every assignment
//! raises, and withholds older ones. And this file remembers for each partition the smallest offset that may still
//! come; it drops records below that offset and records of partitions that are not assigned.

mod config;
mod headers;
mod losses;
mod polled;
mod record;
mod silence;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, c_int};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::bindings as raw;
use rdkafka::types::{RDKafkaRespErr, RDKafkaType};

use super::KafkaError;
use super::native::{Client, NO_ERROR, PartitionList, description, topic_name};
use crate::settings;

use self::config::consumer_config;
use self::polled::polled;
use self::silence::Silence;

pub use self::headers::Headers;
pub use self::losses::Losses;
pub use self::polled::Polled;
pub use self::record::Record;

/// The position of a partition that is not assigned: no offset reaches it.
const NOT_ASSIGNED: i64 = i64::MAX;

/// The largest partition number that is accepted. A larger one can only be a mistake, and would cost memory.
const PARTITION_MAX: i32 = 1_000_000;

/// Reads a topic's partitions from given offsets. It can move to another thread, but only one uses it at a time.
/// [`Consumer::poll`] blocks, so give it a thread of its own.
pub struct Consumer {
    /// Messages of the last call to librdkafka. It is empty between polls and only kept for its memory.
    batch: Vec<*mut raw::rd_kafka_message_t>,
    /// By partition: the smallest offset that may still be delivered.
    positions: Vec<i64>,
    /// By partition: the place of its last record in the batch. A field only so that its memory is reused.
    last: Vec<usize>,
    paused: BTreeSet<i32>,
    silence: Silence,
    topic: String,
    topic_c: CString,
    // Fields are dropped in this order: the queue must go before its client.
    queue: Queue,
    client: Client,
}

/// librdkafka's consumer queue.
struct Queue(*mut raw::rd_kafka_queue_t);

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference came from `rd_kafka_queue_get_consumer` and is released once.
        unsafe { raw::rd_kafka_queue_destroy(self.0) }
    }
}

// SAFETY: librdkafka's client and queue are thread-safe; the message pointers in `batch` never outlive a poll.
unsafe impl Send for Consumer {}

impl Consumer {
    /// Starts a consumer of `topic` that reads nothing yet.
    ///
    /// # Errors
    ///
    /// A property of `[kafka.client]` that librdkafka refuses. Brokers that cannot be reached are no error: librdkafka
    /// retries, and logs that.
    pub fn new(settings: &settings::Kafka, topic: &str) -> Result<Consumer, KafkaError> {
        Consumer::of(consumer_config(settings, None), settings, topic)
    }

    /// The same for a reader that has time: the broker waits for that long, 10 to 500 ms, before it answers with few records. Where records trickle, that spares
    /// both of them most of their work, which is the same for a request with one record as for one with hundreds.
    ///
    /// # Errors
    ///
    /// As [`Consumer::new`].
    pub fn gathering(settings: &settings::Kafka, topic: &str, at_most: Duration) -> Result<Consumer, KafkaError> {
        Consumer::of(consumer_config(settings, Some(at_most)), settings, topic)
    }

    fn of(config: ClientConfig, settings: &settings::Kafka, topic: &str) -> Result<Consumer, KafkaError> {
        let topic_c = topic_name("consume", topic)?;
        let client = Client::new(RDKafkaType::RD_KAFKA_CONSUMER, &config, "consume")?;
        // SAFETY: the client is live. Its main queue (token refreshes and the like) is forwarded to the consumer
        // queue, so that polling serves both; then one reference to that queue is taken.
        let queue = unsafe {
            raw::rd_kafka_poll_set_consumer(client.ptr());
            raw::rd_kafka_queue_get_consumer(client.ptr())
        };
        if queue.is_null() {
            return Err(KafkaError::Client { operation: "consume", reason: "it has no consumer queue".to_owned() });
        }
        let queue = Queue(queue);
        Ok(Consumer {
            batch: Vec::new(),
            positions: Vec::new(),
            last: Vec::new(),
            paused: BTreeSet::new(),
            silence: Silence::new(settings.stalled_after.get(), Instant::now()),
            topic: topic.to_owned(),
            topic_c,
            queue,
            client,
        })
    }

    /// The topic that is read.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Counts the established connections to brokers that broke, or that may have: librdkafka does not report it if the consumer
    /// was not polled for a minute. A loss is counted before any record is visited that was fetched after it; so it may be
    /// counted during the same poll.
    pub fn losses(&self) -> Losses {
        Losses::of(self.client.losses())
    }

    /// Notes up to where the log reached when Kafka was asked, by partition. As long as a partition was not read that far,
    /// something is due of it; see [`Consumer::stalled`].
    pub fn note_ends(&mut self, ends: &BTreeMap<i32, i64>) {
        let now = Instant::now();
        for (partition, end) in ends.iter().filter(|(partition, _)| !self.paused.contains(*partition)) {
            let position = usize::try_from(*partition).ok().and_then(|index| self.positions.get(index));
            if position.is_some_and(|position| position < end) {
                self.silence.due(*partition, now);
            }
        }
    }

    /// A partition about which Kafka has told nothing for `kafka.stalled_after`, as of the last poll, although something is
    /// due. Only another consumer helps then: this one can stall for ever.
    pub fn stalled(&self) -> Option<i32> {
        self.silence.stalled()
    }

    /// Replaces the whole assignment: reading starts at each partition's offset, and records fetched before are no
    /// longer delivered. Paused partitions are resumed. An empty map ends all reading.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Argument`] for a negative partition or offset; [`KafkaError::Topic`] if librdkafka refuses. An
    /// offset that does not exist is reported later, by [`Polled::OutOfRange`].
    pub fn assign(&mut self, offsets: &BTreeMap<i32, i64>) -> Result<(), KafkaError> {
        let wrong =
            offsets.iter().find(|(partition, offset)| !(0..=PARTITION_MAX).contains(*partition) || **offset < 0);
        if let Some((partition, offset)) = wrong {
            let reason = format!("there can be no partition {partition} with offset {offset}");
            return Err(KafkaError::Argument { operation: "assign", topic: self.topic.clone(), reason });
        }
        if self.positions.is_empty() {
            self.silence.begins(Instant::now());
        }
        // From here on nothing of the old assignment is delivered, whether or not librdkafka accepts the new one.
        self.positions.clear();
        if let Some((last, _)) = offsets.last_key_value() {
            self.positions.resize(index(*last) + 1, NOT_ASSIGNED);
        }
        let list = PartitionList::new(&self.topic_c, offsets.iter().map(|(partition, offset)| (*partition, *offset)));
        if !self.paused.is_empty() {
            // librdkafka keeps the pause of a partition that stays assigned. One that it does not know needs no
            // resuming.
            let paused: Vec<i32> = std::mem::take(&mut self.paused).into_iter().collect();
            let _ = self.resume(&paused);
        }
        // SAFETY: client and list are live; librdkafka copies the list.
        let code = unsafe { raw::rd_kafka_assign(self.client.ptr(), list.ptr()) };
        if code != NO_ERROR {
            self.silence.assigned(&BTreeMap::new(), Instant::now());
            return Err(self.failure("assign", code));
        }
        self.until_stopped();
        self.silence.assigned(offsets, Instant::now());
        for (partition, offset) in offsets {
            self.positions[index(*partition)] = *offset;
        }
        Ok(())
    }

    /// Returns once librdkafka has stopped fetching what was assigned before. Its main thread stops a partition by an operation and the reply to
    /// it, which it takes from the queue that these questions are put into as well. So before the first answer it has taken the operations, and
    /// before the second one the replies. Who takes a partition away once more between the two has it stopped twice, and that aborts the process
    /// (`rd_kafka_assignment_partition_stopped`).
    fn until_stopped(&self) {
        for _ in 0..2 {
            let mut list = std::ptr::null_mut();
            // SAFETY: the client is live. librdkafka leaves the list null or writes one that is the caller's.
            unsafe {
                let _ = raw::rd_kafka_assignment(self.client.ptr(), &raw mut list);
                if !list.is_null() {
                    raw::rd_kafka_topic_partition_list_destroy(list);
                }
            }
        }
    }

    /// Stops fetching these partitions. Records of them that are already fetched are dropped, and fetched again after
    /// [`Consumer::resume`]. If nothing is fetched on a connection for a minute, it can break without being counted in
    /// [`Consumer::losses`].
    ///
    /// # Errors
    ///
    /// [`KafkaError::Partition`] for one that librdkafka does not know.
    pub fn pause(&mut self, partitions: &[i32]) -> Result<(), KafkaError> {
        let list = self.list(partitions);
        // SAFETY: client and list are live; errors are written into the list.
        let code = unsafe { raw::rd_kafka_pause_partitions(self.client.ptr(), list.ptr()) };
        self.paused.extend(partitions);
        partitions.iter().for_each(|partition| self.silence.settled(*partition));
        self.outcome("pause", code, &list)
    }

    /// Continues fetching paused partitions after the last record that was delivered.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Partition`] for one that librdkafka does not know.
    pub fn resume(&mut self, partitions: &[i32]) -> Result<(), KafkaError> {
        let list = self.list(partitions);
        // SAFETY: client and list are live; errors are written into the list.
        let code = unsafe { raw::rd_kafka_resume_partitions(self.client.ptr(), list.ptr()) };
        self.paused.retain(|partition| !partitions.contains(partition));
        partitions.iter().for_each(|partition| self.silence.due(*partition, Instant::now()));
        self.outcome("resume", code, &list)
    }

    /// Waits up to `timeout` for something to arrive, then passes what is there to `visit`: at most `max` items, in
    /// order within each partition. Returns their number; zero means that nothing came in time.
    ///
    /// Must be called often (every few seconds), also while nothing is assigned.
    ///
    /// # Errors
    ///
    /// None at present: errors of a partition or of the connection come as [`Polled::Failed`].
    pub fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        mut visit: impl FnMut(Polled<'_>),
    ) -> Result<usize, KafkaError> {
        let max = max.max(1);
        let from = Instant::now();
        if self.silence.may_hide_a_loss(from) && !self.positions.is_empty() {
            self.client.note_loss();
        }
        self.fetch(timeout, max);
        self.silence.read(from, Instant::now(), self.batch.len() < max);
        // The guard destroys the messages even if `visit` panics.
        let batch = Batch(&mut self.batch);
        let messages = || {
            // SAFETY: the message came from librdkafka and is destroyed only with the batch, after the last visit.
            batch.0.iter().map(|message| unsafe { &**message }).enumerate()
        };
        self.last.clear();
        self.last.resize(self.positions.len(), usize::MAX);
        for (at, message) in messages().filter(|(_, message)| message.err == NO_ERROR) {
            if let Some(last) = usize::try_from(message.partition).ok().and_then(|index| self.last.get_mut(index)) {
                *last = at;
            }
        }
        let mut visited = 0;
        for (at, message) in messages() {
            let last = usize::try_from(message.partition).ok().and_then(|index| self.last.get(index));
            if let Some(item) = polled(&mut self.positions, &self.topic, message, last == Some(&at)) {
                self.silence.hears(&item);
                visit(item);
                visited += 1;
            }
        }
        Ok(visited)
    }

    /// Fills the batch. librdkafka's call waits until the batch is full or the time is up. So this takes what is there
    /// without waiting, and only if nothing is there waits for one message.
    fn fetch(&mut self, timeout: Duration, max: usize) {
        let timeout_ms = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        self.batch.clear();
        self.batch.reserve(max);
        if self.take(0, max) == 0 && timeout_ms > 0 && self.take(timeout_ms, 1) > 0 {
            self.take(0, max - 1);
        }
    }

    /// Appends up to `max` messages to the batch, which has room for them.
    fn take(&mut self, timeout_ms: c_int, max: usize) -> usize {
        let taken = self.batch.len();
        debug_assert!(taken + max <= self.batch.capacity());
        // SAFETY: the queue is live, and the batch has room for `max` pointers behind those it holds; librdkafka
        // writes as many as it returns.
        unsafe {
            let room = self.batch.as_mut_ptr().add(taken);
            let count = raw::rd_kafka_consume_batch_queue(self.queue.0, timeout_ms, room, max);
            let count = usize::try_from(count).unwrap_or(0);
            self.batch.set_len(taken + count);
            count
        }
    }

    fn list(&self, partitions: &[i32]) -> PartitionList {
        PartitionList::new(&self.topic_c, partitions.iter().map(|partition| (*partition, 0)))
    }

    fn failure(&self, operation: &'static str, code: RDKafkaRespErr) -> KafkaError {
        KafkaError::Topic { operation, topic: self.topic.clone(), code: code.into(), reason: description(code) }
    }

    fn outcome(&self, operation: &'static str, code: RDKafkaRespErr, list: &PartitionList) -> Result<(), KafkaError> {
        if code != NO_ERROR {
            return Err(self.failure(operation, code));
        }
        match list.errors().pop_first() {
            None => Ok(()),
            Some((partition, code)) => Err(KafkaError::Partition {
                operation,
                topic: self.topic.clone(),
                partition,
                code: code.into(),
                reason: description(code),
            }),
        }
    }
}

/// Destroys the messages when it goes out of scope.
struct Batch<'a>(&'a mut Vec<*mut raw::rd_kafka_message_t>);

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for message in self.0.drain(..) {
            // SAFETY: the message came from librdkafka. It leaves the list here, so it is destroyed once.
            unsafe { raw::rd_kafka_message_destroy(message) }
        }
    }
}

/// A partition's index in a list. Its number was checked not to be negative.
fn index(partition: i32) -> usize {
    usize::try_from(partition).unwrap_or(usize::MAX)
}
