//! Sends records and knows when all have arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::ToBytes;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::config;
use crate::scenario::now_us;

const FLUSH_DEADLINE: Duration = Duration::from_secs(60);

/// What a producer hands to Kafka.
#[derive(Debug, Clone)]
pub struct Record {
    /// Decides the partition, unless one is named.
    pub key: String,
    /// The record's value.
    pub payload: Vec<u8>,
    /// The partition, if the sender wants to choose it.
    pub partition: Option<i32>,
}

/// A producer for one topic that keeps order and loses nothing (idempotent, acknowledged by all).
pub struct Producer {
    inner: BaseProducer<Deliveries>,
    topic: String,
    failed: Arc<AtomicU64>,
}

struct Deliveries {
    failed: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Producer {
    /// A producer for `topic`.
    pub fn new(brokers: &str, topic: &str) -> Result<Producer> {
        let failed = Arc::new(AtomicU64::new(0));
        let inner = config(brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.timeout.ms", "60000")
            // Millions of records are sent ahead of what the broker has acknowledged.
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "262144")
            // Partitions that are added are used soon.
            .set("topic.metadata.refresh.interval.ms", "500")
            .create_with_context(Deliveries { failed: failed.clone() })?;
        Ok(Producer { inner, topic: topic.to_owned(), failed })
    }

    /// A producer for a topic that may vanish: what is not taken at once is given up, so that no record arrives twice.
    pub fn giving_up(brokers: &str, topic: &str) -> Result<Producer> {
        let failed = Arc::new(AtomicU64::new(0));
        let inner = config(brokers)
            .set("acks", "all")
            .set("retries", "0")
            .set("linger.ms", "5")
            .set("message.timeout.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "100")
            .create_with_context(Deliveries { failed: failed.clone() })?;
        Ok(Producer { inner, topic: topic.to_owned(), failed })
    }

    /// Sends all records and waits until each has arrived or was refused. Returns the moment after.
    pub fn send_those_that_are_taken(&self, records: &[Record]) -> Result<i64> {
        for record in records {
            // An error is a refusal: the topic does not exist at present.
            let _ = self.send(record);
        }
        self.inner.flush(FLUSH_DEADLINE)?;
        Ok(now_us())
    }

    /// Queues a record; waits while the queue is full.
    pub fn send(&self, record: &Record) -> Result<()> {
        self.send_dated(record, None)
    }

    /// The same with the record's own timestamp (milliseconds since 1970), as a producer with another clock sends it.
    pub fn send_at(&self, record: &Record, timestamp_ms: i64) -> Result<()> {
        self.send_dated(record, Some(timestamp_ms))
    }

    /// Queues a record that has a key and no value: it deletes the row of that key.
    pub fn delete(&self, key: &str) -> Result<()> {
        self.queue(BaseRecord::<str, [u8]>::to(&self.topic).key(key))
    }

    /// The same with the record's own timestamp, in milliseconds since 1970.
    pub fn delete_at(&self, key: &str, timestamp_ms: i64) -> Result<()> {
        self.queue(BaseRecord::<str, [u8]>::to(&self.topic).key(key).timestamp(timestamp_ms))
    }

    fn send_dated(&self, record: &Record, timestamp_ms: Option<i64>) -> Result<()> {
        let mut message = BaseRecord::to(&self.topic).key(&record.key).payload(&record.payload);
        message.timestamp = timestamp_ms;
        if let Some(partition) = record.partition {
            message = message.partition(partition);
        }
        self.queue(message)
    }

    fn queue<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(&self, mut message: BaseRecord<'_, K, P>) -> Result<()> {
        loop {
            match self.inner.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    message = refused;
                    self.inner.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Waits until every queued record has arrived. Returns the moment after, in microseconds since 1970.
    pub fn flush(&self) -> Result<i64> {
        self.inner.flush(FLUSH_DEADLINE)?;
        let failed = self.failed.load(Ordering::Relaxed);
        ensure!(failed == 0, "{failed} records were not delivered to {}", self.topic);
        Ok(now_us())
    }

    /// Sends all records and waits for their arrival. Returns the moment after, in microseconds since 1970.
    pub fn send_all<'a>(&self, records: impl IntoIterator<Item = &'a Record>) -> Result<i64> {
        for record in records {
            self.send(record)?;
        }
        self.flush()
    }
}
