//! Questions about a topic: its id, its number of partitions, and where they begin and end.
//!
//! A topic that is deleted and created again keeps its name and gets another id. Only the id shows that offsets of the
//! deleted topic mean nothing in the new one, so it is asked for with every micro-batch; [`Topics::describe`] takes one round
//! trip.
//!
//! librdkafka answers through queues that block. Each question waits on a thread of tokio's blocking pool, so it blocks no
//! worker of the runtime.
//!
//! A client remembers the leader epochs of partitions. After a broker went back to an older copy of its data, which counts
//! them anew, the broker refuses that client's questions for offsets for ever. So after such a refusal the client is replaced.

mod answer;
mod question;
mod target;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings as raw;
use rdkafka::types::RDKafkaType;
use tracing::warn;

use self::answer::{configured, created, described, grown, listed};
use self::question::Question;
use self::target::Targets;
use super::native::{Client, PartitionList, topic_name};
use super::{KafkaError, client_config};
use crate::settings;

/// One incarnation of a topic, from its creation to its deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The topic's id: 22 characters of URL-safe base64, which are safe in keys and paths. It names the log.
    pub log: String,
    /// How many partitions there are; they are numbered from 0.
    pub partitions: i32,
    /// How many replicas its first partition has.
    pub replicas: i32,
}

/// An end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The first offset that the log still holds.
    Start,
    /// One past the last offset that a reader of committed records can see.
    End,
}

/// The number that stands for the broker's default replication.
const DEFAULT_REPLICAS: i32 = -1;

/// A client that gave no offsets is replaced, but no sooner than this after it was started.
const RENEWED_AFTER: Duration = Duration::from_secs(1);

/// Asks the brokers about topics. Clones share one connection.
#[derive(Clone)]
pub struct Topics {
    settings: settings::Kafka,
    connection: Arc<Mutex<Connection>>,
}

/// A client, and what it has learnt.
#[derive(Clone)]
struct Connection {
    client: Arc<Client>,
    targets: Arc<Targets>,
    started: Instant,
}

impl Connection {
    fn new(settings: &settings::Kafka) -> Result<Connection, KafkaError> {
        // A producer is librdkafka's smallest client. This one produces nothing.
        let client = Client::new(RDKafkaType::RD_KAFKA_PRODUCER, &client_config(settings), "ask about topics")?;
        Ok(Connection { client: Arc::new(client), targets: Arc::default(), started: Instant::now() })
    }
}

impl Topics {
    /// Starts a client. If the brokers cannot be reached, the first question fails, not this.
    ///
    /// # Errors
    ///
    /// A property of `[kafka.client]` that librdkafka refuses.
    pub fn new(settings: &settings::Kafka) -> Result<Topics, KafkaError> {
        let connection = Arc::new(Mutex::new(Connection::new(settings)?));
        Ok(Topics { settings: settings.clone(), connection })
    }

    /// The topic's id and number of partitions; nothing if the topic does not exist.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Unsupported`] if the broker has no topic ids (older than 2.8); else the broker's error, or a time-out.
    pub async fn describe(&self, topic: &str) -> Result<Option<Topic>, KafkaError> {
        self.ask("describe", topic, |question| {
            let answer = question.put(
                raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
                |client, options, queue| {
                    let mut names = [question.topic_c.as_ptr()];
                    // SAFETY: all handles are live, and the array holds one terminated name; librdkafka copies it.
                    unsafe {
                        let names = raw::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
                        raw::rd_kafka_DescribeTopics(client, names, options, queue);
                        raw::rd_kafka_TopicCollection_destroy(names);
                    }
                },
            )?;
            described(question, &answer)
        })
        .await
    }

