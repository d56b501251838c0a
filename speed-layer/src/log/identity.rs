//! R7: records belong to a log only if the topic's id, asked *after* they were read, is that log's.
//!
//! librdkafka goes on reading a re-created topic at the old offset, so the id has to be asked for each micro-batch. The
//! question travels while the plan runs, and one answer serves everybody who asked before it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use platform::kafka::{Topic, Topics};
use tokio::sync::{Notify, watch};
use tracing::warn;

/// How long to wait before asking again after an error.
const RETRY: Duration = Duration::from_millis(200);

/// Asks for a topic's id on behalf of many.
#[derive(Debug, Clone)]
pub struct LogCheck {
    asked: Arc<AtomicU64>,
    wake: Arc<Notify>,
    answers: watch::Receiver<(u64, Option<Topic>)>,
}

/// A question that was put after records were read.
#[derive(Debug)]
pub struct Question {
    number: u64,
    answers: watch::Receiver<(u64, Option<Topic>)>,
}

impl LogCheck {
    /// Starts asking for a topic; ends when every clone is gone.
    pub fn start(topics: Topics, topic: String) -> LogCheck {
        let (publish, answers) = watch::channel((0, None));
        let check = LogCheck { asked: Arc::new(AtomicU64::new(0)), wake: Arc::new(Notify::new()), answers };
        let (asked, wake) = (Arc::clone(&check.asked), Arc::clone(&check.wake));
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
                    Ok(now) => {
                        answered = number;
                        publish.send_replace((number, now));
                    }
                    Err(error) => {
                        warn!(topic, %error, "cannot ask kafka for the topic's id; asking again");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        });
        check
    }

    /// Puts a question now.
    pub fn ask(&self) -> Question {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake.notify_one();
        Question { number, answers: self.answers.clone() }
    }
}

impl Question {
    /// Whether the topic exists and is that log, as of some moment after the question was put.
    pub async fn is_still(mut self, log: &str) -> bool {
        match self.answers.wait_for(|(answered, _)| *answered >= self.number).await {
            Ok(answer) => answer.1.as_ref().is_some_and(|topic| topic.log == log),
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_asked_after_the_records_were_read_counts() {
        let (publish, answers) = watch::channel((0, None));
        let ask = |number| Question { number, answers: answers.clone() };
        let topic = |log: &str| Some(Topic { log: log.to_owned(), partitions: 1 });
        publish.send_replace((1, topic("a")));
        assert!(ask(1).is_still("a").await);
        assert!(!ask(1).is_still("b").await, "the topic was created again");
        let answered_later = async {
            tokio::task::yield_now().await;
            publish.send_replace((2, topic("b")));
        };
        let (still, ()) = tokio::join!(ask(2).is_still("a"), answered_later);
        assert!(!still, "an answer from before the question says nothing");
        publish.send_replace((3, None));
        assert!(!ask(3).is_still("b").await, "the topic was deleted");
    }
}
