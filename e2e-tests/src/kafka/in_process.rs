//! librdkafka's in-process broker. A thread of its own holds it, because it may not change threads.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context, Result};
use rdkafka::mocking::MockCluster;

/// A running in-process cluster.
pub(super) struct InProcess {
    brokers: String,
    topics: Mutex<Sender<NewTopic>>,
}

struct NewTopic {
    name: String,
    partitions: i32,
    created: Sender<Result<()>>,
}

impl InProcess {
    pub(super) fn start() -> Result<InProcess> {
        let (topics, wanted) = channel::<NewTopic>();
        let (started, brokers) = channel();
        std::thread::spawn(move || match MockCluster::new(1) {
            Ok(cluster) => {
                let _ = started.send(Ok(cluster.bootstrap_servers()));
                // Ends, and the cluster with it, when the other side of the channel is dropped.
                for NewTopic { name, partitions, created } in wanted {
                    let _ = created.send(cluster.create_topic(&name, partitions, 1).map_err(Into::into));
                }
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        });
        let brokers = brokers.recv().context("the in-process broker's thread is gone")??;
        Ok(InProcess { brokers, topics: Mutex::new(topics) })
    }

    pub(super) fn brokers(&self) -> &str {
        &self.brokers
    }

    pub(super) fn create_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        let (created, answer) = channel();
        let topics = self.topics.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        topics.send(NewTopic { name: topic.to_owned(), partitions, created }).ok().context("the cluster is gone")?;
        answer.recv().context("the in-process broker's thread is gone")?
    }
}
