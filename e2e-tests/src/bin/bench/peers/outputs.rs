//! What a rival has written: the last record of each video and minute is its total.

use std::time::Duration;

use anyhow::{Result, bail};
use e2e_tests::oracle::Counts;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Deserialize;

use super::PARTITIONS;
use super::totals::Totals;

const WITHIN: Duration = Duration::from_secs(30);

/// Everything that was committed.
#[derive(Default)]
pub(super) struct Outputs {
    pub(super) totals: Totals,
    /// How many records there are.
    pub(super) records: u64,
}

#[derive(Deserialize)]
struct Output<'a> {
    video_id: &'a str,
    minute: i64,
    views: i64,
    dwell_ms: i64,
}

impl Outputs {
    /// Reads the topic to its end. Those of one video are in one partition, so they come in their order.
    pub(super) fn read(brokers: &str, topic: &str) -> Result<Outputs> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "reads-without-a-group")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let (mut outputs, mut ended) = (Outputs::default(), 0);
        while ended < PARTITIONS {
            match consumer.poll(WITHIN) {
                None => bail!("{topic} gave nothing for {WITHIN:?}"),
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(message)) => outputs.add(message.payload().unwrap_or_default())?,
            }
        }
        Ok(outputs)
    }

    fn add(&mut self, payload: &[u8]) -> Result<()> {
        let Output { video_id, minute, views, dwell_ms } = serde_json::from_slice(payload)?;
        self.records += 1;
        self.totals.set(video_id, minute, Counts { views, dwell_ms })
    }
}