    /// Where the given partitions begin or end. The result has an entry for each.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Partition`] for the first partition without an answer, for example one that does not exist; else the
    /// broker's error, or a time-out.
    pub async fn offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        which: Bound,
    ) -> Result<BTreeMap<i32, i64>, KafkaError> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let spec = match which {
            Bound::Start => raw::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST,
            Bound::End => raw::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST,
        } as i64;
        self.list(topic, partitions.iter().map(|partition| (*partition, spec)).collect()).await
    }

    /// The first offset of each partition whose record has that timestamp or a later one; `None` if there is none yet. Times are
    /// milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// As [`Topics::offsets`].
    pub async fn offsets_at(
        &self,
        topic: &str,
        times_ms: &BTreeMap<i32, i64>,
    ) -> Result<BTreeMap<i32, Option<i64>>, KafkaError> {
        if times_ms.is_empty() {
            return Ok(BTreeMap::new());
        }
        // Negative numbers have other meanings, and there are no records from before 1970.
        let wanted = times_ms.iter().map(|(partition, time_ms)| (*partition, (*time_ms).max(0))).collect();
        let offsets = self.list(topic, wanted).await?;
        Ok(offsets.into_iter().map(|(partition, offset)| (partition, (offset >= 0).then_some(offset))).collect())
    }

    /// Asks for offsets, each by what the question for it means to Kafka.
    async fn list(&self, topic: &str, wanted: Vec<(i32, i64)>) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let asked = self.connection();
        let offsets = self.ask("list offsets of", topic, move |question| {
            let list = PartitionList::new(&question.topic_c, wanted.into_iter());
            let answer =
                question.put(raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, |client, options, queue| {
                    // SAFETY: all handles are live; librdkafka copies the list.
                    unsafe { raw::rd_kafka_ListOffsets(client, list.ptr(), options, queue) }
                })?;
            listed(question, &answer)
        });
        let offsets = offsets.await;
        if offsets.is_err() {
            self.renew(&asked);
        }
        offsets
    }

    /// Whether the topic is compacted: then records may vanish from its middle. A client that may not ask has to expect it.
    ///
    /// # Errors
    ///
    /// If the broker does not know the topic yet, or does not answer.
    pub async fn is_compacted(&self, topic: &str) -> Result<bool, KafkaError> {
        match self.config(topic).await {
            Ok(config) => {
                let policy = config.get("cleanup.policy").map(String::as_str).unwrap_or_default();
                Ok(policy.split(',').any(|word| word.trim() == "compact"))
            }
            // The in-process broker cannot be asked, and does not compact.
            Err(KafkaError::Unsupported { .. }) => Ok(false),
            Err(error) if error.is_unknown_topic() || error.is_transient() => Err(error),
            Err(_) => Ok(true),
        }
    }

    /// Creates a topic with the broker's default replication. A topic that already exists is no error, whatever its
    /// partitions and configuration are.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Unsupported`] on librdkafka's in-process broker; else the broker's error, or a time-out.
    pub async fn create(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) -> Result<(), KafkaError> {
        self.create_replicated(topic, partitions, DEFAULT_REPLICAS, config).await
    }

    /// Creates a topic with that many replicas. A topic that already exists is no error, whatever it is like.
    ///
    /// # Errors
    ///
    /// As [`Topics::create`].
    pub async fn create_replicated(
        &self,
        topic: &str,
        partitions: i32,
        replicas: i32,
        config: &[(&str, &str)],
    ) -> Result<(), KafkaError> {
        let config: Vec<_> = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.ask("create", topic, move |question| {
            let mut new_topic = [question.new_topic(partitions, replicas, &config)?];
            let answer =
                question.put(raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS, |client, options, queue| {
                    // SAFETY: all handles are live, and the array holds one element; librdkafka copies it.
                    unsafe {
                        raw::rd_kafka_CreateTopics(client, new_topic.as_mut_ptr(), new_topic.len(), options, queue)
                    }
                });
            // SAFETY: librdkafka has its own copy, and this one is not used again.
            unsafe { raw::rd_kafka_NewTopic_destroy(new_topic[0]) };
            created(question, &answer?)
        })
        .await
    }

    /// Gives the topic that many partitions, if it has fewer.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Unsupported`] on librdkafka's in-process broker; else the broker's error, or a time-out.
    pub async fn grow(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        self.ask("add partitions to", topic, move |question| {
            let mut more = [question.new_partitions(partitions)?];
            let answer =
                question.put(raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, |client, options, queue| {
                    // SAFETY: all handles are live, and the array holds one element; librdkafka copies it.
                    unsafe { raw::rd_kafka_CreatePartitions(client, more.as_mut_ptr(), more.len(), options, queue) }
                });
            // SAFETY: librdkafka has its own copy, and this one is not used again.
            unsafe { raw::rd_kafka_NewPartitions_destroy(more[0]) };
            grown(question, &answer?)
        })
        .await
    }

    /// The topic's effective configuration, including defaults; without values that the broker keeps secret.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Unsupported`] on librdkafka's in-process broker; else the broker's error (also if the topic does not
    /// exist), or a time-out.
    pub async fn config(&self, topic: &str) -> Result<BTreeMap<String, String>, KafkaError> {
        self.configuration("read the configuration of", raw::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, topic)
            .await
    }

    /// The effective configuration of a broker, by its id.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Broker`].
    pub async fn broker_config(&self, broker: i32) -> Result<BTreeMap<String, String>, KafkaError> {
        let kind = raw::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER;
        let config = self.configuration("read the configuration of", kind, &broker.to_string()).await;
        config.map_err(|error| error.of_broker(broker))
    }

    async fn configuration(
        &self,
        operation: &'static str,
        kind: raw::rd_kafka_ResourceType_t,
        name: &str,
    ) -> Result<BTreeMap<String, String>, KafkaError> {
        self.ask(operation, name, move |question| {
            // SAFETY: the name is terminated and copied.
            let resource = unsafe { raw::rd_kafka_ConfigResource_new(kind, question.topic_c.as_ptr()) };
            let mut resources = [resource];
            let answer =
                question.put(raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, |client, options, queue| {
                    // SAFETY: all handles are live, and the array holds one element; librdkafka copies it.
                    unsafe {
                        raw::rd_kafka_DescribeConfigs(client, resources.as_mut_ptr(), resources.len(), options, queue)
                    }
                });
            // SAFETY: librdkafka has its own copy, and this one is not used again.
            unsafe { raw::rd_kafka_ConfigResource_destroy(resource) };
            configured(question, &answer?)
        })
        .await
    }

    /// Asks a question on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        topic: &str,
        put: impl FnOnce(&Question) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let Connection { client, targets, .. } = self.connection();
        let question = Question {
            client,
            targets,
            within: self.settings.request_timeout.get(),
            operation,
            topic: topic.to_owned(),
            topic_c: topic_name(operation, topic)?,
        };
        let answer = tokio::task::spawn_blocking(move || put(&question)).await;
        answer.unwrap_or_else(|error| {
            Err(KafkaError::Thread { operation, topic: topic.to_owned(), reason: error.to_string() })
        })
    }

    fn connection(&self) -> Connection {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces a client that gave no offsets, unless that was done already or it is new.
    fn renew(&self, failed: &Connection) {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&connection.client, &failed.client) || failed.started.elapsed() < RENEWED_AFTER {
            return;
        }
        match Connection::new(&self.settings) {
            Ok(new) => {
                let old = std::mem::replace(&mut *connection, new);
                // To end a client takes some milliseconds.
                drop(tokio::task::spawn_blocking(move || drop(old)));
            }
            Err(error) => warn!(%error, "cannot start another client; going on with the old one"),
        }
    }
}
