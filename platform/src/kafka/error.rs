//! Errors of Kafka. Each names the operation that failed and its topic or partition.

use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode;

/// Why an operation on Kafka failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KafkaError {
    /// librdkafka refused a property, usually one of `[kafka.client]`.
    #[error("cannot configure a kafka client to {operation}")]
    Config {
        /// What the client was to do, as a verb.
        operation: &'static str,
        /// The property and what is wrong with it.
        source: rdkafka::error::KafkaError,
    },
    /// librdkafka could not create a client.
    #[error("cannot create a kafka client to {operation}: {reason}")]
    Client {
        /// What the client was to do, as a verb.
        operation: &'static str,
        /// librdkafka's reason.
        reason: String,
    },
    /// An operation on a whole topic failed.
    #[error("cannot {operation} topic {topic}: {reason}")]
    Topic {
        /// The operation, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// Kafka's or librdkafka's code.
        code: RDKafkaErrorCode,
        /// The text that came with the code.
        reason: String,
    },
    /// A broker did not give its configuration.
    #[error("cannot read the configuration of broker {broker}: {reason}")]
    Broker {
        /// The broker's id.
        broker: i32,
        /// Kafka's or librdkafka's code.
        code: RDKafkaErrorCode,
        /// The text that came with the code.
        reason: String,
    },
    /// An operation on one partition failed.
    #[error("cannot {operation} partition {topic}/{partition}: {reason}")]
    Partition {
        /// The operation, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// Kafka's or librdkafka's code.
        code: RDKafkaErrorCode,
        /// The text that came with the code.
        reason: String,
    },
    /// The broker does not support the operation. librdkafka's in-process broker supports few.
    #[error("cannot {operation} topic {topic}: the broker does not support it")]
    Unsupported {
        /// The operation, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
    },
    /// No answer came in time.
    #[error("cannot {operation} topic {topic}: no answer within {within:?}")]
    Timeout {
        /// The operation, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// The time-out.
        within: Duration,
    },
    /// The caller passed a name, partition or offset that Kafka cannot have.
    #[error("cannot {operation} topic {topic}: {reason}")]
    Argument {
        /// The operation, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// What is wrong.
        reason: String,
    },
    /// A thread could not be started, or ended before its answer.
    #[error("cannot {operation} topic {topic}: {reason}")]
    Thread {
        /// The operation, as a verb.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// The reason of the operating system or the runtime.
        reason: String,
    },
}

impl KafkaError {
    /// Whether the broker does not know the topic, perhaps only not yet.
    pub fn is_unknown_topic(&self) -> bool {
        matches!(self, KafkaError::Topic { code: RDKafkaErrorCode::UnknownTopicOrPartition, .. })
    }

    /// Whether a retry may succeed without any other change.
    pub fn is_transient(&self) -> bool {
        match self {
            KafkaError::Timeout { .. } => true,
            KafkaError::Topic { code, .. } | KafkaError::Partition { code, .. } | KafkaError::Broker { code, .. } => {
                transient(*code)
            }
            _ => false,
        }
    }

    /// Kafka's or librdkafka's code, where there is one.
    pub fn code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            KafkaError::Topic { code, .. } | KafkaError::Partition { code, .. } | KafkaError::Broker { code, .. } => {
                Some(*code)
            }
            KafkaError::Config { source, .. } => source.rdkafka_error_code(),
            _ => None,
        }
    }

    /// The error for a code that the broker or librdkafka returned for a topic; missing operations and time-outs have
    /// variants of their own.
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

    /// The same of a broker, which is asked as if it were a topic.
    pub(super) fn of_broker(self, broker: i32) -> KafkaError {
        let (code, reason) = match self {
            KafkaError::Topic { code, reason, .. } => (code, reason),
            KafkaError::Unsupported { .. } => {
                (RDKafkaErrorCode::UnsupportedFeature, "the broker does not support it".to_owned())
            }
            KafkaError::Timeout { within, .. } => {
                (RDKafkaErrorCode::OperationTimedOut, format!("no answer within {within:?}"))
            }
            other => return other,
        };
        KafkaError::Broker { broker, code, reason }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_not_called_a_topic_and_is_asked_again_where_a_topic_is() {
        let of = |code| {
            let within = Duration::from_secs(5);
            KafkaError::of_topic("ask", "1", within, code, "it refused".to_owned()).of_broker(1)
        };
        let refused = of(RDKafkaErrorCode::ClusterAuthorizationFailed);
        assert_eq!(refused.to_string(), "cannot read the configuration of broker 1: it refused");
        assert!(!refused.is_transient() && of(RDKafkaErrorCode::RequestTimedOut).is_transient());
        assert!(of(RDKafkaErrorCode::OperationTimedOut).to_string().contains("no answer within 5s"));
        assert!(of(RDKafkaErrorCode::UnsupportedFeature).to_string().contains("broker 1: the broker does not"));
    }
}
