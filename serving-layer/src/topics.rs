//! What the topics are right now: asked regularly, so that a request never waits for Kafka.
//!
//! A topic look names the partitions that an answer needs (R9), and dates it: nothing is known of what arrived in
//! partitions that were added after the look. So its time is taken *before* the question, and while Kafka does not answer
//! the old look stays and `as_of` stands still.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use platform::clock;
use platform::kafka::{Bound, KafkaError, Topic, Topics};
use shared_logic::complete::TopicLook;
use tokio::sync::watch;
use tracing::warn;

/// Who can be asked about topics: Kafka, or in tests something that stands in for it.
pub trait TopicClient: Send + Sync + 'static {
    /// The topic's log and number of partitions; nothing if there is no such topic.
    fn describe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<Topic>, KafkaError>>;

    /// Where the given partitions end.
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

    fn ends<'a>(
        &'a self,
        topic: &'a str,
        partitions: &'a [i32],
    ) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, KafkaError>> {
        Box::pin(self.offsets(topic, partitions, Bound::End))
    }
}

/// The newest look at one topic.
pub(crate) struct TopicWatch {
    topic: String,
    known: watch::Sender<Arc<TopicState>>,
}

/// What is known of a topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicState {
    /// The last look that Kafka answered, if there was one.
    pub(crate) last: Option<TopicLook>,
    /// Why the last question was not answered.
    pub(crate) error: Option<String>,
}

impl TopicWatch {
    pub(crate) fn new(topic: &str) -> TopicWatch {
        TopicWatch { topic: topic.to_owned(), known: watch::Sender::default() }
    }

    pub(crate) fn known(&self) -> Arc<TopicState> {
        Arc::clone(&self.known.borrow())
    }

    /// Waits until it was asked once, with or without an answer.
    pub(crate) async fn asked(&self) {
        let asked = |known: &Arc<TopicState>| known.last.is_some() || known.error.is_some();
        // The sender lives as long as this does.
        let _ = self.known.subscribe().wait_for(asked).await;
    }

    /// Asks once.
    pub(crate) async fn ask(&self, topics: &dyn TopicClient) {
        let at_us = clock::now_us();
        let before = self.known();
        let known = match topics.describe(&self.topic).await {
            Ok(topic) => {
                let log = topic.map(|topic| (topic.log, topic.partitions));
                TopicState { last: Some(TopicLook { log, at_us }), error: None }
            }
            Err(error) => {
                if before.error.is_none() {
                    warn!(topic = self.topic, %error, "cannot look at the topic; the last look stays");
                }
                TopicState { last: before.last.clone(), error: Some(error.to_string()) }
            }
        };
        self.known.send_replace(Arc::new(known));
    }
}
