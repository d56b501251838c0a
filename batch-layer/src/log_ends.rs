//! Where topics end, as Kafka says it.

use futures::FutureExt;
use futures::future::BoxFuture;
use platform::kafka::{Bound, KafkaError, Topics};
use platform::settings;

use crate::stream::TopicEnds;

/// Says where topics end.
pub trait LogEnds: Send + Sync {
    /// The id of a topic, and where its partitions end; `None` if there is no such topic.
    fn ends<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<TopicEnds>, KafkaError>>;
}

/// Kafka, which says it.
#[derive(Debug, Clone)]
pub struct KafkaEnds {
    kafka: settings::Kafka,
}

impl KafkaEnds {
    /// Nothing is asked yet.
    pub fn new(kafka: &settings::Kafka) -> KafkaEnds {
        KafkaEnds { kafka: kafka.clone() }
    }

    async fn ask(&self, topic: &str) -> Result<Option<TopicEnds>, KafkaError> {
        let topics = Topics::new(&self.kafka)?;
        let Some(known) = topics.describe(topic).await? else { return Ok(None) };
        let partitions: Vec<i32> = (0..known.partitions).collect();
        let ends = topics.offsets(topic, &partitions, Bound::End).await?;
        Ok(Some(TopicEnds { log: known.log, ends }))
    }
}

impl LogEnds for KafkaEnds {
    fn ends<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<TopicEnds>, KafkaError>> {
        self.ask(topic).boxed()
    }
}
