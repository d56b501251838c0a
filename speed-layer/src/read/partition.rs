//! One partition that is being read: its records become the micro-batches of one counting loop.
//!
//! Before anything that counts is handed on, the log is compared with the positions that the loop continues from (R12): reading
//! starts at the last record that was read before. Where another record lies there, the loop is told, and no micro-batch is
//! handed on.
//!
//! What the loop does not take at once is held back here: what is left of a poll, and no more. Meanwhile the partition is paused.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use metrics::counter;
use platform::kafka::Record;
use platform::settings::Speed;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::headers_text;
use shared_logic::decode::{Change, Decoder, Event};
use shared_logic::format::SchemaId;
use shared_logic::log::{Check, Content, Outcome, Witness};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::Start;
use super::micro_batch::{Handed, MicroBatchBuilder, Shape};
use super::patience::Patience;

/// How long the records of one fetch may take to come, poll by poll.
const SAME_FETCH: Duration = Duration::from_millis(5);

/// What a record is.
enum Read<'a> {
    /// An event.
    Event(Event<'a>),
    /// Where a table is read, a change of it.
    Change(Change<'a>),
}

/// One partition that is being read.
pub(super) struct Partition {
    cursor: i64,
    /// The first offset that warms the loop's window.
    warm_from: i64,
    /// The next offset to read, once the archive's position fits.
    next: i64,
    /// The archive's position, where it lies ahead; it is compared first.
    ahead: Option<Check>,
    /// The cursor's own position.
    check: Option<Check>,
    /// Whether reading has to start anew at `next`, because the archive's position fitted, or a schema was learned.
    moves: bool,
    /// Whether the record at `next` names a schema that the decoder lacks. Until it is learned, nothing more is taken.
    waits: bool,
    /// Tells the loop where the log differs.
    truncated: Option<oneshot::Sender<i64>>,
    /// The last record at or above the cursor.
    last: Option<i64>,
    /// The witness that was made last; at first that of the cursor.
    witness: Option<Witness>,
    /// Where a micro-batch ends in any case.
    seal_at: Option<i64>,
    builder: MicroBatchBuilder,
    to_loop: mpsc::Sender<Handed>,
    /// What the loop has not taken yet, in order.
    held: VecDeque<Handed>,
    /// Since when nothing is fetched, as the loop is behind.
    paused: Option<Instant>,
    /// How long the loop is still waited for while others starve.
    patience: Patience,
    /// When the last micro-batch was sent, so that an idle partition sends an empty one now and then.
    sent: Instant,
    /// Up to where the log reached when Kafka was asked last; 0 before that.
    end: i64,
    failed: bool,
}

impl Partition {
    pub(super) fn new(source: &Source, shape: &Shape, start: Start) -> Partition {
        let begins_at = start.check.as_ref().map_or(start.warm_from, Check::begins_at);
        Partition {
            cursor: start.cursor,
            warm_from: start.warm_from,
            next: start.warm_from.min(begins_at),
            ahead: start.ahead,
            check: start.check,
            moves: false,
            waits: false,
            truncated: Some(start.truncated),
            last: None,
            witness: start.witness,
            seal_at: start.seal_at,
            builder: MicroBatchBuilder::new(source, shape, start.cursor),
            to_loop: start.to_loop,
            held: VecDeque::new(),
            paused: None,
            patience: Patience::full(),
            sent: Instant::now(),
            end: 0,
            failed: false,
        }
    }

    /// Takes one record: for the loop's window if it lies before the cursor, else into the micro-batch. A record whose schema the
    /// decoder lacks is not taken, and neither are those behind it; returns that schema.
    pub(super) fn take(&mut self, record: &Record<'_>, decoder: &mut Decoder, source: &Source) -> Option<SchemaId> {
        if self.waits || !self.fits_so_far(record) || record.offset < self.next {
            return None;
        }
        let missing = decoder.missing_schema(record.payload);
        if missing.is_some() {
            self.waits = true;
            return missing;
        }
        self.next = record.offset + 1;
        let time_us = record.timestamp_ms.map(|ms| ms.saturating_mul(1_000));
        let read = if self.builder.is_of_table() {
            decoder.change(record.key, record.payload, time_us).map(Read::Change)
        } else {
            decoder.decode_keyed(record.key, record.payload, time_us).map(Read::Event)
        };
        if record.offset < self.cursor {
            if let Ok(Read::Event(event)) = read
                && record.offset >= self.warm_from
                && let Some(portion) = self.builder.warm(&event, record.offset)
            {
                self.hand(Handed::Warming(portion));
            }
            return None;
        }
        self.seal_before(record.offset, source);
        self.last = Some(record.offset);
        self.builder.record(record.offset, record.payload.map_or(0, <[u8]>::len));
        match read {
            Ok(Read::Change(change)) => self.builder.change(record, change),
            Ok(Read::Event(event)) => {
                self.builder.event(&event, record.offset);
                self.builder.lane_event(record);
            }
            Err(rejected) if rejected.reason.is_reject() => {
                counter!("braid_speed_rejected_total", "reason" => rejected.reason.name()).increment(1);
            }
            // A mark of a stream.
            Err(_) => self.builder.lane_mark(record),
        }
        None
    }

    /// Ends a micro-batch where one has to end, if everything before that was read.
    fn seal_before(&mut self, offset: i64, source: &Source) {
        if let Some(at) = self.seal_at.take_if(|at| *at <= offset) {
            self.builder.reach(at);
            self.send(source);
        }
    }

    /// Goes on behind the last record that was taken, once the schema is learned that it waited for.
    pub(super) fn go_on(&mut self) {
        self.moves |= std::mem::take(&mut self.waits);
    }

    /// R12: compares the record with the positions that are not compared yet. Returns whether it may be taken.
    fn fits_so_far(&mut self, record: &Record<'_>) -> bool {
        if self.failed || self.moves {
            return false;
        }
        if let Some(check) = self.ahead.as_mut().or(self.check.as_mut())
            && record.offset >= check.begins_at()
        {
            let outcome = check.record(&witness_of(record));
            self.checked(outcome);
        }
        !self.failed && !self.moves && self.ahead.is_none()
    }

    fn checked(&mut self, outcome: Option<Outcome>) {
        match outcome {
            None => {}
            Some(Outcome::Fits) if self.ahead.is_some() => {
                self.ahead = None;
                self.moves = true;
            }
            Some(Outcome::Fits) => self.check = None,
            Some(Outcome::Differs(at)) => {
                self.failed = true;
                if let Some(truncated) = self.truncated.take() {
                    // An error means that the loop has ended.
                    let _ = truncated.send(at);
                }
            }
        }
    }

    fn is_checked(&self) -> bool {
        self.ahead.is_none() && self.check.is_none() && !self.moves && !self.failed
    }

    /// Whether reading has to start anew at [`Partition::next`]; asked once.
    pub(super) fn moves(&mut self) -> bool {
        std::mem::take(&mut self.moves)
    }

    /// Makes the witness of a record that was taken: the last one of a poll, of a micro-batch, or before a mark; or any, if the
    /// next one may have to wait.
    pub(super) fn note_witness(&mut self, record: &Record<'_>) {
        if self.last == Some(record.offset) {
            self.witness = Some(witness_of(record));
            if self.is_at_mark() {
                self.builder.mark(self.witness);
            }
        }
    }

    /// Whether the micro-batch should have a mark after the record that was taken last.
    pub(super) fn is_at_mark(&self) -> bool {
        self.builder.is_at_mark()
    }

    /// Whether the micro-batch has reached its bound.
    pub(super) fn is_full(&self, settings: &Speed) -> bool {
        self.builder.records() >= settings.max_rows || self.builder.bytes() as u64 >= settings.max_bytes.bytes()
    }

    /// Notes that everything before the offset was read, where the log ends.
    pub(super) fn reach(&mut self, offset: i64, source: &Source) {
        if self.failed || self.moves || self.waits {
            return;
        }
        if let Some(check) = self.ahead.as_ref().or(self.check.as_ref()) {
            let outcome = check.end(offset);
            self.checked(outcome);
        }
        if self.is_checked() && offset >= self.cursor {
            self.seal_before(offset, source);
            self.builder.reach(offset);
            self.next = self.next.max(offset);
        }
    }

    /// Notes up to where the log reached when Kafka was asked.
    pub(super) fn note_end(&mut self, end: i64) {
        self.end = end;
    }

    /// Seals what is old enough, if the counting loop is free. An idle loop gets an empty micro-batch.
    ///
    /// What is counted comes at most once in `speed.linger`, and then soon: Kafka has gathered its records for that long. What lanes read
    /// waits for as long as its own linger.
    ///
    /// A micro-batch that the log is known to fill may become older: the more records it has, the more of them share a counter,
    /// and what is that far behind its log is not fresh anyway.
    pub(super) fn hand_on(&mut self, source: &Source, settings: &Speed) {
        if !self.is_checked() {
            return;
        }
        let (linger, idle) = (settings.linger.get(), settings.idle_apply.get());
        let opened = self.builder.opened();
        let will_be_full = self.builder.will_be_full(self.end, settings.max_rows);
        let is_next = !self.builder.is_counted() || self.sent.elapsed() >= linger;
        let gathers = if self.builder.is_counted() { linger.min(SAME_FETCH) } else { linger };
        let is_old = opened.is_some_and(|opened| opened.elapsed() >= gathers) && is_next && !will_be_full;
        let is_idle = self.next >= self.cursor && self.sent.elapsed() >= idle;
        let has_moved = self.builder.moves() && self.sent.elapsed() >= linger && opened.is_none();
        if (is_old || is_idle || has_moved) && self.held.is_empty() && self.to_loop.capacity() > 0 {
            self.send(source);
        }
    }

    /// Seals and sends what is there. As long as the loop is busy, it is held back.
    pub(super) fn send(&mut self, source: &Source) {
        self.sent = Instant::now();
        let is_known = |witness: &Witness| self.last.is_none_or(|last| last == witness.offset);
        match self.builder.seal(source, self.witness.filter(is_known)) {
            Ok(batch) => self.hand(Handed::MicroBatch(batch)),
            Err(error) => {
                error!(topic = source.topic, %error, "cannot make columns of decoded events");
                self.failed = true;
            }
        }
    }

    fn hand(&mut self, handed: Handed) {
        self.held.push_back(handed);
        self.hand_over();
    }

    /// Hands over what is held back, as far as the loop takes it. If the loop has ended, the partition is removed with the next
    /// assignments.
    pub(super) fn hand_over(&mut self) {
        while let Some(handed) = self.held.pop_front() {
            match self.to_loop.try_send(handed) {
                Ok(()) => {}
                Err(TrySendError::Full(handed)) => {
                    self.held.push_front(handed);
                    return;
                }
                Err(TrySendError::Closed(_)) => {
                    self.failed = true;
                    self.held.clear();
                }
            }
        }
    }

    /// Whether something is held back although the partition is still read.
    pub(super) fn is_ahead(&self) -> bool {
        !self.held.is_empty() && self.paused.is_none() && !self.failed
    }

    /// Whether its loop has nothing to take, although the log is known to hold more.
    pub(super) fn is_starving(&self) -> bool {
        let has_nothing = self.held.is_empty() && self.to_loop.capacity() == self.to_loop.max_capacity();
        has_nothing && self.next < self.end && !self.is_paused() && !self.waits && !self.has_ended()
    }

    /// Notes that time has passed; if loops were waited for meanwhile, and others starved, `is_at_cost`.
    pub(super) fn pass(&mut self, time: Duration, is_at_cost: bool) {
        if is_at_cost && self.is_ahead() { self.patience.wait(time) } else { self.patience.rest(time) }
    }

    /// Whether its loop is not waited for while others starve.
    pub(super) fn is_too_slow(&self) -> bool {
        self.is_ahead() && self.patience.is_used_up()
    }

    /// Notes that nothing is fetched from now on.
    pub(super) fn pause(&mut self) {
        self.paused.get_or_insert_with(Instant::now);
    }

    /// Whether nothing is fetched.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Whether the partition is paused, and the loop has taken half of what its queue holds, so that it is worth to fetch again.
    pub(super) fn is_behind(&self) -> bool {
        let takes = self.held.is_empty() && 2 * self.to_loop.capacity() >= self.to_loop.max_capacity();
        self.is_paused() && takes && !self.failed
    }

    /// Notes that it is fetched again. R12: after a longer pause than `most`, the loop has to start again and to compare the log, since
    /// a connection may have broken unnoticed on which nothing was fetched.
    pub(super) fn resume(&mut self, most: Duration) {
        self.failed |= self.paused.take().is_some_and(|since| since.elapsed() >= most);
    }

    /// The next offset to read.
    pub(super) fn next(&self) -> i64 {
        self.ahead.as_ref().map_or(self.next, Check::begins_at)
    }

    /// Ends it: the counting loop sees its channel closed, and starts again from the shard.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether it failed, or its counting loop has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.failed || self.to_loop.is_closed()
    }
}

