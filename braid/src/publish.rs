//! The one way in which records leave for Kafka: acknowledged by all replicas, in order, without duplicates of our own
//! (idempotent), and never more than a bounded amount under way.
//!
//! Room is a semaphore of bytes. [`Publisher::send`] waits for it, and librdkafka's report gives it back, whether the
//! record was acknowledged or given up; so a broker that is slow slows the sender down, and one that is gone ends it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use platform::kafka::{KafkaError, Topics, client_config};
use platform::settings;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::producer::{BaseRecord, DeliveryResult, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};
use shared_logic::catalog::Source;
use tokio::sync::Semaphore;

/// The most bytes under way, bookkeeping included.
const ROOM_BYTES: u32 = 32 << 20;
/// What librdkafka keeps for a record besides its bytes, about. Also bounds the number of records under way to 65,536,
/// below librdkafka's own limit.
const BOOKKEEPING_BYTES: usize = 512;
/// How many failures are told apart.
const FAILURES_MAX: usize = 10;
/// How long librdkafka goes on trying a record, unless `[kafka.client]` says otherwise.
const GIVE_UP_AFTER_MS: u32 = 60_000;
/// How long the last request of an ended producer may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// One record on its way.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Decides the partition; without it, any.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub payload: &'a [u8],
    /// The record's own timestamp in microseconds since 1970; the moment of sending where it is not given.
    pub time_us: Option<i64>,
    /// Where it came from (a line, a sequence number), to name it if it fails.
    pub position: usize,
}

/// Sends records to one topic.
pub struct Publisher {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    state: Arc<State>,
}

/// What became of the records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// How many all replicas have acknowledged.
    pub acknowledged: u64,
    /// How many were given up.
    pub failed: u64,
    /// Position and reason of the first ones that were given up, at most ten.
    pub first_failures: Vec<(usize, String)>,
}

struct Deliveries {
    state: Arc<State>,
}

struct State {
    room: Semaphore,
    delivered: Mutex<Delivered>,
}

impl Publisher {
    /// Connects to the source's topic, which is created as the catalog says where it is missing.
    ///
    /// # Errors
    /// If no broker answers, or there is no topic and none can be created.
    pub async fn connect(settings: &settings::Kafka, source: &Source) -> Result<Publisher> {
        ensure_topic(settings, source).await?;
        let state = Arc::new(State { room: Semaphore::new(ROOM_BYTES as usize), delivered: Mutex::default() });
        let producer = config(settings).create_with_context(Deliveries { state: Arc::clone(&state) })?;
        Ok(Publisher { producer, topic: source.topic.clone(), state })
    }

    /// Hands a record over, after waiting until there is room for it. What becomes of it is known at the end.
    pub async fn send(&self, record: Outgoing<'_>) {
        let cost = cost(record.key.map_or(0, <[u8]>::len), record.payload.len());
        if let Ok(permits) = self.state.room.acquire_many(cost).await {
            permits.forget();
        }
        let mut message = BaseRecord::with_opaque_to(&self.topic, record.position).payload(record.payload);
        if let Some(key) = record.key {
            message = message.key(key);
        }
        if let Some(time_us) = record.time_us {
            message = message.timestamp(time_us.div_euclid(1_000));
        }
        if let Err((error, _)) = self.producer.send(message) {
            self.state.done(cost, Err((record.position, error.to_string())));
        }
    }

    /// How many records have been acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.state.delivered().acknowledged
    }

    /// Waits until every record was acknowledged or given up.
    pub async fn finish(self) -> Delivered {
        // All room is free again exactly when nothing is under way.
        let _all = self.state.room.acquire_many(ROOM_BYTES).await;
        let delivered = self.state.delivered().clone();
        // Closing may wait for a broker, which must not hold up the runtime.
        let _ = tokio::task::spawn_blocking(move || self.producer.flush(CLOSE_WITHIN)).await;
        delivered
    }
}

impl Delivered {
    /// How many records there were.
    pub fn total(&self) -> u64 {
        self.acknowledged + self.failed
    }

    /// Whether every record was acknowledged.
    ///
    /// # Errors
    /// What was not; `noun` says what a position counts, such as `line`.
    pub fn check(&self, topic: &str, noun: &str) -> Result<()> {
        if self.failed == 0 {
            return Ok(());
        }
        let mut text = format!("{} of {} records were not acknowledged by topic {topic}", self.failed, self.total());
        for (position, reason) in &self.first_failures {
            text.push_str(&format!("\n  {noun} {position}: {reason}"));
        }
        let untold = self.failed - self.first_failures.len() as u64;
        if untold > 0 {
            text.push_str(&format!("\n  and {untold} more"));
        }
        bail!(text)
    }
}

impl State {
    fn delivered(&self) -> std::sync::MutexGuard<'_, Delivered> {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, cost: u32, outcome: Result<(), (usize, String)>) {
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

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level as i32 {
            ..=3 => tracing::error!(target: "librdkafka", facility, "{line}"),
            4 => tracing::warn!(target: "librdkafka", facility, "{line}"),
            _ => tracing::debug!(target: "librdkafka", facility, "{line}"),
        }
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        tracing::warn!(target: "librdkafka", %error, "{reason}");
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, position: usize) {
        let (message, outcome) = match result {
            Ok(message) => (message, Ok(())),
            Err((error, message)) => (message, Err((position, error.to_string()))),
        };
        self.state.done(cost(message.key_len(), message.payload_len()), outcome);
    }
}

/// Makes sure that the source's topic exists.
///
/// # Errors
/// If no broker answers, or there is no topic and none can be created.
pub async fn ensure_topic(settings: &settings::Kafka, source: &Source) -> Result<()> {
    let topics = Topics::new(settings)?;
    let topic = &source.topic;
    match topics.describe(topic).await {
        // A broker that knows no topic ids: whether the topic exists is found out by the first record.
        Ok(Some(_)) | Err(KafkaError::Unsupported { .. }) => return Ok(()),
        Ok(None) => {}
        Err(error) => return Err(error).with_context(|| format!("no Kafka at {}", settings.brokers)),
    }
    let partitions = i32::try_from(source.partitions).unwrap_or(i32::MAX);
    topics.create(topic, partitions, &[]).await.with_context(|| format!("no topic {topic} at {}", settings.brokers))
}

fn config(settings: &settings::Kafka) -> ClientConfig {
    let mut config = client_config(settings);
    // The partitioner of Kafka's own clients, so that all who key alike send alike.
    let give_up_after_ms = GIVE_UP_AFTER_MS.to_string();
    let defaults = [("partitioner", "murmur2_random"), ("linger.ms", "5"), ("message.timeout.ms", &give_up_after_ms)];
    for (name, value) in defaults {
        if settings.client.get(name).is_none() {
            config.set(name, value);
        }
    }
    config.set("enable.idempotence", "true").set("acks", "all");
    config
}

/// What a record takes of the room. One larger than all of it takes all of it, and so goes alone.
fn cost(key_bytes: usize, payload_bytes: usize) -> u32 {
    let bytes = key_bytes.saturating_add(payload_bytes).saturating_add(BOOKKEEPING_BYTES);
    u32::try_from(bytes).unwrap_or(ROOM_BYTES).min(ROOM_BYTES)
}
