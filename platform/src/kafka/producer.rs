//! A producer of records: all replicas acknowledge each one, records of a partition stay in order, a retry makes no
//! duplicate (idempotence), and the amount in flight is bounded.
//!
//! The bound is a semaphore of bytes. [`Producer::send`] waits for room, and librdkafka's delivery report gives the room
//! back, whether the record was acknowledged or given up. So a slow broker slows the sender down, and a broker that does
//! not come back ends it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer,
};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::native::{is_connection_loss, log_line};
use super::{KafkaError, client_config};
use crate::settings;

/// The most bytes in flight, including librdkafka's own for each record.
const ROOM_BYTES: u32 = 32 << 20;
/// About what librdkafka keeps for a record besides its bytes. Together with [`ROOM_BYTES`] this also bounds the number of
/// records in flight to 65,536, which is below librdkafka's own limit.
const BOOKKEEPING_BYTES: usize = 512;
/// How many failures [`Delivered`] describes; the others are only counted.
const FAILURES_MAX: usize = 10;
/// How long librdkafka retries a record, unless `[kafka.client]` says otherwise.
const GIVE_UP_AFTER_MS: u32 = 60_000;
/// How long the last request of a finished producer may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// A record to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Decides the partition; a record without a key may go to any.
    pub key: Option<&'a [u8]>,
    /// The payload; none of a tombstone, which deletes the row of its key in a table.
    pub payload: Option<&'a [u8]>,
    /// The timestamp in microseconds since 1970; without it, Kafka takes the time of sending.
    pub time_us: Option<i64>,
    /// The caller's name for the record, such as a line number; [`Delivered`] reports failures by it.
    pub position: usize,
}

/// Sends records to any topics.
pub struct Producer {
    client: ThreadedProducer<Reports>,
    in_flight: Arc<InFlight>,
}

/// What happened to the records that were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// How many records all replicas have acknowledged.
    pub acknowledged: u64,
    /// How many records librdkafka refused or gave up.
    pub failed: u64,
    /// Position and reason of the first failures, at most ten.
    pub first_failures: Vec<(usize, String)>,
}

impl Delivered {
    /// How many records were sent.
    pub fn total(&self) -> u64 {
        self.acknowledged + self.failed
    }
}

impl Producer {
    /// Starts a producer that is idempotent and belongs to no transaction. Brokers that cannot be reached are no error:
    /// librdkafka retries each record until its time is up.
    ///
    /// # Errors
    ///
    /// A property of `[kafka.client]` that librdkafka refuses.
    pub fn idempotent(settings: &settings::Kafka) -> Result<Producer, KafkaError> {
        let in_flight = Arc::new(InFlight { room: Semaphore::new(ROOM_BYTES as usize), delivered: Mutex::default() });
        let client = producer_config(settings)
            .create_with_context(Reports { in_flight: Arc::clone(&in_flight) })
            .map_err(|source| KafkaError::Config { operation: "produce", source })?;
        Ok(Producer { client, in_flight })
    }

    /// Waits until there is room for the record, then hands it to librdkafka. [`Producer::finish`] reports whether it was
    /// delivered.
    pub async fn send(&self, record: Outgoing<'_>) {
        let cost = cost(record.key.map_or(0, <[u8]>::len), record.payload.map_or(0, <[u8]>::len));
        if let Ok(permits) = self.in_flight.room.acquire_many(cost).await {
            permits.forget();
        }
        let mut message = BaseRecord::with_opaque_to(record.topic, record.position);
        if let Some(payload) = record.payload {
            message = message.payload(payload);
        }
        if let Some(key) = record.key {
            message = message.key(key);
        }
        if let Some(time_us) = record.time_us {
            message = message.timestamp(time_us.div_euclid(1_000));
        }
        if let Err((error, _)) = self.client.send(message) {
            self.in_flight.ended(cost, Err((record.position, error.to_string())));
        }
    }

    /// How many records have been acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.in_flight.delivered().acknowledged
    }

    /// Waits until every record that was sent so far was acknowledged or given up.
    pub async fn settled(&self) {
        // All of the room is free exactly when nothing is in flight.
        let _all = self.in_flight.room.acquire_many(ROOM_BYTES).await;
    }

    /// Waits until every record was acknowledged or given up.
    pub async fn finish(self) -> Delivered {
        self.settled().await;
        let delivered = self.in_flight.delivered().clone();
        // Closing may wait for a broker, which must not block the runtime.
        let _ = tokio::task::spawn_blocking(move || self.client.flush(CLOSE_WITHIN)).await;
        delivered
    }
}

/// The room that is left, and the results of the delivery reports so far.
struct InFlight {
    room: Semaphore,
    delivered: Mutex<Delivered>,
}

impl InFlight {
    fn delivered(&self) -> MutexGuard<'_, Delivered> {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a record that is no longer in flight, and gives its room back.
    fn ended(&self, cost: u32, outcome: Result<(), (usize, String)>) {
        let mut delivered = self.delivered();
        match outcome {
            Ok(()) => delivered.acknowledged += 1,
            Err(failure) => {
                delivered.failed += 1;
                if delivered.first_failures.len() < FAILURES_MAX {
                    delivered.first_failures.push(failure);
                }
            }
        }
        drop(delivered);
        self.room.add_permits(cost as usize);
    }
}

/// Receives librdkafka's delivery reports, on its thread.
struct Reports {
    in_flight: Arc<InFlight>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level as i32, facility, line);
    }

    fn error(&self, error: ClientError, reason: &str) {
        if is_connection_loss(&error) {
            debug!(target: "librdkafka", %error, "{reason}");
        } else {
            warn!(target: "librdkafka", %error, "{reason}");
        }
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, position: usize) {
        let (message, outcome) = match result {
            Ok(message) => (message, Ok(())),
            Err((error, message)) => (message, Err((position, error.to_string()))),
        };
        self.in_flight.ended(cost(message.key_len(), message.payload_len()), outcome);
    }
}

fn producer_config(settings: &settings::Kafka) -> ClientConfig {
    let mut config = client_config(settings);
    let give_up_after_ms = GIVE_UP_AFTER_MS.to_string();
    let defaults = [
        // Kafka's own clients partition like this, so records with the same key meet in one partition.
        ("partitioner", "murmur2_random"),
        ("linger.ms", "5"),
        ("message.timeout.ms", &give_up_after_ms),
    ];
    for (name, value) in defaults {
        if settings.client.get(name).is_none() {
            config.set(name, value);
        }
    }
    config.set("enable.idempotence", "true").set("acks", "all");
    config
}

/// How much of the room a record takes. One that is larger than all of the room takes all of it, and so is sent alone.
fn cost(key_bytes: usize, payload_bytes: usize) -> u32 {
    let bytes = key_bytes.saturating_add(payload_bytes).saturating_add(BOOKKEEPING_BYTES);
    u32::try_from(bytes).unwrap_or(ROOM_BYTES).min(ROOM_BYTES)
}
