//! Topics with a replica on each of two nodes.

use std::fs;

use anyhow::{Context, Result};
use serde_json::json;
use test_kit::{DEADLINE, Process, Progress, wait_for};

use super::admin::in_sync;
use super::broker::Broker;

/// Kafka's command that moves replicas.
const REASSIGN: &str = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";

impl Broker {
    /// Gives the partitions of a topic a replica on each of both nodes, and waits until it is in sync.
    pub async fn replicate(&self, topic: &str, partitions: i32) -> Result<()> {
        let replicas = |partition: i32| json!({"topic": topic, "partition": partition, "replicas": [1, 2]});
        let all: Vec<_> = (0..partitions).map(replicas).collect();
        let file = self.file("reassignment.json");
        fs::write(&file, json!({"version": 1, "partitions": all}).to_string())?;
        let mut command = self.tool(REASSIGN);
        command.arg("--reassignment-json-file").arg(&file).arg("--execute");
        let process =
            Process::start("kafka-reassign-partitions", command, &self.file("kafka-reassign-partitions.out"))?;
        process.success(DEADLINE).await?;
        wait_for(&format!("{topic} to have two replicas in sync"), DEADLINE, async || {
            let least = in_sync(&self.brokers(), topic)?.into_iter().min().context("a topic without partitions")?;
            Ok(Progress::when(least == 2, format_args!("{least} of a partition")))
        })
        .await
    }
}
