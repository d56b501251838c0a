//! How far the log reaches, asked now and then, so that answers can say as of when they are complete.
//!
//! An answer's `as_of` is the latest moment at which the log's end was asked and is by now at or below the cursor. The
//! clock is read before the question, so the claim holds whatever the question's way took. Ends are asked by the topic's name;
//! which log's they are, only its id tells, asked before and after.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use platform::kafka::{Bound, KafkaError, Topics};
use shared_logic::log::PartitionId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// The ends of some partitions, as of one question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// Whose they are.
    pub log: String,
    /// When they were asked, microseconds since 1970.
    pub asked_us: i64,
    /// By partition, the first offset that was not there yet.
    pub of: BTreeMap<i32, i64>,
}

/// How many unreached ends a lane remembers; more only make `as_of` coarser.
const REMEMBERED: usize = 256;

/// Asks for the ends of the assigned partitions until it is stopped.
pub async fn watch_ends(
    topics: Topics,
    topic: String,
    assigned: watch::Receiver<std::collections::BTreeSet<i32>>,
    every: Duration,
    publish: watch::Sender<Ends>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let partitions: Vec<i32> = assigned.borrow().iter().copied().collect();
        if !partitions.is_empty() {
            match ask(&topics, &topic, &partitions).await {
                Ok(Some(ends)) => drop(publish.send_replace(ends)),
                Ok(None) => debug!(topic, "the topic was created again or deleted while its ends were asked"),
                Err(error) => debug!(topic, %error, "cannot ask for the log's end"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn ask(topics: &Topics, topic: &str, partitions: &[i32]) -> Result<Option<Ends>, KafkaError> {
    let log = async || Ok(topics.describe(topic).await?.map(|topic| topic.log));
    let before = log().await?;
    let asked_us = platform::clock::now_us();
    let of = topics.offsets(topic, partitions, Bound::End).await?;
    let same = log().await?.filter(|after| before.as_ref() == Some(after));
    Ok(same.map(|log| Ends { log, asked_us, of }))
}

/// The ends of one partition that its cursor has not reached yet.
#[derive(Debug)]
pub struct Unreached {
    id: PartitionId,
    ends: watch::Receiver<Ends>,
    waiting: VecDeque<(i64, i64)>,
}

impl Unreached {
    /// Follows the ends of a partition. Those of another log of its topic say nothing.
    pub fn new(id: PartitionId, ends: watch::Receiver<Ends>) -> Unreached {
        Unreached { id, ends, waiting: VecDeque::new() }
    }

    /// The latest moment whose end is at or below the cursor, if there is a new one.
    pub fn as_of(&mut self, cursor: i64) -> Option<i64> {
        if self.ends.has_changed().unwrap_or(false) {
            let ends = self.ends.borrow_and_update();
            if let Some(end) = ends.of.get(&self.id.partition).filter(|_| ends.log == self.id.log) {
                self.waiting.push_back((ends.asked_us, *end));
            }
            if self.waiting.len() > REMEMBERED {
                self.waiting.pop_front();
            }
        }
        let mut reached = None;
        while let Some((asked_us, end)) = self.waiting.front().copied() {
            if end > cursor {
                break;
            }
            reached = Some(asked_us);
            self.waiting.pop_front();
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ends_of_the_same_log_date_an_answer() {
        let (publish, ends) = watch::channel(Ends::default());
        let say = |log: &str, asked_us: i64, end: i64| {
            publish.send_replace(Ends { log: log.to_owned(), asked_us, of: BTreeMap::from([(0, end)]) });
        };
        // The last that was heard of the topic's life before.
        say("a", 1, 1_000);
        let mut unreached = Unreached::new(PartitionId::new("b", 0), ends);
        assert_eq!(unreached.as_of(5), None);
        say("b", 2, 5);
        assert_eq!(unreached.as_of(4), None, "its end is not reached");
        say("b", 3, 7);
        assert_eq!(unreached.as_of(6), Some(2), "the older of two is");
        say("c", 4, 0);
        assert_eq!(unreached.as_of(6), None, "the next life's end says nothing of this one's");
        assert_eq!(unreached.as_of(7), Some(3));
    }
}
