//! What an operator does to topics, good and bad; and reading a topic from its start, as the truth about it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use test_kit::{DEADLINE, Progress, wait_for};

use super::{ANSWER_TIMEOUT, config};

/// One record of a topic.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its value; empty if it has none.
    pub payload: Vec<u8>,
    /// Names and values of its headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Found {
    /// The text of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(value).ok()
    }
}

/// Creates a topic on a real broker, with settings of its own.
pub async fn create_topic(brokers: &str, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
    for result in admin(brokers)?.create_topics([&new], &options()).await? {
        result.map_err(|(topic, code)| anyhow::anyhow!("cannot create topic {topic}: {code}"))?;
    }
    Ok(())
}

/// Deletes a topic.
pub async fn delete_topic(brokers: &str, topic: &str) -> Result<()> {
    for result in admin(brokers)?.delete_topics(&[topic], &options()).await? {
        result.map_err(|(topic, code)| anyhow::anyhow!("cannot delete topic {topic}: {code}"))?;
    }
    // The broker may answer before it tells clients, and who finds the topic does not create another one.
    wait_for(&format!("{topic} to be gone"), DEADLINE, async || {
        let known = partitions_of(brokers, topic)?;
        Ok(Progress::when(known == 0, format_args!("{known} partitions")))
    })
    .await
}

/// Deletes all topics but those that the cluster keeps for itself.
pub async fn delete_topics(brokers: &str) -> Result<()> {
    let client: BaseConsumer = config(brokers).create()?;
    let metadata = client.fetch_metadata(None, ANSWER_TIMEOUT)?;
    for topic in metadata.topics().iter().map(MetadataTopic::name).filter(|name| !name.starts_with("__")) {
        delete_topic(brokers, topic).await?;
    }
    Ok(())
}

/// Gives a topic more partitions: `count` in all.
pub async fn grow_topic(brokers: &str, topic: &str, count: usize) -> Result<()> {
    for result in admin(brokers)?.create_partitions([&NewPartitions::new(topic, count)], &options()).await? {
        result.map_err(|(topic, code)| anyhow::anyhow!("cannot grow topic {topic}: {code}"))?;
    }
    // The broker may answer before it tells clients, and a record for a partition that is not known is refused for good.
    wait_for(&format!("{topic} to have {count} partitions"), DEADLINE, async || {
        let known = usize::try_from(partitions_of(brokers, topic)?)?;
        Ok(Progress::when(known == count, format_args!("{known}")))
    })
    .await
}

/// Deletes the records below an offset of each of those partitions.
pub async fn delete_records(brokers: &str, topic: &str, below: &BTreeMap<i32, i64>) -> Result<()> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in below {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    let deleted = admin(brokers)?.delete_records(&list, &options()).await?;
    for element in deleted.elements() {
        element.error().with_context(|| format!("cannot delete records of partition {}", element.partition()))?;
    }
    Ok(())
}

/// Gives a topic other settings of its own, in place of all that it had.
pub async fn alter_topic(brokers: &str, topic: &str, settings: &[(&str, &str)]) -> Result<()> {
    let changed = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let changed = settings.iter().fold(changed, |changed, (key, value)| changed.set(key, value));
    for result in admin(brokers)?.alter_configs([&changed], &options()).await? {
        result.map_err(|(_, code)| anyhow::anyhow!("cannot alter topic {topic}: {code}"))?;
    }
    Ok(())
}

/// The consumer groups whose names begin so.
pub fn groups(brokers: &str, prefix: &str) -> Result<Vec<String>> {
    let client: BaseConsumer = config(brokers).create()?;
    let groups = client.fetch_group_list(None, ANSWER_TIMEOUT)?;
    let names = groups.groups().iter().map(|group| group.name());
    Ok(names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect())
}

/// How many partitions a topic has.
pub fn partitions_of(brokers: &str, topic: &str) -> Result<i32> {
    let client: BaseConsumer = config(brokers).create()?;
    known_partitions(&client, topic)
}

fn known_partitions(client: &BaseConsumer, topic: &str) -> Result<i32> {
    let metadata = client.fetch_metadata(Some(topic), ANSWER_TIMEOUT)?;
    let topic = metadata.topics().first().with_context(|| format!("the cluster does not know {topic}"))?;
    Ok(i32::try_from(topic.partitions().len())?)
}

/// How many replicas of each partition of a topic are in sync.
pub(super) fn in_sync(brokers: &str, topic: &str) -> Result<Vec<usize>> {
    let client: BaseConsumer = config(brokers).create()?;
    let metadata = client.fetch_metadata(Some(topic), ANSWER_TIMEOUT)?;
    let topic = metadata.topics().first().with_context(|| format!("the cluster does not know {topic}"))?;
    Ok(topic.partitions().iter().map(|partition| partition.isr().len()).collect())
}

/// Every committed record that the topic holds now.
pub fn read_all(brokers: &str, topic: &str) -> Result<Vec<Found>> {
    let consumer: BaseConsumer = config(brokers)
        .set("group.id", "reads-everything-without-a-group")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        // The end of a partition is told by an answer without a record, for which the broker waits this long.
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let partitions = known_partitions(&consumer, topic)?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    // A partition ends again after each record that comes meanwhile.
    let (mut found, mut to_end) = (Vec::new(), (0..partitions).collect::<BTreeSet<i32>>());
    while !to_end.is_empty() {
        match consumer.poll(ANSWER_TIMEOUT) {
            None => bail!("{topic} gave nothing for {ANSWER_TIMEOUT:?}"),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                to_end.remove(&partition);
            }
            // The client connects again by itself.
            Some(Err(error)) if is_disconnected(&error) => {}
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(message)) => found.push(Found {
                partition: message.partition(),
                offset: message.offset(),
                timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
                key: message.key().map(<[u8]>::to_vec),
                payload: message.payload().unwrap_or_default().to_vec(),
                headers: message.headers().map(owned).unwrap_or_default(),
            }),
        }
    }
    Ok(found)
}

fn is_disconnected(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure)
    )
}

fn owned(headers: &impl Headers) -> Vec<(String, Vec<u8>)> {
    let header = |at| {
        let header = headers.get(at);
        (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
    };
    (0..headers.count()).map(header).collect()
}

fn admin(brokers: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(config(brokers).create()?)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).operation_timeout(Some(ANSWER_TIMEOUT))
}
