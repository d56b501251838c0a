//! Bounded ranges of a log, of all partitions at once.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use platform::kafka::KafkaError;
use platform::task;

use super::access::Access;
use super::log_client::{LogClient, LogRecord, Told};

/// How long a look at a client's queue waits for something to arrive.
const POLL_WAIT: Duration = Duration::from_millis(50);
const READ: &str = "read the committed records of";

/// How far a read has come.
#[derive(Debug)]
pub(super) struct Reached<T> {
    /// What was made of the records.
    pub(super) made: T,
    /// By partition: every record below it was visited.
    pub(super) offsets: BTreeMap<i32, i64>,
    /// Whether the log did not hold where a range begins.
    pub(super) is_out_of_range: bool,
}

/// Visits the committed records of ranges of a topic's partitions, until one says that it is enough. Records of a partition come in
/// their order. The end of a range is at most what Kafka gave as the partition's end.
///
/// # Errors
/// If Kafka tells nothing for `kafka.stalled_after`, or no client can be started. If this is cancelled, the reading ends soon.
pub(super) async fn read<T: Send + 'static>(
    access: &Access,
    topic: &str,
    ranges: BTreeMap<i32, Range<i64>>,
    made: T,
    visit: impl FnMut(&mut T, LogRecord<'_>) -> ControlFlow<()> + Send + 'static,
) -> Result<Reached<T>, KafkaError> {
    if ranges.values().all(Range::is_empty) {
        let offsets = ranges.iter().map(|(partition, range)| (*partition, range.start)).collect();
        return Ok(Reached { made, offsets, is_out_of_range: false });
    }
    // Never closed.
    let _place = access.log_reads.acquire().await;
    let stop = StopOnDrop::default();
    let (logs, topic, within) = (Arc::clone(&access.logs), topic.to_owned(), access.silence);
    let is_stopped = Arc::clone(&stop.0);
    task::blocking(move || {
        let reading = Reading { topic: &topic, ranges: &ranges, within, is_stopped: &is_stopped };
        reading.read(logs.as_ref(), made, visit)
    })
    .await
}

/// Tells a thread that nobody waits for it any more.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Reading<'a> {
    topic: &'a str,
    ranges: &'a BTreeMap<i32, Range<i64>>,
    within: Duration,
    is_stopped: &'a AtomicBool,
}

impl Reading<'_> {
    fn read<T>(
        &self,
        logs: &dyn LogClient,
        mut made: T,
        mut visit: impl FnMut(&mut T, LogRecord<'_>) -> ControlFlow<()>,
    ) -> Result<Reached<T>, KafkaError> {
        let from: BTreeMap<i32, i64> = self.ranges.iter().map(|(partition, range)| (*partition, range.start)).collect();
        let mut follower = logs.follow(self.topic, &from)?;
        let (mut offsets, mut heard) = (from, Instant::now());
        let (mut is_enough, mut is_out_of_range, mut failed) = (false, false, None);
        while !is_enough && !self.is_stopped.load(Ordering::Relaxed) && self.is_behind(&offsets) {
            let mut is_silent = true;
            follower.poll(POLL_WAIT, &mut |told: Told<'_>| {
                is_silent = false;
                if is_enough {
                    return;
                }
                match told {
                    Told::Record(record) => {
                        let Some(range) = self.ranges.get(&record.partition) else { return };
                        offsets.insert(record.partition, range.end.min(record.offset + 1));
                        if record.offset < range.end {
                            is_enough = visit(&mut made, record).is_break();
                        }
                    }
                    // It also lies behind markers, which are no records.
                    Told::End { partition, offset } => {
                        let Some(range) = self.ranges.get(&partition) else { return };
                        let reached = offsets.entry(partition).or_insert(range.start);
                        *reached = range.end.min(offset).max(*reached);
                    }
                    Told::OutOfRange { .. } => (is_enough, is_out_of_range) = (true, true),
                    Told::Failed(error) => (is_enough, failed) = (true, Some(error)),
                }
            })?;
            if !is_silent {
                heard = Instant::now();
            } else if heard.elapsed() > self.within {
                let (topic, within) = (self.topic.to_owned(), self.within);
                return Err(KafkaError::Timeout { operation: READ, topic, within });
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(Reached { made, offsets, is_out_of_range }),
        }
    }

    fn is_behind(&self, offsets: &BTreeMap<i32, i64>) -> bool {
        self.ranges.iter().any(|(partition, range)| offsets.get(partition).is_none_or(|reached| *reached < range.end))
    }
}
