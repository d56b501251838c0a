//! How far a topic was read, told to other processes through the broker: as the committed offsets of a group without members.
//!
//! A process that knows nothing but the broker can read them. No layer continues from them; layers write their offsets together
//! with their data.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_int};
use std::sync::Arc;

use rdkafka::bindings as raw;
use rdkafka::types::{RDKafkaRespErr, RDKafkaType};

use super::native::{Client, NO_ERROR, PartitionList, description, topic_name};
use super::{KafkaError, client_config};
use crate::settings::{self, Span};

/// The committed offsets of one group.
pub struct GroupOffsets {
    client: Arc<Client>,
    within: Span,
}

impl GroupOffsets {
    /// Starts a client. It does not join the group. Brokers that cannot be reached are no error.
    ///
    /// # Errors
    ///
    /// A property of `[kafka.client]` that librdkafka refuses.
    pub fn new(settings: &settings::Kafka, group: &str) -> Result<GroupOffsets, KafkaError> {
        let mut config = client_config(settings);
        config.set("group.id", group).set("enable.auto.commit", "false");
        let client = Client::new(RDKafkaType::RD_KAFKA_CONSUMER, &config, "commit offsets")?;
        Ok(GroupOffsets { client: Arc::new(client), within: settings.request_timeout })
    }

    /// Commits an offset for each of these partitions, and waits until the broker has them.
    ///
    /// # Errors
    ///
    /// The broker's error.
    pub async fn commit(&self, topic: &str, offsets: &BTreeMap<i32, i64>) -> Result<(), KafkaError> {
        let offsets: Vec<(i32, i64)> = offsets.iter().map(|(partition, offset)| (*partition, *offset)).collect();
        self.ask("commit offsets of", topic, offsets, |client, list| {
            // SAFETY: client and list are live; librdkafka copies the list.
            unsafe { raw::rd_kafka_commit(client.ptr(), list.ptr(), 0) }
        })
        .await?;
        Ok(())
    }

    /// The committed offsets of those of these partitions that have one.
    ///
    /// # Errors
    ///
    /// The broker's error, or a time-out.
    pub async fn committed(&self, topic: &str, partitions: &[i32]) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let none = i64::from(raw::RD_KAFKA_OFFSET_INVALID);
        let wanted = partitions.iter().map(|partition| (*partition, none)).collect();
        let within_ms = c_int::try_from(self.within.get().as_millis()).unwrap_or(c_int::MAX);
        self.ask("read committed offsets of", topic, wanted, move |client, list| {
            // SAFETY: client and list are live; librdkafka writes the offsets into the list.
            unsafe { raw::rd_kafka_committed(client.ptr(), list.ptr(), within_ms) }
        })
        .await
    }

    /// Calls librdkafka with a list of partitions, on a thread that may block, and returns the offsets that the list has then.
    async fn ask(
        &self,
        operation: &'static str,
        topic: &str,
        partitions: Vec<(i32, i64)>,
        call: impl FnOnce(&Client, &PartitionList) -> RDKafkaRespErr + Send + 'static,
    ) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let (client, topic_c) = (Arc::clone(&self.client), topic_name(operation, topic)?);
        let asked = tokio::task::spawn_blocking(move || asked(&client, &topic_c, partitions, call)).await;
        let thread = |error: tokio::task::JoinError| KafkaError::Thread {
            operation,
            topic: topic.to_owned(),
            reason: error.to_string(),
        };
        asked
            .map_err(thread)?
            .map_err(|code| KafkaError::of_topic(operation, topic, self.within.get(), code.into(), description(code)))
    }
}

fn asked(
    client: &Client,
    topic: &CStr,
    partitions: Vec<(i32, i64)>,
    call: impl FnOnce(&Client, &PartitionList) -> RDKafkaRespErr,
) -> Result<BTreeMap<i32, i64>, RDKafkaRespErr> {
    let list = PartitionList::new(topic, partitions.into_iter());
    let code = call(client, &list);
    let failed = Some(code).filter(|code| *code != NO_ERROR).or_else(|| list.errors().into_values().next());
    failed.map_or_else(|| Ok(list.offsets()), Err)
}