fn witness_of(record: &Record<'_>) -> Witness {
    let headers = headers_text(record.headers());
    let content = Content {
        timestamp_us: record.timestamp_ms.map(|ms| ms.saturating_mul(1_000)),
        key: record.key,
        payload: record.payload,
        headers: headers.as_deref(),
    };
    Witness::of(record.offset, record.epoch(), &content)
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;
    use test_kit::catalogs::TINY;

    use super::*;

    /// A partition whose loop has room for two micro-batches, and its loop.
    fn partition() -> (Source, Partition, mpsc::Receiver<Handed>) {
        let source = Catalog::parse(TINY).expect("a valid catalog").sources["s"].clone();
        let shape = Shape { wanted: vec!["at".to_owned()], mark_every: 1_000, lane: None, is_of_table: false };
        let (to_loop, handed) = mpsc::channel(2);
        let (truncated, _) = oneshot::channel();
        let (witness, ahead, check, seal_at) = (None, None, None, None);
        let start = Start { partition: 0, warm_from: 0, cursor: 0, witness, ahead, check, seal_at, truncated, to_loop };
        let partition = Partition::new(&source, &shape, start);
        (source, partition, handed)
    }

    fn send(source: &Source, partition: &mut Partition, to: i64) {
        partition.reach(to, source);
        partition.send(source);
    }

    /// Where the next micro-batch begins.
    fn next(handed: &mut mpsc::Receiver<Handed>) -> Option<i64> {
        match handed.try_recv().ok()? {
            Handed::MicroBatch(batch) => Some(batch.from),
            Handed::Warming(_) => None,
        }
    }

    #[test]
    fn what_a_loop_does_not_take_is_held_back_in_order() {
        let (source, mut partition, mut handed) = partition();
        (1..=5).for_each(|at| send(&source, &mut partition, at * 10));
        assert!(partition.is_ahead(), "nobody waits for the loop");
        partition.pause();
        assert!(partition.is_paused() && !partition.is_ahead() && !partition.is_behind());
        let mut begins = Vec::new();
        while let Some(begin) = next(&mut handed) {
            begins.push(begin);
            partition.hand_over();
        }
        assert_eq!(begins, [0, 10, 20, 30, 40]);
        assert!(partition.is_behind(), "the loop has taken everything");
        partition.resume(Duration::from_secs(60));
        assert!(!partition.is_paused() && !partition.has_ended());
    }

    #[test]
    fn a_partition_is_fetched_again_once_its_loop_has_taken_half_of_its_queue() {
        let (source, mut partition, mut handed) = partition();
        (1..=2).for_each(|at| send(&source, &mut partition, at * 10));
        partition.pause();
        assert!(!partition.is_behind(), "the queue is full");
        next(&mut handed).expect("a micro-batch");
        assert!(partition.is_behind());
    }

    #[test]
    fn a_partition_starves_if_its_loop_has_nothing_to_take_and_its_log_holds_more() {
        let (source, mut partition, mut handed) = partition();
        assert!(!partition.is_starving(), "nothing is known of its log");
        partition.note_end(20);
        assert!(partition.is_starving());
        send(&source, &mut partition, 10);
        assert!(!partition.is_starving(), "there is something to take");
        next(&mut handed).expect("a micro-batch");
        assert!(partition.is_starving());
        partition.pause();
        assert!(!partition.is_starving(), "it is its own loop that it waits for");
        partition.resume(Duration::from_secs(60));
        send(&source, &mut partition, 20);
        next(&mut handed).expect("a micro-batch");
        assert!(!partition.is_starving(), "all of its log was read");
    }

    #[test]
    fn a_loop_that_others_have_waited_for_long_enough_is_too_slow_until_it_takes_something() {
        let (source, mut partition, mut handed) = partition();
        let long = Duration::from_secs(1_000);
        partition.pass(long, true);
        assert!(!partition.is_too_slow(), "nobody waits for it");
        (1..=3).for_each(|at| send(&source, &mut partition, at * 10));
        partition.pass(long, false);
        assert!(!partition.is_too_slow(), "nobody starves meanwhile");
        partition.pass(long, true);
        assert!(partition.is_too_slow());
        next(&mut handed).expect("a micro-batch");
        partition.hand_over();
        assert!(!partition.is_too_slow());
        send(&source, &mut partition, 40);
        assert!(partition.is_too_slow(), "its patience has not come back yet");
        partition.pause();
        partition.pass(long, true);
        partition.resume(long);
        assert!(partition.is_ahead() && !partition.is_too_slow(), "while it is paused, it holds up no other");
    }

    #[test]
    fn after_a_long_pause_the_log_is_compared_again() {
        let (_, mut partition, _handed) = partition();
        partition.pause();
        partition.resume(Duration::ZERO);
        assert!(partition.has_ended(), "its loop starts again");
    }

    #[test]
    fn a_loop_that_has_ended_is_handed_nothing() {
        let (source, mut partition, handed) = partition();
        (1..=4).for_each(|at| send(&source, &mut partition, at * 10));
        drop(handed);
        partition.hand_over();
        assert!(partition.has_ended() && !partition.is_ahead());
    }
}
