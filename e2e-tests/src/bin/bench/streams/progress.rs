//! How far the lanes of a source have published, as the progress topic says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::Stage;
use e2e_tests::kafka::end_offsets;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

/// How long the lanes may take to get somewhere.
const WITHIN: Duration = Duration::from_secs(600);

/// The published offset of each partition.
pub(super) struct Published {
    consumer: BaseConsumer,
    partitions: usize,
    offsets: BTreeMap<i32, i64>,
}

impl Published {
    /// Nothing is known yet of the lanes of that source.
    pub(super) fn new(stage: &Stage, source: &str) -> Result<Published> {
        let topic = format!("{}.{source}.v1.progress", stage.topic);
        let partitions = end_offsets(&stage.brokers, &topic)?.len();
        let consumer = committed(&stage.brokers, &topic, partitions, |_| Offset::Beginning)?;
        Ok(Published { consumer, partitions, offsets: BTreeMap::new() })
    }

    /// How far all lanes have published together.
    pub(super) fn sum(&self) -> i64 {
        self.offsets.values().sum()
    }

    /// Waits until all lanes have published something, and together up to there.
    pub(super) fn reach(&mut self, sum: i64) -> Result<()> {
        let began = Instant::now();
        while self.offsets.len() < self.partitions || self.sum() < sum {
            ensure!(began.elapsed() < WITHIN, "the lanes stand at {:?} of {sum}", self.offsets);
            let Some(message) = self.consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message?;
            let value: Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
            if let Some(offset) = value["position"]["offset"].as_i64() {
                self.offsets.insert(message.partition(), offset);
            }
        }
        Ok(())
    }
}

/// A consumer of committed records that reads all partitions of a topic, each from there.
pub(super) fn committed(
    brokers: &str,
    topic: &str,
    partitions: usize,
    from: impl Fn(usize) -> Offset,
) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reads-without-a-group")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, i32::try_from(partition)?, from(partition))?;
    }
    consumer.assign(&list).context("cannot read a topic")?;
    Ok(consumer)
}
