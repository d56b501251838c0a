//! The embedded Kafka: Apache Kafka as a child of this process, or librdkafka's in-process broker where that cannot be run.
//!
//! - `broker`: Apache Kafka. It keeps every record;
//! - `runtime`: the Java and the jars that it runs on;
//! - `folder`: its part of the data folder;
//! - `format`: prepares that for the first start;
//! - `in_process`: the broker that keeps little and forgets on exit.

mod broker;
mod folder;
mod format;
mod in_process;
mod runtime;

use std::future::pending;
use std::path::Path;

pub use self::broker::Broker;
pub use self::in_process::{ARCHIVE_BYTES_MAX, InProcess};
pub use self::runtime::Runtime;

/// A running Kafka. It ends when this is dropped.
pub enum EmbeddedKafka {
    /// Apache Kafka.
    Broker(Box<Broker>),
    /// Its replacement.
    InProcess(InProcess),
}

impl EmbeddedKafka {
    /// `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        match self {
            EmbeddedKafka::Broker(broker) => broker.brokers(),
            EmbeddedKafka::InProcess(broker) => broker.brokers().to_owned(),
        }
    }

    /// Whether it forgets records, archived or not.
    pub fn is_forgetful(&self) -> bool {
        matches!(self, EmbeddedKafka::InProcess(_))
    }

    /// Resolves when Kafka has ended by itself, with the reason. May be cancelled.
    pub async fn ended(&mut self) -> anyhow::Error {
        match self {
            EmbeddedKafka::Broker(broker) => broker.ended().await,
            EmbeddedKafka::InProcess(_) => pending().await,
        }
    }

    /// Stops Kafka in good order.
    pub async fn stop(self) {
        if let EmbeddedKafka::Broker(broker) = self {
            broker.stop().await;
        }
    }
}

/// Whether `folder` holds the log of an earlier [`Broker`].
pub fn holds_a_log(folder: &Path) -> bool {
    folder::log_in(folder).exists()
}
