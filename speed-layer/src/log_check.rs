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
    /// The topic as of some moment after the question was put; `None` if it does not exist.
    pub async fn answer(mut self) -> Option<Topic> {
        match self.answers.wait_for(|(answered, _)| *answered >= self.number).await {
            Ok(answer) => answer.1.clone(),
            Err(_) => None,
        }
    }
}
