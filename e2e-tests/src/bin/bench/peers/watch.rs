//! Whether a rival has counted everything: by what it has committed, so that watching takes next to nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::PARTITIONS;
use super::topic::Topic;

const WITHIN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// How far a rival is.
pub(super) struct Watch<'a> {
    topic: &'a Topic,
    into: &'a str,
    /// Knows the rival's group.
    read: BaseConsumer,
    /// Sees committed records.
    written: BaseConsumer,
}

impl<'a> Watch<'a> {
    /// Of the rival of that group, which writes into that topic.
    pub(super) fn new(topic: &'a Topic, group: &str, into: &'a str) -> Result<Watch<'a>> {
        let read = consumer(&topic.brokers, group, "read_uncommitted")?;
        let written = consumer(&topic.brokers, "watches-without-a-group", "read_committed")?;
        Ok(Watch { topic, into, read, written })
    }

    /// Whether its group has committed everything as read.
    pub(super) fn has_read_all(&self) -> Result<bool> {
        let committed = committed(&self.read, self.topic.name)?;
        Ok(committed == self.topic.ends.iter().copied().map(Offset::Offset).collect::<Vec<_>>())
    }

    /// How many records of its output there are, with the marks of transactions. It grows with each commit of any.
    pub(super) fn has_written(&self) -> Result<i64> {
        let mut sum = 0;
        for partition in 0..PARTITIONS {
            let (_, end) = self.written.fetch_watermarks(self.into, partition, WITHIN)?;
            sum += end;
        }
        Ok(sum)
    }
}

/// Lets the broker create its own topics for groups and transactions, which takes seconds, before anything is measured.
pub(super) fn first_of_all(topic: &Topic) -> Result<()> {
    let group = consumer(&topic.brokers, "first-of-all", "read_uncommitted")?;
    committed(&group, topic.name).context("the broker knows no groups")?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &topic.brokers).set("transactional.id", "first-of-all");
    let producer: BaseProducer = config.create()?;
    producer.init_transactions(WITHIN).context("the broker knows no transactions")?;
    Ok(())
}

/// What the consumer's group has committed of each partition. A broker that has just begun may not yet know whose group that is.
fn committed(consumer: &BaseConsumer, topic: &str) -> Result<Vec<Offset>> {
    let began = Instant::now();
    let committed = loop {
        match consumer.committed_offsets(partitions_of(topic), WITHIN) {
            Ok(committed) => break committed,
            Err(error) if has_no_coordinator(&error) && began.elapsed() < WITHIN => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.into()),
        }
    };
    committed.elements().iter().map(|element| element.error().map(|()| element.offset()).map_err(Into::into)).collect()
}

fn has_no_coordinator(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    matches!(error.rdkafka_error_code(), Some(CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator))
}

fn partitions_of(topic: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition(topic, partition);
    }
    list
}

fn consumer(brokers: &str, group: &str, isolation: &str) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", group).set("isolation.level", isolation);
    Ok(config.set("enable.auto.commit", "false").create()?)
}
