//! The Kafka that scenarios run on: a real broker, or its stand-in where none can be had.
//!
//! - `jars` fetches the broker, once per user;
//! - `broker` formats, starts, kills and restarts one;
//! - `guarded` is one that checks who may do what;
//! - `replicas` gives topics a replica on a second node;
//! - `in_process` is librdkafka's own small broker, used only where Maven cannot reach its repository;
//! - `admin` creates, grows, deletes and empties topics, and reads them from their start;
//! - `producer` sends records, fast, and knows when all have arrived.

mod admin;
mod broker;
mod guarded;
mod in_process;
mod jars;
mod producer;
mod replicas;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::OnceCell;

pub use admin::{
    Found, alter_topic, create_topic, delete_records, delete_topic, delete_topics, groups, grow_topic, partitions_of,
    read_all,
};
pub use broker::Broker;
pub use guarded::{Guarded, Right};
pub use producer::{Producer, Record};

use in_process::InProcess;

use crate::fetched::{notice, refuse_in_ci};
use crate::shared_folder::shared_folder;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A Kafka cluster of one node.
pub struct Kafka {
    node: Node,
}

enum Node {
    Broker(Broker),
    InProcess(InProcess),
}

impl Kafka {
    /// The cluster that all scenarios of a test binary share, started by the first that asks. Its users name their topics
    /// uniquely and do it no harm.
    pub async fn shared() -> Result<&'static Kafka> {
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        SHARED.get_or_try_init(async || Kafka::start(&shared_folder("shared-kafka-")?).await).await
    }

    /// A cluster of the scenario's own, for scenarios that harm it.
    pub async fn start(dir: &Path) -> Result<Kafka> {
        let node = match jars::class_path() {
            Ok(class_path) => Node::Broker(Broker::start(dir, class_path, "").await?),
            Err(why) => {
                refuse_in_ci("Kafka broker", &why)?;
                notice(&format!("no real Kafka broker, using librdkafka's in-process one: {why}"));
                Node::InProcess(InProcess::start()?)
            }
        };
        Ok(Kafka { node })
    }

    /// A real broker of the scenario's own, or nothing where none can be had; then the scenario, which has no meaning
    /// without one, is named in a notice.
    pub async fn real(scenario: &str, dir: &Path) -> Result<Option<Broker>> {
        match Kafka::start(dir).await?.node {
            Node::Broker(broker) => Ok(Some(broker)),
            Node::InProcess(_) => {
                notice(&format!("scenario {scenario} needs the real broker and DID NOT RUN"));
                Ok(None)
            }
        }
    }

    /// A real broker of the scenario's own that a [second](Broker::second) one may join, or nothing, as [`Kafka::real`] says.
    pub async fn first_of_two(scenario: &str, dir: &Path) -> Result<Option<Broker>> {
        if !Kafka::can_be_real(scenario)? {
            return Ok(None);
        }
        let class_path = jars::class_path().map_err(anyhow::Error::msg)?;
        Broker::start_first(dir, class_path).await.map(Some)
    }

    /// A real broker of the scenario's own that checks rights, or nothing where none can be had, as [`Kafka::real`] says.
    pub async fn guarded(scenario: &str, dir: &Path) -> Result<Option<Guarded>> {
        if !Kafka::can_be_real(scenario)? {
            return Ok(None);
        }
        let class_path = jars::class_path().map_err(anyhow::Error::msg)?;
        Guarded::start(dir, class_path).await.map(Some)
    }

    /// The addresses of the shared cluster if it is a real broker; else the scenario, which has no meaning without one, is
    /// named in a notice.
    pub async fn shared_real(scenario: &str) -> Result<Option<String>> {
        let kafka = Kafka::shared().await?;
        if !kafka.is_real() {
            notice(&format!("scenario {scenario} needs the real broker and DID NOT RUN"));
            return Ok(None);
        }
        Ok(Some(kafka.brokers()))
    }

    /// Whether a real broker can be had here; else the scenario, which has no meaning without one, is named in a notice.
    pub fn can_be_real(scenario: &str) -> Result<bool> {
        if let Err(why) = jars::class_path() {
            refuse_in_ci("Kafka broker", &why)?;
            notice(&format!("scenario {scenario} needs the real broker and DID NOT RUN: {why}"));
            return Ok(false);
        }
        Ok(true)
    }

    /// `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        match &self.node {
            Node::Broker(broker) => broker.brokers(),
            Node::InProcess(cluster) => cluster.brokers().to_owned(),
        }
    }

    /// Whether this is Apache Kafka rather than its stand-in.
    pub fn is_real(&self) -> bool {
        matches!(self.node, Node::Broker(_))
    }

    /// Creates a topic. Settings of its own need the real broker.
    pub async fn create_topic(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        match &self.node {
            Node::Broker(broker) => create_topic(&broker.brokers(), topic, partitions, settings).await,
            Node::InProcess(_) if !settings.is_empty() => bail!("the in-process broker takes no settings of a topic"),
            Node::InProcess(cluster) => cluster.create_topic(topic, partitions),
        }
    }
}

/// For each partition of a topic, the offset that its next record will get; where a transaction is open, that of the transaction's first.
pub fn end_offsets(brokers: &str, topic: &str) -> Result<Vec<i64>> {
    ends(brokers, topic, "read_committed")
}

/// Whether no transaction is open in any partition of a topic.
pub fn is_all_readable(brokers: &str, topic: &str) -> Result<bool> {
    Ok(end_offsets(brokers, topic)? == ends(brokers, topic, "read_uncommitted")?)
}

fn ends(brokers: &str, topic: &str, isolation_level: &str) -> Result<Vec<i64>> {
    let consumer: BaseConsumer = config(brokers).set("isolation.level", isolation_level).create()?;
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_TIMEOUT)?;
    let topic = metadata.topics().first().with_context(|| format!("the cluster does not know {topic}"))?;
    (0..topic.partitions().len())
        .map(|partition| {
            let (_, end) = consumer.fetch_watermarks(topic.name(), i32::try_from(partition)?, ANSWER_TIMEOUT)?;
            Ok(end)
        })
        .collect()
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    // A broker that was away is found soon; librdkafka's default is up to ten seconds.
    config.set("reconnect.backoff.max.ms", "500");
    config
}
