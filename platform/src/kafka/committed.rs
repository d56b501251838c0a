//! The committed records of a partition between two offsets, all at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Consumer, KafkaError, Polled};
use crate::settings;

/// How many records one call to Kafka may bring.
const POLL_RECORDS: usize = 1_024;
/// How long to wait in Kafka for more.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// A record with its own memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// The key's bytes.
    pub key: Option<Vec<u8>>,
    /// The payload's bytes.
    pub payload: Option<Vec<u8>>,
    /// The headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Visits the committed records of a partition from one offset up to another, in order. `to` is an end that Kafka gave to a question for
/// committed records, so all below it is decided; that a consumer reports some end is no proof of that.
///
/// # Errors
/// If Kafka tells nothing for `kafka.stalled_after`, or the log does not hold `from`, or the client cannot be started.
pub async fn read_committed(
    settings: &settings::Kafka,
    topic: &str,
    partition: i32,
    from: i64,
    to: i64,
    visit: impl FnMut(OwnedRecord) + Send + 'static,
) -> Result<(), KafkaError> {
    let operation = "read the committed records of";
    let (settings, name) = (settings.clone(), topic.to_owned());
    let work = move || read(&settings, &name, partition, from, to, visit);
    let read = tokio::task::spawn_blocking(work).await;
    read.unwrap_or_else(|error| {
        Err(KafkaError::Thread { operation, topic: topic.to_owned(), reason: error.to_string() })
    })
}

fn read(
    settings: &settings::Kafka,
    topic: &str,
    partition: i32,
    from: i64,
    to: i64,
    mut visit: impl FnMut(OwnedRecord),
) -> Result<(), KafkaError> {
    if from >= to {
        return Ok(());
    }
    let mut consumer = Consumer::new(settings, topic)?;
    consumer.assign(&BTreeMap::from([(partition, from)]))?;
    let within = settings.stalled_after.get();
    let (mut reached, mut heard) = (from, Instant::now());
    while reached < to {
        let mut failed = None;
        let visited = consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
            Polled::Record(record) => {
                reached = reached.max(record.offset + 1);
                if record.offset < to {
                    visit(OwnedRecord {
                        offset: record.offset,
                        timestamp_ms: record.timestamp_ms,
                        key: record.key.map(<[u8]>::to_vec),
                        payload: record.payload.map(<[u8]>::to_vec),
                        headers: record
                            .headers()
                            .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                            .collect(),
                    });
                }
            }
            // It also lies behind markers, which are no records.
            Polled::End { offset, .. } => reached = reached.max(offset),
            Polled::OutOfRange { .. } => {
                let reason = format!("the log does not hold offset {from}");
                failed = Some(KafkaError::Argument {
                    operation: "read the committed records of",
                    topic: topic.to_owned(),
                    reason,
                });
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
            return Err(KafkaError::Timeout {
                operation: "read the committed records of",
                topic: topic.to_owned(),
                within,
            });
        }
    }
    Ok(())
}
