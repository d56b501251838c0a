//! The topics of alerts in Kafka.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use platform::kafka::{Bound, Consumer, KafkaError, Polled, Topics, TransactionError, TransactionalProducer, Written};
use platform::settings;
use platform::task::blocking;
use shared_logic::contracts::alert::{alerts_topic, alerts_transactional_id, states_topic};
use tracing::info;

use super::log::{AlertLog, AlertRead, AlertRecords, AlertWriter, NoAlertTopics, StoredRecord};

/// Of all that happens in a deployment its alerts have one order.
const PARTITION: i32 = 0;
/// The topic of states keeps the newest record of each key for ever, and is short, so that it is read quickly.
const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.bytes", "16777216"), ("min.cleanable.dirty.ratio", "0.1")];
/// How many records one look at the client's queue may bring.
const POLL_RECORDS: usize = 1_024;
/// How long to wait in Kafka for more.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// How often a broker is asked for a topic that was just created, and for how long.
const ASK_AGAIN: Duration = Duration::from_millis(100);
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

/// Kafka itself.
pub(crate) struct KafkaAlerts {
    topics: Topics,
    kafka: settings::Kafka,
    alerts: Arc<str>,
    states: Arc<str>,
    id: String,
    /// Reads the topic of states on; kept from one read to the next.
    reader: Arc<Mutex<Option<Reader>>>,
}

/// A consumer of the topic of states, and where it stands.
struct Reader {
    consumer: Consumer,
    log: String,
    next: i64,
}

impl KafkaAlerts {
    /// The topics of that deployment. Nothing is asked yet.
    pub(crate) fn new(
        topics: Topics,
        kafka: &settings::Kafka,
        alerts: &settings::Alerts,
        deployment: &str,
    ) -> KafkaAlerts {
        let topic = if alerts.topic.is_empty() { alerts_topic(deployment) } else { alerts.topic.clone() };
        KafkaAlerts {
            topics,
            kafka: kafka.clone(),
            states: states_topic(&topic).into(),
            alerts: topic.into(),
            id: alerts_transactional_id(deployment),
            reader: Arc::default(),
        }
    }

    async fn bound(&self, which: Bound) -> Result<i64, KafkaError> {
        let offsets = self.topics.offsets(&self.states, &[PARTITION], which).await?;
        Ok(offsets.get(&PARTITION).copied().unwrap_or_default())
    }

    async fn read_on(&self, log: Option<&str>, from: i64) -> Result<Option<AlertRead>, KafkaError> {
        let Some(described) = self.topics.describe(&self.states).await? else { return Ok(None) };
        let from = if log == Some(described.log.as_str()) { from } else { 0 };
        // The end is asked for first: what a consumer takes for the end is no proof.
        let (start, end) = (self.bound(Bound::Start).await?, self.bound(Bound::End).await?);
        let (from, log) = (from.max(start), described.log);
        if from >= end {
            return Ok(Some(AlertRead { log, records: Vec::new(), next: from }));
        }
        let (reader, kafka, topic) = (Arc::clone(&self.reader), self.kafka.clone(), Arc::clone(&self.states));
        let read = blocking(move || {
            let mut kept = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let fitting = kept.take().filter(|reader| reader.log == log && reader.next == from);
            let mut reader = match fitting {
                Some(reader) => reader,
                None => Reader::new(&kafka, &topic, log, from)?,
            };
            let records = reader.read(end, kafka.stalled_after.get())?;
            let read = AlertRead { log: reader.log.clone(), records, next: reader.next };
            *kept = Some(reader);
            Ok(read)
        });
        read.await.map(Some)
    }

