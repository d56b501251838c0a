//! What a session has read of one log and not committed yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use platform::kafka::{Consumer, KafkaError, Polled, Record, Topic};
use platform::settings;
use serde::Serialize;
use shared_logic::catalog::Source;
use tracing::warn;

use crate::archive::buffer::Buffer;
use crate::archive_rows::record_rows::Incoming;

/// How many records one call to Kafka may return.
const POLL_RECORDS: usize = 4_096;
/// How long a call to Kafka waits when there is nothing to read.
const POLL_WAIT: Duration = Duration::from_millis(20);

/// The state of a session that reads.
pub(super) struct Reading {
    /// The topic at the start of the session.
    pub(super) topic: Topic,
    /// Where its partitions ended when Kafka was last asked.
    pub(super) ends: BTreeMap<i32, i64>,
    /// When that was.
    pub(super) ends_asked: Instant,
    /// What is not committed yet.
    pub(super) buffer: Buffer,
    /// The partitions whose log does not hold the next offset. If there is one, the session has to end.
    pub(super) out_of_range: BTreeSet<i32>,
    /// When the buffer was first ahead of the archive.
    since: Option<Instant>,
}

impl Reading {
    /// Nothing is read yet. `next` is the archive's next offset of each partition.
    pub(super) fn new(source: &Source, topic: Topic, next: &BTreeMap<i32, i64>, ends: BTreeMap<i32, i64>) -> Reading {
        let buffer = Buffer::new(source, &topic.log, next);
        Reading { topic, ends, ends_asked: Instant::now(), buffer, out_of_range: BTreeSet::new(), since: None }
    }

    /// Reads once into the buffer.
    pub(super) fn poll(&mut self, consumer: &mut Consumer, topic: &str) -> Result<(), KafkaError> {
        let (buffer, out_of_range) = (&mut self.buffer, &mut self.out_of_range);
        consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
            Polled::Record(record) => buffer.push(incoming(&record)),
            Polled::End { partition, offset } => buffer.reach(partition, offset),
            Polled::OutOfRange { partition } => {
                out_of_range.insert(partition);
            }
            Polled::Failed { partition, error } => warn!(topic, ?partition, %error, "kafka reports an error"),
        })?;
        if self.buffer.has_progress() {
            self.since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// The first offset of a partition that was not read.
    pub(super) fn next(&self, partition: i32) -> Option<i64> {
        self.buffer.reached.get(&partition).map(|(_, to)| *to)
    }

    /// Whether the buffer is full, or has waited long enough for more records.
    pub(super) fn is_due(&self, settings: &settings::Archive) -> bool {
        let is_full = self.buffer.rows() >= settings.max_rows || self.buffer.bytes as u64 >= settings.max_bytes.bytes();
        is_full || self.since.is_some_and(|since| since.elapsed() >= settings.linger.get())
    }

    /// Takes everything that was read; the buffer goes on, empty, where it was.
    pub(super) fn take_rows(&mut self, source: &Source) -> Buffer {
        let next = self.buffer.reached.iter().map(|(partition, (_, to))| (*partition, *to)).collect();
        self.since = None;
        std::mem::replace(&mut self.buffer, Buffer::new(source, &self.topic.log, &next))
    }
}

/// The value of a header in the archive's JSON: text, or where it is not UTF-8, `{"hex": …}`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum HeaderValue<'a> {
    Absent(()),
    Text(&'a str),
    Bytes { hex: String },
}

impl<'a> HeaderValue<'a> {
    fn of(value: Option<&'a [u8]>) -> HeaderValue<'a> {
        let Some(bytes) = value else { return HeaderValue::Absent(()) };
        match std::str::from_utf8(bytes) {
            Ok(text) => HeaderValue::Text(text),
            Err(_) => HeaderValue::Bytes { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }
}

fn incoming<'a>(record: &Record<'a>) -> Incoming<'a> {
    let headers: Vec<(&str, HeaderValue<'_>)> =
        record.headers().map(|(name, value)| (name, HeaderValue::of(value))).collect();
    Incoming {
        partition: record.partition,
        offset: record.offset,
        timestamp_us: record.timestamp_ms.map(|ms| ms.saturating_mul(1_000)),
        key: record.key,
        payload: record.payload,
        headers: (!headers.is_empty()).then(|| serde_json::to_string(&headers).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_header_values_survive() {
        let values: [Option<&[u8]>; 4] = [Some(b"caf\xc3\xa9"), Some(&[0xff, 0x0a]), Some(b""), None];
        let written = serde_json::to_string(&values.map(HeaderValue::of)).expect("written");
        assert_eq!(written, r#"["café",{"hex":"ff0a"},"",null]"#);
    }
}
