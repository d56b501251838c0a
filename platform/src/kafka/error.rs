//! What can go wrong with Kafka, always with the operation and the topic or partition that it concerned.

use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode;

/// Why something asked of Kafka failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KafkaError {
    /// librdkafka refused a property, mostly one of `[kafka.client]`.
    #[error("cannot configure a kafka client for {operation}")]
    Config {
        /// What the client was for.
        operation: &'static str,
        /// The property and what is wrong with it.
        source: rdkafka::error::KafkaError,
    },
    /// No client came about.
    #[error("cannot create a kafka client for {operation}: {reason}")]
    Client {
        /// What the client was for.
        operation: &'static str,
        /// What librdkafka said.
        reason: String,
    },
    /// A question or an order that concerned a topic as a whole.
    #[error("cannot {operation} topic {topic}: {reason}")]
    Topic {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// Kafka's or librdkafka's code.
        code: RDKafkaErrorCode,
        /// What was said with it.
        reason: String,
    },
    /// A question or an order that concerned one partition.
    #[error("cannot {operation} partition {topic}/{partition}: {reason}")]
    Partition {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// Kafka's or librdkafka's code.
        code: RDKafkaErrorCode,
        /// What was said with it.
        reason: String,
    },
    /// The broker has no such operation, as librdkafka's in-process broker lacks most.
    #[error("cannot {operation} topic {topic}: the broker does not support it")]
    Unsupported {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
    },
    /// No answer came in time.
    #[error("cannot {operation} topic {topic}: no answer within {within:?}")]
    Timeout {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// How long was waited.
        within: Duration,
    },
    /// A name, partition or offset that Kafka cannot have; a mistake of the caller.
    #[error("cannot {operation} topic {topic}: {reason}")]
    Argument {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// What is wrong.
        reason: String,
    },
    /// A thread could not be started, or ended before its answer.
    #[error("cannot {operation} topic {topic}: {reason}")]
    Thread {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// What the operating system or the runtime said.
        reason: String,
    },
}

impl KafkaError {
    /// Whether the broker that was asked knows no such topic, perhaps not yet.
    pub fn is_unknown_topic(&self) -> bool {
        matches!(self, KafkaError::Topic { code: RDKafkaErrorCode::UnknownTopicOrPartition, .. })
    }

    /// Whether the same may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            KafkaError::Timeout { .. } => true,
            KafkaError::Topic { code, .. } | KafkaError::Partition { code, .. } => transient(*code),
            _ => false,
        }
    }

    /// Kafka's or librdkafka's code, where there is one.
    pub fn code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            KafkaError::Topic { code, .. } | KafkaError::Partition { code, .. } => Some(*code),
            KafkaError::Config { source, .. } => source.rdkafka_error_code(),
            _ => None,
        }
    }

    /// Sorts an answer about a topic: missing operations and time-outs are variants of their own.
    pub(super) fn of_topic(
        operation: &'static str,
        topic: &str,
        within: Duration,
        code: RDKafkaErrorCode,
        reason: String,
    ) -> KafkaError {
        let topic = topic.to_owned();
        match code {
            RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::UnsupportedVersion => {
                KafkaError::Unsupported { operation, topic }
            }
            RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::RequestTimedOut => {
                KafkaError::Timeout { operation, topic, within }
            }
            _ => KafkaError::Topic { operation, topic, code, reason },
        }
    }
}

fn transient(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::*;
    matches!(
        code,
        BrokerTransportFailure
            | AllBrokersDown
            | OperationTimedOut
            | Resolve
            | LeaderNotAvailable
            | NotLeaderForPartition
            | RequestTimedOut
            | BrokerNotAvailable
            | ReplicaNotAvailable
            | NetworkException
            | CoordinatorLoadInProgress
            | CoordinatorNotAvailable
            | NotCoordinator
            | NotController
            | KafkaStorageError
            | FencedLeaderEpoch
            | UnknownLeaderEpoch
            | OffsetNotAvailable
            | PreferredLeaderNotAvailable
            | ThrottlingQuotaExceeded
    )
}