    async fn created(&self) -> Result<(), NoAlertTopics> {
        for (topic, config) in [(&self.alerts, [].as_slice()), (&self.states, COMPACTED.as_slice())] {
            if self.topics.describe(topic).await?.is_none() {
                info!(topic = &**topic, "creating the topic");
                self.topics.create(topic, 1, config).await?;
            }
        }
        let asked = Instant::now();
        loop {
            match self.topics.is_compacted(&self.states).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(NoAlertTopics::NotCompacted { topic: self.states.to_string() }),
                // The broker that is asked may learn of a new topic a moment after the one that created it.
                Err(error) if error.is_unknown_topic() && asked.elapsed() < KNOWN_WITHIN => {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Reader {
    fn new(kafka: &settings::Kafka, topic: &str, log: String, from: i64) -> Result<Reader, KafkaError> {
        let mut consumer = Consumer::new(kafka, topic)?;
        consumer.assign(&BTreeMap::from([(PARTITION, from)]))?;
        Ok(Reader { consumer, log, next: from })
    }

    /// Reads up to `end`, which is known to be committed.
    fn read(&mut self, end: i64, within: Duration) -> Result<Vec<StoredRecord>, KafkaError> {
        let operation = "read the states of alerts from";
        let (mut records, mut heard) = (Vec::new(), Instant::now());
        while self.next < end {
            let (next, mut failed) = (&mut self.next, None);
            let topic = self.consumer.topic().to_owned();
            let visited = self.consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
                Polled::Record(record) => {
                    *next = (*next).max(record.offset + 1);
                    records.push((record.key.map(<[u8]>::to_vec), record.payload.map(<[u8]>::to_vec)));
                }
                // It also lies behind markers, which are no records.
                Polled::End { offset, .. } => *next = (*next).max(offset),
                Polled::OutOfRange { .. } => {
                    let reason = "the log does not hold the offset".to_owned();
                    failed = Some(KafkaError::Argument { operation, topic: topic.clone(), reason });
                }
                Polled::Failed { error, .. } if error.is_transient() => {}
                Polled::Failed { error, .. } => failed = Some(error),
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            if visited > 0 {
                heard = Instant::now();
            } else if heard.elapsed() > within {
                return Err(KafkaError::Timeout { operation, topic, within });
            }
        }
        Ok(records)
    }
}

impl AlertLog for KafkaAlerts {
    fn read<'a>(&'a self, log: Option<&'a str>, from: i64) -> BoxFuture<'a, Result<Option<AlertRead>, KafkaError>> {
        Box::pin(self.read_on(log, from))
    }

    fn create(&self) -> BoxFuture<'_, Result<(), NoAlertTopics>> {
        Box::pin(self.created())
    }

    fn take_over(&self) -> BoxFuture<'_, Result<Box<dyn AlertWriter>, TransactionError>> {
        Box::pin(async move {
            let written = vec![self.alerts.to_string(), self.states.to_string()];
            let producer = TransactionalProducer::init(&self.kafka, &self.id, written).await?;
            let (alerts, states) = (Arc::clone(&self.alerts), Arc::clone(&self.states));
            Ok(Box::new(KafkaWriter { producer, alerts, states }) as Box<dyn AlertWriter>)
        })
    }
}

/// A producer under the deployment's transactional id.
struct KafkaWriter {
    producer: TransactionalProducer,
    alerts: Arc<str>,
    states: Arc<str>,
}

impl AlertWriter for KafkaWriter {
    fn commit(
        self: Box<Self>,
        records: AlertRecords,
    ) -> BoxFuture<'static, Result<Box<dyn AlertWriter>, TransactionError>> {
        Box::pin(async move {
            let KafkaWriter { producer, alerts, states } = *self;
            let written = |topic: &Arc<str>, key: Vec<u8>, payload: Option<Vec<u8>>| Written {
                topic: Arc::clone(topic),
                partition: Some(PARTITION),
                key: Some(key),
                payload,
                headers: Vec::new(),
            };
            let changes = records.changes.into_iter();
            let changes = changes.map(|(alert, change)| written(&alerts, alert.into_bytes(), Some(change)));
            let of_states = records.states.into_iter().map(|(key, payload)| written(&states, key, payload));
            let producer = producer.commit(changes.chain(of_states).collect()).await?;
            Ok(Box::new(KafkaWriter { producer, alerts, states }) as Box<dyn AlertWriter>)
        })
    }
}
