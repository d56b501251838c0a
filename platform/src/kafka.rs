//! Kafka, with offsets kept outside of it.
//!
//! Four connections, each for one purpose, so that none can do another's work by accident:
//!
//! - [`consumer::Consumer`] reads exactly the partitions and from exactly the offsets that it is told. It belongs to
//!   no group and commits nothing: where a layer stands is written with the layer's data.
//! - [`topics::Topics`] answers questions about a topic: its id, its partitions, where its logs begin and end.
//! - [`membership::Membership`] divides partitions among workers and does nothing else.
//! - [`producer::Producer`] sends records, and reports which were acknowledged.
//!
//! All of it stands on librdkafka. `native` holds what the first two share: the raw client, whose few unsafe calls
//! are each explained where they stand.

mod error;
mod native;

pub mod consumer;
pub mod membership;
pub mod producer;
pub mod topics;

use rdkafka::ClientConfig;

use crate::settings;

pub use self::consumer::{Consumer, Polled, Record};
pub use self::error::KafkaError;
pub use self::membership::Membership;
pub use self::producer::{Delivered, Outgoing, Producer};
pub use self::topics::{Bound, Topic, Topics};

/// What every client begins with: the brokers, and above them the properties of `[kafka.client]`.
pub fn client_config(settings: &settings::Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers);
    config.set("client.id", "braid");
    // A broker that was away is found again within a second; librdkafka's default is up to ten.
    config.set("reconnect.backoff.max.ms", "1000");
    for (name, value) in settings.client.iter() {
        config.set(name, value);
    }
    config
}
