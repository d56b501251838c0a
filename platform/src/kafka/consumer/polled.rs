//! What a poll delivers: a message from librdkafka's queue is a record, an event about a partition, or nothing for the caller.

use rdkafka::bindings as raw;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use tracing::debug;

use super::super::native::{NO_ERROR, description, text_of};
use super::{KafkaError, Record};

/// One item that a poll delivers.
#[derive(Debug)]
pub enum Polled<'a> {
    /// The next record of a partition.
    Record(Record<'a>),
    /// A partition was read to its end: every record below `offset` was delivered. The offset also lies past transaction
    /// markers and aborted records. This comes again each time that the end is reached.
    End {
        /// The partition's number.
        partition: i32,
        /// The log's end as a reader of committed records sees it.
        offset: i64,
    },
    /// The log does not hold the offset at which reading this partition should start, and reading it has stopped.
    ///
    /// Ask [`super::super::Topics::offsets`] on which side the offset lies, and assign again. In rare cases this concerns
    /// the previous assignment; then assign the same offset again.
    OutOfRange {
        /// The partition's number.
        partition: i32,
    },
    /// Something failed. librdkafka retries, unless the error is permanent; see [`KafkaError::is_transient`].
    Failed {
        /// The partition that failed; nothing if the topic or the connection failed.
        partition: Option<i32>,
        /// What failed.
        error: KafkaError,
    },
}

/// Turns a message into what a poll delivers, and moves the partition's position past it. Returns nothing for a message that
/// belongs to an earlier assignment. `is_last`: no later record of its partition comes with the same poll.
pub(super) fn polled<'a>(
    positions: &mut [i64],
    topic: &str,
    message: &'a raw::rd_kafka_message_t,
    is_last: bool,
) -> Option<Polled<'a>> {
    use RDKafkaRespErr::*;
    let partition = message.partition;
    let position = usize::try_from(partition).ok().and_then(|index| positions.get_mut(index));
    match message.err {
        NO_ERROR => {
            let position = position.filter(|position| message.offset >= **position)?;
            *position = message.offset + 1;
            Some(Polled::Record(Record::new(message, is_last)))
        }
        RD_KAFKA_RESP_ERR__PARTITION_EOF => {
            let position = position.filter(|position| message.offset >= **position)?;
            *position = message.offset;
            Some(Polled::End { partition, offset: message.offset })
        }
        RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
        | RD_KAFKA_RESP_ERR__LOG_TRUNCATION
        | RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE => {
            position.filter(|position| **position != super::NOT_ASSIGNED)?;
            Some(Polled::OutOfRange { partition })
        }
        // The group is never used, so errors about its coordinator do not matter.
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
        | RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE
        | RD_KAFKA_RESP_ERR_NOT_COORDINATOR
        | RD_KAFKA_RESP_ERR__WAIT_COORD => {
            debug!(topic, error = description(message.err), "an error about the group, which is not used");
            None
        }
        code => {
            let about_one = !message.rkt.is_null() && partition >= 0;
            if about_one && position.is_none_or(|position| *position == super::NOT_ASSIGNED) {
                return None;
            }
            // SAFETY: the message is live; the text lives as long as it does and is copied.
            let reason = text_of(unsafe { raw::rd_kafka_message_errstr(message) });
            let error = failure(topic, about_one.then_some(partition), code.into(), reason);
            Some(Polled::Failed { partition: about_one.then_some(partition), error })
        }
    }
}

fn failure(topic: &str, partition: Option<i32>, code: RDKafkaErrorCode, reason: String) -> KafkaError {
    let topic = topic.to_owned();
    match partition {
        Some(partition) => KafkaError::Partition { operation: "consume", topic, partition, code, reason },
        None => KafkaError::Topic { operation: "consume", topic, code, reason },
    }
}
