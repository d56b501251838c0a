//! The topics as Kafka describes them. They are described regularly in the background, so that no request waits for Kafka.
//!
//! A description names the partitions that an answer needs (R9), and limits its `as_of`: records in partitions that were added
//! after it are not known. So its time is taken *before* Kafka is asked. While Kafka does not answer, the last description
//! stays and `as_of` does not advance.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use platform::clock;
use platform::kafka::{Bound, KafkaError, Topic, Topics};
use shared_logic::complete::TopicState;
use tokio::sync::watch;
use tracing::warn;

use crate::last_read::LastRead;

/// Answers questions about topics: Kafka, or a stand-in in tests.
pub trait TopicClient: Send + Sync + 'static {
    /// The topic's log and number of partitions; `None` if there is no such topic.
    fn describe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<Topic>, KafkaError>>;

    /// The first offset that each of those partitions holds.
    fn starts<'a>(
        &'a self,
        topic: &'a str,
        partitions: &'a [i32],
    ) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, KafkaError>>;

    /// The end offsets of those partitions.
    fn ends<'a>(
        &'a self,
        topic: &'a str,
        partitions: &'a [i32],
    ) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, KafkaError>>;
}

impl TopicClient for Topics {
    fn describe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<Topic>, KafkaError>> {
        Box::pin(Topics::describe(self, topic))
    }

    fn starts<'a>(
        &'a self,
        topic: &'a str,
        partitions: &'a [i32],
    ) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, KafkaError>> {
        Box::pin(self.offsets(topic, partitions, Bound::Start))
    }

    fn ends<'a>(
        &'a self,
        topic: &'a str,
        partitions: &'a [i32],
    ) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, KafkaError>> {
        Box::pin(self.offsets(topic, partitions, Bound::End))
    }
}

/// The last description of one topic.
pub(crate) struct TopicWatch {
    topic: String,
    last: watch::Sender<Arc<LastRead<TopicState>>>,
}

impl TopicWatch {
    pub(crate) fn new(topic: &str) -> TopicWatch {
        TopicWatch { topic: topic.to_owned(), last: watch::Sender::default() }
    }

    /// The last description, and why a later one failed.
    pub(crate) fn last(&self) -> Arc<LastRead<TopicState>> {
        Arc::clone(&self.last.borrow())
    }

    /// Waits until Kafka was asked once, with or without an answer.
    pub(crate) async fn tried(&self) {
        // This cannot fail: the sender lives as long as `self`.
        let _ = self.last.subscribe().wait_for(|last| last.is_tried()).await;
    }

    /// Asks Kafka for a new description.
    pub(crate) async fn refresh(&self, topics: &dyn TopicClient) {
        let at_us = clock::now_us();
        let described = topics.describe(&self.topic).await.map(|topic| {
            let log = topic.map(|topic| (topic.log, topic.partitions));
            TopicState { log, at_us }
        });
        let before = self.last();
        if let Err(error) = &described
            && before.error.is_none()
        {
            warn!(topic = self.topic, %error, "cannot describe the topic; the last description stays");
        }
        let last = LastRead::after(Some(&before), described.map_err(|error| error.to_string()));
        self.last.send_replace(Arc::new(last));
    }
}
