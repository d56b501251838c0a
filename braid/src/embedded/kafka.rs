//! A Kafka inside this process: librdkafka's mock cluster with one broker.
//!
//! It keeps about 5 MiB of each partition in memory, supports hardly any admin request, and loses everything on exit. Every
//! topic gets a new id, so every start begins new logs.

use anyhow::{Context, Result};
use rdkafka::ClientConfig;
use rdkafka::bindings::rd_kafka_mock_group_initial_rebalance_delay_ms;
use rdkafka::producer::{BaseProducer, Producer};
use shared_logic::catalog::Catalog;

/// How long a new group waits for more members before it divides the partitions. Kafka's default of three seconds is for
/// groups that start on many machines.
const REBALANCE_DELAY_MS: i32 = 50;

/// A running broker. It ends when this is dropped.
pub struct EmbeddedKafka {
    /// The client that owns the cluster. It produces nothing.
    owner: BaseProducer,
}

impl EmbeddedKafka {
    /// Starts a broker on a free loopback port.
    ///
    /// # Errors
    /// If librdkafka cannot listen.
    pub fn start() -> Result<EmbeddedKafka> {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1");
        let owner: BaseProducer = config.create().context("cannot start the in-process broker")?;
        // SAFETY: the client is live and owns the cluster; the call stores a number under the cluster's lock.
        unsafe {
            let cluster = rdkafka::bindings::rd_kafka_handle_mock_cluster(owner.client().native_ptr());
            rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, REBALANCE_DELAY_MS);
        }
        Ok(EmbeddedKafka { owner })
    }

    /// The broker's address, `host:port`.
    ///
    /// # Errors
    /// If the client has no cluster.
    pub fn brokers(&self) -> Result<String> {
        Ok(self.owner.client().mock_cluster().context("the in-process broker is gone")?.bootstrap_servers())
    }

    /// Creates the topics of a catalog, with as many partitions as the catalog says.
    ///
    /// # Errors
    /// If librdkafka refuses one.
    pub fn create_topics(&self, catalog: &Catalog) -> Result<()> {
        let cluster = self.owner.client().mock_cluster().context("the in-process broker is gone")?;
        for source in catalog.sources.values() {
            let partitions = i32::try_from(source.partitions).unwrap_or(i32::MAX);
            cluster
                .create_topic(&source.topic, partitions, 1)
                .with_context(|| format!("cannot create topic {} in the in-process broker", source.topic))?;
        }
        Ok(())
    }
}
