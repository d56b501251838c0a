//! A broker inside this process: librdkafka's mock cluster.
//!
//! It keeps about 5 MiB of each partition in memory, supports hardly any admin request, and loses everything on exit. Every
//! topic gets a new id, so every start begins new logs.

use anyhow::{Context, Result};
use platform::settings::Size;
use rdkafka::ClientConfig;
use rdkafka::bindings::rd_kafka_mock_group_initial_rebalance_delay_ms;
use rdkafka::producer::{BaseProducer, Producer};
use shared_logic::catalog::Catalog;

/// How long a new group waits for more members before it divides the partitions. Kafka's default of three seconds is for
/// groups that start on many machines.
const REBALANCE_DELAY_MS: i32 = 50;

/// `archive.max_bytes` for this broker. Senders wait until the archive has taken what they sent
/// ([`source_topic`](crate::source_topic)), so it should commit before they have to.
pub const ARCHIVE_BYTES_MAX: Size = Size::from_bytes(256 << 10);

/// A running broker. It ends when this is dropped.
pub struct InProcess {
    /// The client that owns the cluster. It produces nothing.
    owner: BaseProducer,
    brokers: String,
}

impl InProcess {
    /// Starts a broker on a free loopback port.
    ///
    /// # Errors
    /// If librdkafka cannot listen.
    pub fn start() -> Result<InProcess> {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1");
        let owner: BaseProducer = config.create().context("cannot start the in-process broker")?;
        // SAFETY: the client is live and owns the cluster; the call stores a number under the cluster's lock.
        unsafe {
            let cluster = rdkafka::bindings::rd_kafka_handle_mock_cluster(owner.client().native_ptr());
            rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, REBALANCE_DELAY_MS);
        }
        let brokers = owner.client().mock_cluster().context("the in-process broker is gone")?.bootstrap_servers();
        Ok(InProcess { owner, brokers })
    }

    /// The broker's address, `host:port`.
    pub fn brokers(&self) -> &str {
        &self.brokers
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
