//! How far the log reaches, asked now and then, so that answers can say as of when they are complete, and the reading thread
//! knows that more is due.
//!
//! An answer's `as_of` is the latest moment at which the log's end was asked for and that the cursor has reached by
//! now. The clock is read before the request, so network delay cannot make `as_of` too recent. Ends are asked for by
//! the topic's name. The topic's id, asked for before and after, says to which log they belong; a counting loop ignores
//! those of any other log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use platform::kafka::{Bound, KafkaError, Topics};
use shared_logic::log::PartitionId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// The ends of some partitions, from one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// The log to which they belong.
    pub log: String,
    /// When they were asked for, in microseconds since 1970.
    pub asked_us: i64,
    /// When they were asked for.
    pub asked: Option<Instant>,
    /// When the reply arrived. It is used for `as_of` only with micro-batches that were sealed afterwards (R12).
    pub received: Option<Instant>,
    /// By partition, the first offset that did not exist yet.
    pub of: BTreeMap<i32, i64>,
}

/// How many ends a counting loop remembers. With a smaller number, `as_of` would only be coarser.
const REMEMBERED: usize = 256;

/// Asks for the ends of the assigned partitions, until `stop`.
pub async fn watch_ends(
    topics: Topics,
    topic: String,
    assigned: watch::Receiver<BTreeSet<i32>>,
    every: Duration,
    publish: watch::Sender<Ends>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let partitions: Vec<i32> = assigned.borrow().iter().copied().collect();
        if !partitions.is_empty() {
            match ask(&topics, &topic, &partitions).await {
                Ok(Some(ends)) => drop(publish.send_replace(ends)),
                Ok(None) => debug!(topic, "the topic was deleted or created again while its ends were asked for"),
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
    let (asked_us, asked) = (platform::clock::now_us(), Some(Instant::now()));
    let of = topics.offsets(topic, partitions, Bound::End).await?;
    let same = log().await?.filter(|after| before.as_ref() == Some(after));
    Ok(same.map(|log| Ends { log, asked_us, asked, received: Some(Instant::now()), of }))
}

/// The ends of one partition that its cursor has not reached yet.
#[derive(Debug)]
pub struct PendingEnds {
    id: PartitionId,
    ends: watch::Receiver<Ends>,
    pending: VecDeque<PendingEnd>,
    /// When micro-batches were sealed, and up to where: so far the log reached by then.
    reached: VecDeque<(Instant, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct PendingEnd {
    asked_us: i64,
    received: Option<Instant>,
    end: i64,
}

impl PendingEnds {
    /// Follows the ends of a partition. Those of another log of its topic are ignored.
    pub fn new(id: PartitionId, ends: watch::Receiver<Ends>) -> PendingEnds {
        PendingEnds { id, ends, pending: VecDeque::new(), reached: VecDeque::new() }
    }

    /// The latest moment whose end is at or below the cursor, if it was not returned before, for a micro-batch that was
    /// sealed at that time. An end that arrived later may belong to an older copy of the log, and so does one that lies below what
    /// had been read before it was asked for (R12).
    pub fn as_of(&mut self, cursor: i64, sealed: Instant) -> Option<i64> {
        if self.ends.has_changed().unwrap_or(false) {
            let ends = self.ends.borrow_and_update();
            if let Some(end) = ends.of.get(&self.id.partition).filter(|_| ends.log == self.id.topic()) {
                let Ends { asked_us, asked, received, .. } = *ends;
                let before = self.reached.iter().rev().find(|(sealed, _)| asked.is_none_or(|asked| *sealed <= asked));
                if before.is_none_or(|(_, reached)| reached <= end) {
                    self.pending.push_back(PendingEnd { asked_us, received, end: *end });
                }
            }
            if self.pending.len() > REMEMBERED {
                self.pending.pop_front();
            }
        }
        self.reached.push_back((sealed, cursor));
        if self.reached.len() > REMEMBERED {
            self.reached.pop_front();
        }
        let mut reached = None;
        let dates = |end: &PendingEnd| end.end <= cursor && end.received.is_none_or(|received| received <= sealed);
        while let Some(first) = self.pending.front().copied().filter(dates) {
            reached = Some(first.asked_us);
            self.pending.pop_front();
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
            let now = Some(Instant::now());
            let of = BTreeMap::from([(0, end)]);
            publish.send_replace(Ends { log: log.to_owned(), asked_us, asked: now, received: now, of });
        };
        let early = Instant::now();
        // The last known end of the topic's previous log.
        say("a", 1, 1_000);
        let mut pending = PendingEnds::new(PartitionId::new("b", 0), ends);
        assert_eq!(pending.as_of(5, Instant::now()), None);
        say("b", 2, 5);
        assert_eq!(pending.as_of(4, Instant::now()), None, "its end is not reached");
        say("b", 3, 7);
        assert_eq!(pending.as_of(6, early), None, "what was read before the end was known is not dated by it");
        assert_eq!(pending.as_of(6, Instant::now()), Some(2), "the older of two is");
        say("c", 4, 0);
        assert_eq!(pending.as_of(6, Instant::now()), None, "the end of the topic's next log is ignored");
        assert_eq!(pending.as_of(7, Instant::now()), Some(3));
        say("b", 5, 6);
        assert_eq!(
            pending.as_of(7, Instant::now()),
            None,
            "it lies below what was read before: an older copy of the log"
        );
        say("b", 6, 7);
        assert_eq!(pending.as_of(7, Instant::now()), Some(6));
    }
}
