//! One partition that is being read: its records become the micro-batches of one counting loop.

use std::time::{Duration, Instant};

use metrics::counter;
use platform::kafka::Record;
use platform::settings::Speed;
use shared_logic::catalog::Source;
use shared_logic::decode::{Decoder, Event};
use shared_logic::dedup::RecentIdentities;
use tokio::sync::mpsc;
use tracing::error;

use super::Start;
use super::micro_batch::{MicroBatch, MicroBatchBuilder};

/// One partition that is being read.
pub(super) struct Partition {
    window: RecentIdentities,
    cursor: i64,
    /// The next offset to read.
    next: i64,
    builder: MicroBatchBuilder,
    batches: mpsc::Sender<MicroBatch>,
    /// When the last micro-batch was sent, so that an idle partition sends an empty one now and then.
    sent: Instant,
    failed: bool,
}

impl Partition {
    pub(super) fn new(source: &Source, wanted: &[String], start: Start) -> Partition {
        Partition {
            window: RecentIdentities::new(source.dedup_window),
            cursor: start.cursor,
            next: start.warm_from,
            builder: MicroBatchBuilder::new(source, wanted, start.cursor),
            batches: start.batches,
            sent: Instant::now(),
            failed: false,
        }
    }

    /// Takes one record: into the window if it lies before the cursor, else into the micro-batch.
    pub(super) fn take(&mut self, record: &Record<'_>, decoder: &mut Decoder) {
        if record.offset < self.next {
            return;
        }
        self.next = record.offset + 1;
        let event = decoder.decode(record.payload, record.timestamp_ms.map(|ms| ms.saturating_mul(1_000)));
        let duplicate = |window: &mut RecentIdentities, event: &Event<'_>| {
            event.identity().is_some_and(|identity| window.is_duplicate(identity, record.offset))
        };
        if record.offset < self.cursor {
            if let Ok(event) = event {
                duplicate(&mut self.window, &event);
            }
            return;
        }
        let columns = self.builder.record(record.offset, record.payload.map_or(0, <[u8]>::len));
        match event {
            Ok(event) if duplicate(&mut self.window, &event) => counter!("braid_speed_duplicates_total").increment(1),
            Ok(event) => columns.push(&event),
            Err(rejected) => {
                counter!("braid_speed_rejected_total", "reason" => rejected.reason.name()).increment(1);
            }
        }
    }

    /// Whether the micro-batch has reached its bound.
    pub(super) fn is_full(&self, settings: &Speed) -> bool {
        self.builder.records() >= settings.max_rows || self.builder.bytes() as u64 >= settings.max_bytes.bytes()
    }

    /// Notes that everything before the offset was read.
    pub(super) fn reach(&mut self, offset: i64) {
        if offset >= self.cursor {
            self.builder.reach(offset);
            self.next = self.next.max(offset);
        }
    }

    /// Seals what is old enough, if the counting loop is free. An idle loop gets an empty micro-batch.
    pub(super) fn hand_on(&mut self, source: &Source, linger: Duration, idle: Duration) {
        let opened = self.builder.opened();
        let is_old = opened.is_some_and(|opened| opened.elapsed() >= linger);
        let is_idle = self.next >= self.cursor && self.sent.elapsed() >= idle;
        let has_moved = self.builder.moves() && self.sent.elapsed() >= linger && opened.is_none();
        if (is_old || is_idle || has_moved) && self.batches.capacity() > 0 {
            self.send(source);
        }
    }

    /// Seals and sends what is there, and waits while the counting loop is busy. If the loop has ended, the partition is
    /// removed with the next assignments.
    pub(super) fn send(&mut self, source: &Source) {
        self.sent = Instant::now();
        match self.builder.seal(source) {
            Ok(batch) => self.failed |= self.batches.blocking_send(batch).is_err(),
            Err(error) => {
                error!(topic = source.topic, %error, "cannot make columns of decoded events");
                self.failed = true;
            }
        }
    }

    /// The next offset to read.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Ends it: the counting loop sees its channel closed, and starts again from the shard.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether it failed, or its counting loop has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.failed || self.batches.is_closed()
    }
}
