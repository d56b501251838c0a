//! R7: records belong to a log only if the topic's id, asked for *after* they were read, is that log's.
//!
//! If a topic is created again, librdkafka goes on reading the new one at the old offset. So the id is asked for once per
//! micro-batch, while the plans run. One request answers every question that was put before it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use platform::kafka::{Topic, Topics};
use tokio::sync::{Notify, watch};
use tracing::warn;

/// How long to wait before asking again after an error.
const RETRY: Duration = Duration::from_millis(200);

/// Asks for the id of one topic, for all of its partitions. A clone shares the requests.
#[derive(Debug, Clone)]
pub struct LogIdentity {
    asked: Arc<AtomicU64>,
    wake: Arc<Notify>,
    answers: watch::Receiver<Answer>,
}

/// A question that was put after records were read, and is not answered yet.
#[derive(Debug)]
pub struct PendingIdentity {
    number: u64,
    answers: watch::Receiver<Answer>,
}

/// What Kafka answered last.
#[derive(Debug, Default)]
struct Answer {
    /// The number of the newest question that was put before the request was sent.
    number: u64,
    /// The topic; `None` if it does not exist.
    topic: Option<Topic>,
}

impl LogIdentity {
    /// Starts a task that asks for a topic's id. It ends when every clone and every pending question is gone.
    pub fn start(topics: Topics, topic: String) -> LogIdentity {
        let (publish, answers) = watch::channel(Answer::default());
        let identity = LogIdentity { asked: Arc::new(AtomicU64::new(0)), wake: Arc::new(Notify::new()), answers };
        let (asked, wake) = (Arc::clone(&identity.asked), Arc::clone(&identity.wake));
        tokio::spawn(async move {
            let mut answered = 0;
            while !publish.is_closed() {
                let number = asked.load(Ordering::SeqCst);
                if number == answered {
                    tokio::select! {
                        () = wake.notified() => {}
                        () = publish.closed() => {}
                    }
                    continue;
                }
                match topics.describe(&topic).await {
                    Ok(topic) => {
                        answered = number;
                        publish.send_replace(Answer { number, topic });
                    }
                    Err(error) => {
                        warn!(topic, %error, "cannot ask kafka for the topic's id; asking again");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        });
        identity
    }

    /// Puts a question now.
    pub fn ask(&self) -> PendingIdentity {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake.notify_one();
        PendingIdentity { number, answers: self.answers.clone() }
    }
}

impl PendingIdentity {
    /// Waits for the answer: whether the topic existed and was that log at some moment after the question was put.
    pub async fn is_still(mut self, log: &str) -> bool {
        match self.answers.wait_for(|answer| answer.number >= self.number).await {
            Ok(answer) => answer.topic.as_ref().is_some_and(|topic| topic.log == log),
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_asked_after_the_records_were_read_counts() {
        let (publish, answers) = watch::channel(Answer::default());
        let ask = |number| PendingIdentity { number, answers: answers.clone() };
        let topic = |log: &str| Some(Topic { log: log.to_owned(), partitions: 1, replicas: 1 });
        let say = |number, topic| publish.send_replace(Answer { number, topic });
        say(1, topic("a"));
        assert!(ask(1).is_still("a").await);
        assert!(!ask(1).is_still("b").await, "the topic was created again");
        let answered_later = async {
            tokio::task::yield_now().await;
            say(2, topic("b"));
        };
        let (still, ()) = tokio::join!(ask(2).is_still("a"), answered_later);
        assert!(!still, "an answer from before the question does not count");
        say(3, None);
        assert!(!ask(3).is_still("b").await, "the topic was deleted");
    }
}
