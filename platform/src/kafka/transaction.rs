//! A producer whose records become visible together, or not at all (T3 to T5).
//!
//! A transactional id belongs to one producer at a time: the next one that is started under it fences this one, and ends what it
//! left open. A transaction is begun when all of its records are at hand and committed at once, since an open one holds up
//! every reader of committed records of the same partitions.
//!
//! After any error the outcome is unknown, and librdkafka must not go on: it ends transactions in a way in which a late request
//! can hit the next one. So [`TransactionalProducer::commit`] takes the producer and gives it back only after a success.
//! Whoever asks the log then where the last transaction ended finds out what became of this one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer,
};
use tracing::{debug, warn};

use super::native::{is_connection_loss, log_line};
use super::{KafkaError, client_config};
use crate::{failpoints, settings};

/// After how long the broker ends a transaction that nobody ends.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);
/// After how long a record is given up that a topic does not take. librdkafka looks every second, so it is known which topic that is
/// before the transaction's time is up.
const RECORD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the broker may take to fence the producer before, and end its transaction.
const INIT_WITHIN: Duration = Duration::from_secs(15);
/// How long the broker may take to say which replicas of a topic are in sync.
const METADATA_WITHIN: Duration = Duration::from_secs(2);
/// The largest record that is handed to a broker, in bytes, unless `[kafka.client]` says otherwise.
const MESSAGE_BYTES_MAX: &str = "16777216";
/// How long to wait where librdkafka's queue is full.
const ROOM_WAIT: Duration = Duration::from_millis(1);

/// A record of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition; `None`: the one that Kafka's default partitioner gives the key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The payload; `None`: a record without a value.
    pub payload: Option<Vec<u8>>,
    /// Names and values, in their order.
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

/// Why a producer is gone.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// Another producer was started under the same transactional id.
    #[error("another producer has taken over the transactional id {id}")]
    Fenced {
        /// The transactional id.
        id: String,
    },
    /// The client may not use the id, or not write to a topic.
    #[error("the broker does not allow the transactional id {id}, or writing in it: {reason}")]
    Denied {
        /// The transactional id.
        id: String,
        /// What the broker said, with the topic if it concerns one.
        reason: String,
    },
    /// A topic does not take a record: it is missing, lacks replicas, or the record is too large.
    #[error("topic {topic} does not take a record of the transaction: {reason}")]
    Refused {
        /// The topic.
        topic: String,
        /// What the broker said.
        reason: String,
    },
    /// What a producer before has left open cannot be ended, since a topic that it wrote to lacks replicas.
    #[error(
        "a transaction under the id {id} cannot be ended: topic {topic} has {in_sync} of {replicas} replicas in sync; \
         bring its brokers back"
    )]
    NotEnded {
        /// The transactional id.
        id: String,
        /// The topic.
        topic: String,
        /// How many replicas of one of its partitions are in sync.
        in_sync: usize,
        /// How many replicas that partition has.
        replicas: usize,
    },
    /// The broker knows no transactions.
    #[error("the broker supports no transactions: {reason}")]
    Unsupported {
        /// What the client said.
        reason: String,
    },
    /// librdkafka refused a property, usually one of `[kafka.client]`.
    #[error(transparent)]
    Config(#[from] KafkaError),
    /// Anything else: a time-out, a lost coordinator. Whether the transaction took effect is unknown.
    #[error("cannot {operation} under the transactional id {id}: {reason}")]
    Failed {
        /// What was done, as a verb.
        operation: &'static str,
        /// The transactional id.
        id: String,
        /// The reason.
        reason: String,
    },
}

/// Writes transactions under one id.
pub struct TransactionalProducer {
    id: String,
    client: ThreadedProducer<Reports>,
    /// How many transactions it has committed.
    committed: u64,
}

