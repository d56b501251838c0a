//! The topic that every system counts.

use anyhow::Result;
use e2e_tests::kafka::{Producer, Record, create_topic, end_offsets};
use e2e_tests::scenario::now_us;

use super::PARTITIONS;
use super::totals::Totals;
use crate::load::{Events, Keys};

const NAME: &str = "peers-views";
/// A video without views that count.
pub(super) const NO_VIEWS: &str = "v0";
/// What passes from one event to the next: 20,000 of them happen in a second.
const STEP_US: i64 = 50;
const MINUTE_US: i64 = 60_000_000;
/// So long ago happened the last event that counts.
const BEFORE_US: i64 = 10 * MINUTE_US;
/// So much later happens the last event of each partition, which does not count: it closes all windows before.
const LATER_US: i64 = 5 * MINUTE_US;

/// What was sent, and what is true of it.
pub(super) struct Topic {
    pub(super) name: &'static str,
    pub(super) brokers: String,
    /// How many events there are, without the last one of each partition.
    pub(super) events: u64,
    /// The mean size of an event.
    pub(super) bytes: u64,
    /// Where each partition ends.
    pub(super) ends: Vec<i64>,
    /// When everything had arrived, in microseconds since 1970.
    pub(super) arrived_us: i64,
    pub(super) truth: Totals,
}

impl Topic {
    /// Creates and fills it.
    pub(super) async fn fill(brokers: &str, events: u64) -> Result<Topic> {
        create_topic(brokers, NAME, PARTITIONS, &[]).await?;
        let (producer, mut source) = (Producer::new(brokers, NAME)?, Events::new(Keys::Zipf, 1));
        let (mut truth, mut bytes) = (Totals::default(), 0);
        let end_us = now_us() - BEFORE_US;
        let mut at_us = end_us - i64::try_from(events)? * STEP_US;
        for _ in 0..events {
            let record = source.next_at(at_us / 1_000);
            truth.observe(&record.payload)?;
            bytes += record.payload.len() as u64;
            producer.send(&record)?;
            at_us += STEP_US;
        }
        for partition in 0..PARTITIONS {
            let record = closing(partition, (end_us + LATER_US) / 1_000);
            truth.observe(&record.payload)?;
            producer.send(&record)?;
        }
        let arrived_us = producer.flush()?;
        let (ends, brokers) = (end_offsets(brokers, NAME)?, brokers.to_owned());
        let bytes = bytes.checked_div(events).unwrap_or_default();
        eprintln!("   {events} events of {bytes} bytes, {} videos and minutes with views", truth.len());
        Ok(Topic { name: NAME, brokers, events, bytes, ends, arrived_us, truth })
    }

    /// Where all partitions end together.
    pub(super) fn end(&self) -> i64 {
        self.ends.iter().sum()
    }
}

/// The last event of a partition: a view that failed, of a video of which there are no others.
fn closing(partition: i32, at_ms: i64) -> Record {
    let payload = format!(
        r#"{{"event_id":"closing-{partition}","occurred_at":{at_ms},"video_id":"{NO_VIEWS}","user_id":"u0","url":"/watch/{NO_VIEWS}","status":404,"dwell_ms":0}}"#
    );
    Record { key: NO_VIEWS.to_owned(), payload: payload.into_bytes(), partition: Some(partition) }
}
