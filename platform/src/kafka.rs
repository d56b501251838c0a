//! Kafka. No layer keeps its offsets in Kafka.
//!
//! A connection for each purpose, so that none can do another's work by accident:
//!
//! - [`consumer::Consumer`] reads the partitions that it is given, from the offsets that it is given. It belongs to no group
//!   and commits nothing: a layer writes its offsets together with its data.
//! - [`topics::Topics`] answers questions about a topic: its id, its partitions, where they begin and end.
//! - [`membership::Membership`] divides partitions among workers and does nothing else.
//! - [`producer::Producer`] sends records, and reports which were acknowledged.
//! - [`transaction::TransactionalProducer`] sends records that become visible together, or not at all.
//! - [`committed::read_committed`] reads what is committed between two offsets of a partition.
//! - [`group_offsets::GroupOffsets`] tells other processes, through the broker, how far a topic was read.
//! - [`groups::remove_group`] removes a group that nobody needs any more.
//! - [`cluster()`] asks a cluster who it is.
//!
//! All of them use librdkafka. `native` wraps the raw client that most of them share; each of its few unsafe calls is
//! explained beside it.

mod error;
mod native;

pub mod cluster;
pub mod committed;
pub mod consumer;
pub mod group_offsets;
pub mod groups;
pub mod membership;
pub mod producer;
pub mod topics;
pub mod transaction;

use rdkafka::ClientConfig;

use crate::settings;

pub use self::cluster::{Cluster, cluster};
pub use self::committed::{OwnedRecord, read_committed};
pub use self::consumer::{Consumer, Losses, Polled, Record};
pub use self::error::KafkaError;
pub use self::group_offsets::GroupOffsets;
pub use self::groups::{RemovedGroup, remove_group};
pub use self::membership::Membership;
pub use self::producer::{Delivered, Outgoing, Producer};
pub use self::topics::{Bound, Topic, Topics};
pub use self::transaction::{TransactionError, TransactionalProducer, Written};

/// The configuration that every client starts from: the brokers, then the properties of `[kafka.client]`, which win.
pub fn client_config(settings: &settings::Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers);
    config.set("client.id", "braid");
    // A question about a missing topic must not have the broker create it, with partitions of its own choice. Consumers do not ask so
    // anyway; librdkafka's producers do, and questions are put by one.
    config.set("allow.auto.create.topics", "false");
    // Reconnects within a second to a broker that was away; librdkafka's default is up to ten.
    config.set("reconnect.backoff.max.ms", "1000");
    for (name, value) in settings.client.iter() {
        config.set(name, value);
    }
    config
}
