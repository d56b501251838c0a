//! The section `[kafka]`.

use serde::{Deserialize, Serialize};

use super::bounds::{at_least_one_kibibyte, not_zero};
use super::{Properties, SettingsError, Size, Span};

/// The event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// The brokers to connect to first, `host:port`, separated by commas. Default `127.0.0.1:9092`. `braid up` also takes the
    /// words `child` and `in-process`, and embeds that kind of broker.
    pub brokers: String,
    /// The longest that a question about a topic may take. Default `10s`.
    pub request_timeout: Span,
    /// How long a group member may be silent before its partitions go to others; brokers allow 6 s and more.
    /// Default `10s`.
    pub session_timeout: Span,
    /// A consumer that Kafka tells nothing about a partition for this long, although something is due, is replaced:
    /// librdkafka can stall without an error after a broker went back to an older copy of its data. So is a member of a group that
    /// the group has lost for this long, but not before half a minute and three sessions. Default `30s`.
    pub stalled_after: Span,
    /// The memory that a consumer fills with records ahead of its reader. What the last fetch brings may come on top: as much
    /// as `fetch_bytes` of each partition, and for small records four times as much, because librdkafka adds its own data to
    /// each record. More does not read faster. Default `64MiB`.
    pub fetch_queue: Size,
    /// The most bytes of one partition that one fetch asks for. A larger record is fetched all the same. Default `1MiB`.
    pub fetch_bytes: Size,
    /// Properties for librdkafka (SASL, TLS, tuning). In the environment, `BRAID__KAFKA__CLIENT__SECURITY_PROTOCOL` is
    /// `security.protocol`. Properties on which Braid's correctness depends cannot be changed.
    pub client: Properties,
}

impl Default for Kafka {
    fn default() -> Kafka {
        Kafka {
            brokers: "127.0.0.1:9092".to_owned(),
            request_timeout: Span::from_secs(10),
            session_timeout: Span::from_secs(10),
            stalled_after: Span::from_secs(30),
            fetch_queue: Size::from_mib(64),
            fetch_bytes: Size::from_mib(1),
            client: Properties::default(),
        }
    }
}

impl Kafka {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.brokers.trim().is_empty() {
            return Err(SettingsError::invalid("kafka.brokers", "must name at least one host:port"));
        }
        at_least_one_kibibyte("kafka.fetch_queue", self.fetch_queue)?;
        not_zero("kafka.stalled_after", self.stalled_after)?;
        not_zero("kafka.request_timeout", self.request_timeout)
    }
}
