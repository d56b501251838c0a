//! How far the log reaches, asked now and then, so that answers can say as of when they are complete.
//!
//! An answer's `as_of` is the latest moment at which the log's end was asked and is by now at or below the cursor. The
//! clock is read before the question, so the claim holds whatever the question's way took.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use platform::kafka::{Bound, Topics};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// When the ends were asked (microseconds since 1970), and the end of each partition.
pub type Ends = (i64, BTreeMap<i32, i64>);

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
            let asked_us = platform::clock::now_us();
            match topics.offsets(&topic, &partitions, Bound::End).await {
                Ok(ends) => {
                    publish.send_replace((asked_us, ends));
                }
                Err(error) => debug!(topic, %error, "cannot ask for the log's end"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The ends of one partition that its cursor has not reached yet.
#[derive(Debug)]
pub struct Unreached {
    partition: i32,
    ends: watch::Receiver<Ends>,
    waiting: VecDeque<(i64, i64)>,
}

impl Unreached {
    /// Follows the ends of a partition.
    pub fn new(partition: i32, ends: watch::Receiver<Ends>) -> Unreached {
        Unreached { partition, ends, waiting: VecDeque::new() }
    }

    /// The latest moment whose end is at or below the cursor, if there is a new one.
    pub fn as_of(&mut self, cursor: i64) -> Option<i64> {
        if self.ends.has_changed().unwrap_or(false) {
            let (asked_us, ends) = self.ends.borrow_and_update().clone();
            if let Some(end) = ends.get(&self.partition) {
                self.waiting.push_back((asked_us, *end));
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
