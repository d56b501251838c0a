//! Reads the newest records of a topic. It belongs to no group and commits nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use input::rows::Line;
use platform::kafka::{Bound, Consumer, Polled, Topics};
use platform::settings;

/// How long the records may take to arrive.
const READ_WITHIN: Duration = Duration::from_secs(60);
const POLL_WITHIN: Duration = Duration::from_millis(200);
const POLL_RECORDS: usize = 1_000;

/// The newest records of every partition, at most so many and so many bytes, with their timestamps in microseconds since 1970;
/// `now_us` for those without one. Records without a payload are left out.
///
/// # Errors
/// If there is no such topic, it is empty, or its records do not arrive.
pub(super) async fn newest(
    kafka: &settings::Kafka,
    topic: &str,
    records_max: usize,
    bytes_max: usize,
    now_us: i64,
) -> Result<Vec<(Line, i64)>> {
    let topics = Topics::new(kafka)?;
    let found =
        topics.describe(topic).await.with_context(|| format!("cannot ask {} for topic {topic}", kafka.brokers))?;
    let Some(found) = found else { bail!("there is no topic {topic} at {}", kafka.brokers) };
    let partitions: Vec<i32> = (0..found.partitions).collect();
    let starts = topics.offsets(topic, &partitions, Bound::Start).await?;
    let ends = topics.offsets(topic, &partitions, Bound::End).await?;
    let share = i64::try_from(records_max / partitions.len().max(1)).unwrap_or(i64::MAX).max(1);
    let begin = |(partition, end): (&i32, &i64)| {
        let start = starts.get(partition).copied().unwrap_or_default();
        (start < *end).then(|| (*partition, start.max(end.saturating_sub(share))))
    };
    let begins: BTreeMap<i32, i64> = ends.iter().filter_map(begin).collect();
    ensure!(!begins.is_empty(), "topic {topic} at {} is empty", kafka.brokers);
    let consumer = Consumer::new(kafka, topic)?;
    let reading = Reading { consumer, ends, records: Vec::new(), bytes: 0, now_us };
    let work = move || reading.read(&begins, bytes_max);
    tokio::task::spawn_blocking(work).await.context("the thread that reads has ended")?
}

/// Records that are being read.
struct Reading {
    consumer: Consumer,
    /// By partition, the first offset that is not read.
    ends: BTreeMap<i32, i64>,
    records: Vec<(Line, i64)>,
    bytes: usize,
    now_us: i64,
}

impl Reading {
    fn read(mut self, begins: &BTreeMap<i32, i64>, bytes_max: usize) -> Result<Vec<(Line, i64)>> {
        self.consumer.assign(begins)?;
        let mut open: BTreeSet<i32> = begins.keys().copied().collect();
        let began = Instant::now();
        while !open.is_empty() && self.bytes < bytes_max {
            let seconds = READ_WITHIN.as_secs();
            ensure!(
                began.elapsed() < READ_WITHIN,
                "no more than {} records arrived in {seconds} s",
                self.records.len()
            );
            self.poll(&mut open)?;
        }
        Ok(self.records)
    }

    /// Takes what has arrived. Partitions that are read to their end are no longer `open`.
    fn poll(&mut self, open: &mut BTreeSet<i32>) -> Result<()> {
        let Reading { consumer, ends, records, bytes, now_us } = self;
        let mut failure = None;
        consumer.poll(POLL_WITHIN, POLL_RECORDS, |polled| match polled {
            Polled::Record(record) => {
                if let Some(payload) = record.payload {
                    *bytes += payload.len();
                    let sent_us = record.timestamp_ms.map_or(*now_us, |ms| ms.saturating_mul(1_000));
                    records.push((Line { number: records.len() + 1, text: payload.to_vec() }, sent_us));
                }
                if ends.get(&record.partition).is_none_or(|end| record.offset + 1 >= *end) {
                    open.remove(&record.partition);
                }
            }
            Polled::End { partition, .. } | Polled::OutOfRange { partition } => {
                open.remove(&partition);
            }
            Polled::Failed { error, .. } if error.is_transient() => {}
            Polled::Failed { error, .. } => failure = Some(error),
        })?;
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}