impl TransactionalProducer {
    /// T4: starts a producer under that id, to write to these topics. When this returns, the producer before it is fenced, and what it
    /// left open has been ended.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub async fn init(
        settings: &settings::Kafka,
        transactional_id: &str,
        topics: Vec<String>,
    ) -> Result<TransactionalProducer, TransactionError> {
        let (config, id) = (config(settings, transactional_id), transactional_id.to_owned());
        blocking("start a producer", transactional_id, move || {
            let client: ThreadedProducer<Reports> = config
                .create_with_context(Reports::default())
                .map_err(|source| KafkaError::Config { operation: "write transactions", source })?;
            match client.init_transactions(INIT_WITHIN) {
                Ok(()) => Ok(TransactionalProducer { id, client, committed: 0 }),
                Err(error) => Err(not_ended(&client, &topics, &id, &error)
                    .unwrap_or_else(|| failure("start a producer", &id, &error))),
            }
        })
        .await
    }

    /// T5: writes all of the records in one transaction. On an error the producer is gone, and the transaction is either committed
    /// or never will be once another producer was started under the id.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub async fn commit(mut self, records: Vec<Written>) -> Result<TransactionalProducer, TransactionError> {
        let id = self.id.clone();
        blocking("commit a transaction", &id, move || {
            self.write(records)?;
            self.committed += 1;
            Ok(self)
        })
        .await
    }

    /// How many transactions it has committed.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Ends the producer. It may also be dropped, but that blocks for some milliseconds.
    pub async fn close(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    fn write(&self, records: Vec<Written>) -> Result<(), TransactionError> {
        let failed = |operation, error: &ClientError| failure(operation, &self.id, error);
        self.client.begin_transaction().map_err(|error| failed("begin a transaction", &error))?;
        let until = Instant::now() + TRANSACTION_TIMEOUT;
        for record in &records {
            self.send(record, until)?;
        }
        failpoints::pass("streams::before_commit");
        let committed = self.client.commit_transaction(TRANSACTION_TIMEOUT);
        // A record that was refused explains why the transaction failed better than the commit does.
        let refused = self.client.context().refused();
        match (refused, committed) {
            (Some((topic, code)), _) if is_denied(code) => {
                Err(TransactionError::Denied { id: self.id.clone(), reason: format!("topic {topic}: {code}") })
            }
            (Some((topic, code)), Err(error)) if !is_fenced(code) && !is_fenced_error(&error) => {
                Err(TransactionError::Refused { topic, reason: code.to_string() })
            }
            (_, Err(error)) => Err(failed("commit a transaction", &error)),
            (_, Ok(())) if failpoints::fails("streams::commit_reply_lost") => Err(TransactionError::Failed {
                operation: "commit a transaction",
                id: self.id.clone(),
                reason: "the reply was lost".to_owned(),
            }),
            (_, Ok(())) => Ok(()),
        }
    }

    /// Hands a record to librdkafka. Where its queue is full, waits until the transaction's time is up.
    fn send(&self, record: &Written, until: Instant) -> Result<(), TransactionError> {
        loop {
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
            for (name, value) in &record.headers {
                headers = headers.insert(Header { key: name, value: Some(value) });
            }
            let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&record.topic).headers(headers);
            message.partition = record.partition;
            message.key = record.key.as_deref();
            message.payload = record.payload.as_deref();
            match self.client.send(message) {
                Ok(()) => return Ok(()),
                Err((error, _))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) && Instant::now() < until =>
                {
                    std::thread::sleep(ROOM_WAIT);
                }
                Err((error, _)) => {
                    let code = error.rdkafka_error_code();
                    return Err(match code {
                        Some(code) if is_fenced(code) => TransactionError::Fenced { id: self.id.clone() },
                        _ => TransactionError::Refused { topic: record.topic.to_string(), reason: error.to_string() },
                    });
                }
            }
        }
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(
    operation: &'static str,
    id: &str,
    work: impl FnOnce() -> Result<T, TransactionError> + Send + 'static,
) -> Result<T, TransactionError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(TransactionError::Failed { operation, id: id.to_owned(), reason: error.to_string() }),
    }
}

fn config(settings: &settings::Kafka, transactional_id: &str) -> ClientConfig {
    let mut config = client_config(settings);
    let (timeout_ms, record_ms) = (TRANSACTION_TIMEOUT.as_millis().to_string(), RECORD_TIMEOUT.as_millis().to_string());
    // As Kafka's own clients partition, so records with the same key meet in one partition.
    config.set("partitioner", "murmur2_random");
    // A commit sends what is waiting at once.
    config.set("linger.ms", "5");
    // The topic says what is too large: librdkafka's default is less than a topic's, so that the lane of a source that holds such an
    // event could never write it as late.
    if config.get("message.max.bytes").is_none() {
        config.set("message.max.bytes", MESSAGE_BYTES_MAX);
    }
    config.set("transactional.id", transactional_id);
    config.set("transaction.timeout.ms", &timeout_ms).set("message.timeout.ms", &record_ms);
    config.set("enable.idempotence", "true").set("acks", "all");
    // Only refusals are looked at; a report of each record costs as much as sending it.
    config.set("delivery.report.only.error", "true");
    config
}

fn failure(operation: &'static str, id: &str, error: &ClientError) -> TransactionError {
    let (id, reason) = (id.to_owned(), error.to_string());
    match error.rdkafka_error_code() {
        Some(code) if is_fenced(code) => TransactionError::Fenced { id },
        Some(code) if is_denied(code) => TransactionError::Denied { id, reason },
        Some(RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::UnsupportedVersion) => {
            TransactionError::Unsupported { reason }
        }
        _ => TransactionError::Failed { operation, id, reason },
    }
}

/// Which of the topics holds up the end of an earlier transaction, if that is why a producer cannot start. The broker does not say it.
fn not_ended(
    client: &ThreadedProducer<Reports>,
    topics: &[String],
    id: &str,
    error: &ClientError,
) -> Option<TransactionError> {
    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::ConcurrentTransactions) {
        return None;
    }
    // Of all topics: to ask for one by its name might create it.
    let metadata = client.client().fetch_metadata(None, METADATA_WITHIN).ok()?;
    let written = metadata.topics().iter().filter(|known| topics.iter().any(|topic| topic == known.name()));
    let partitions = written.flat_map(|topic| topic.partitions().iter().map(move |partition| (topic, partition)));
    let lacking = partitions.filter(|(_, partition)| partition.isr().len() < partition.replicas().len());
    let (topic, fewest) = lacking.min_by_key(|(_, partition)| partition.isr().len())?;
    let (in_sync, replicas) = (fewest.isr().len(), fewest.replicas().len());
    Some(TransactionError::NotEnded { id: id.to_owned(), topic: topic.name().to_owned(), in_sync, replicas })
}

fn is_fenced_error(error: &ClientError) -> bool {
    error.rdkafka_error_code().is_some_and(is_fenced)
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
    matches!(code, Fenced | ProducerFenced | InvalidProducerEpoch)
}

fn is_denied(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{ClusterAuthorizationFailed, TopicAuthorizationFailed, TransactionalIdAuthorizationFailed};
    matches!(code, ClusterAuthorizationFailed | TopicAuthorizationFailed | TransactionalIdAuthorizationFailed)
}

/// The topic that a transaction may not write to, if a line of librdkafka's log says it; it is said nowhere else.
fn denied_topic(facility: &str, line: &str) -> Option<String> {
    let is_denied = facility == "ADDPARTS" && line.ends_with("Topic authorization failed");
    let (_, rest) = line.split_once("partition \"").filter(|_| is_denied)?;
    rest.split_once('"').map(|(topic, _)| topic.to_owned())
}

/// Receives librdkafka's reports, on its thread: the first refusal of each topic.
#[derive(Default)]
struct Reports {
    refused: Mutex<BTreeMap<String, RDKafkaErrorCode>>,
}

impl Reports {
    /// A topic that refused a record, and why. Records that were given up because another one was refused do not count.
    fn refused(&self) -> Option<(String, RDKafkaErrorCode)> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).pop_first()
    }

    fn note(&self, topic: String, code: RDKafkaErrorCode) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(topic).or_insert(code);
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if let Some(topic) = denied_topic(facility, line) {
            self.note(topic, RDKafkaErrorCode::TopicAuthorizationFailed);
        }
        log_line(level as i32, facility, line);
    }

    fn error(&self, error: ClientError, reason: &str) {
        if is_connection_loss(&error) || is_fenced_error(&error) {
            debug!(target: "librdkafka", %error, "{reason}");
        } else {
            warn!(target: "librdkafka", %error, "{reason}");
        }
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, message)) = result else { return };
        let Some(code) = error.rdkafka_error_code() else { return };
        if !matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) {
            self.note(rdkafka::Message::topic(message).to_owned(), code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_is_named_that_may_not_be_written_to() {
        let line = |why: &str| {
            format!("[thrd:main]: 127.0.0.1:9092/1: Failed to add partition \"a.b-c\" [3] to transaction: {why}")
        };
        assert_eq!(denied_topic("ADDPARTS", &line("Broker: Topic authorization failed")), Some("a.b-c".to_owned()));
        assert_eq!(denied_topic("ADDPARTS", &line("Broker: Operation not attempted")), None, "another one is");
        assert_eq!(denied_topic("FAIL", &line("Broker: Topic authorization failed")), None);
    }

    #[test]
    fn what_a_topic_does_not_take_is_known_before_the_transaction_is_given_up() {
        let config = config(&settings::Kafka::default(), "id");
        let ms: u64 = config.get("message.timeout.ms").and_then(|ms| ms.parse().ok()).expect("a number");
        assert!(Duration::from_millis(ms) + Duration::from_secs(1) < TRANSACTION_TIMEOUT);
    }

    #[test]
    fn a_record_that_a_topic_takes_by_default_is_not_too_large_for_the_client() {
        let config = config(&settings::Kafka::default(), "id");
        let most: u64 = config.get("message.max.bytes").and_then(|most| most.parse().ok()).expect("a number");
        // Kafka's `message.max.bytes`, and the headers of a late event.
        assert!(most > 1_048_588 + 4_096);
    }
}
