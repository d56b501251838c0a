//! How long Kafka has told nothing about a partition although something is due (R12).
//!
//! librdkafka can stall without an error. A broker that went back to an older copy of its data counts leader epochs anew,
//! and refuses, for ever, the requests of a client that knows newer ones.
//!
//! Something is due from when a partition is assigned until its end is reached, and again once Kafka has said that the log
//! reaches further. Whatever is told about the partition (a record, its end, an error) starts the time anew. An error
//! about no partition does not: a broker that is away is reported again and again, whatever the others still deliver.
//!
//! Time in which the reader itself is busy does not count: while its queue is full, nothing is fetched, and what a queue
//! still holds was told. But a connection on which nothing is fetched can break unnoticed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Polled;

/// A reader that stays away from its queue for longer may have let it run full.
const AWAY: Duration = Duration::from_secs(1);

/// librdkafka takes a connection that breaks after it was idle for so long for one that the broker has cleared away, and does not
/// report it. It is idle while the queue is full.
const UNREPORTED: Duration = Duration::from_secs(60);

/// The partitions of one consumer of which something is due.
#[derive(Debug)]
pub(super) struct Silence {
    /// The setting `kafka.stalled_after`.
    after: Duration,
    /// By partition, since when something is due and nothing was told.
    since: BTreeMap<i32, Instant>,
    /// When the queue was read last.
    read_at: Instant,
}

impl Silence {
    /// Nothing is due yet.
    pub(super) fn new(after: Duration, now: Instant) -> Silence {
        Silence { after, since: BTreeMap::new(), read_at: now }
    }

    /// From now on these partitions are read, and no others. Of each, at least its end is due. One of which something was
    /// due already stays silent since then, however often it is assigned.
    pub(super) fn assigned(&mut self, offsets: &BTreeMap<i32, i64>, now: Instant) {
        self.since.retain(|partition, _| offsets.contains_key(partition));
        offsets.keys().for_each(|partition| self.due(*partition, now));
    }

    /// Nothing was read until now, so there was no queue to stay away from.
    pub(super) fn begins(&mut self, now: Instant) {
        self.read_at = now;
    }

    /// Whether a connection may have broken unnoticed, because the queue was not read for so long.
    pub(super) fn may_hide_a_loss(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.read_at) >= UNREPORTED
    }

    /// From now on, at the latest, something is due of this partition.
    pub(super) fn due(&mut self, partition: i32, now: Instant) {
        self.since.entry(partition).or_insert(now);
    }

    /// Nothing more is due of this partition.
    pub(super) fn settled(&mut self, partition: i32) {
        self.since.remove(&partition);
    }

    /// The queue was read between these two moments; `emptied`: nothing is left in it.
    pub(super) fn read(&mut self, from: Instant, to: Instant, emptied: bool) {
        if !emptied || from.saturating_duration_since(self.read_at) > AWAY {
            self.since.values_mut().for_each(|since| *since = to);
        }
        self.read_at = to;
    }

    /// Notes what was found in the queue when it was read last.
    pub(super) fn hears(&mut self, polled: &Polled<'_>) {
        match polled {
            // At least the end comes after it.
            Polled::Record(record) if record.is_last => self.told(record.partition),
            Polled::Failed { partition: Some(partition), .. } => self.told(*partition),
            // Where the log does not hold the offset, reading has stopped.
            Polled::End { partition, .. } | Polled::OutOfRange { partition } => self.settled(*partition),
            Polled::Record(_) | Polled::Failed { partition: None, .. } => {}
        }
    }

    /// A partition about which Kafka had told nothing for that long when the queue was read last, although something was due.
    pub(super) fn stalled(&self) -> Option<i32> {
        let is_stalled = |since: &Instant| self.read_at.saturating_duration_since(*since) >= self.after;
        self.since.iter().find(|(_, since)| is_stalled(since)).map(|(partition, _)| *partition)
    }

    fn told(&mut self, partition: i32) {
        self.since.insert(partition, self.read_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A consumer of the partitions 0 and 1 that stalls after ten seconds, and a clock that only moves when it is read.
    struct Clock {
        silence: Silence,
        now: Instant,
    }

    impl Clock {
        fn start() -> Clock {
            let now = Instant::now();
            let mut silence = Silence::new(Duration::from_secs(10), now);
            silence.assigned(&both(), now);
            Clock { silence, now }
        }

        /// The queue is read every half second for so long, and nothing is found; then once more.
        fn listens(&mut self, seconds: u64) -> Option<i32> {
            for _ in 0..2 * seconds {
                let from = self.now;
                self.now += Duration::from_millis(500);
                self.silence.read(from, self.now, true);
            }
            self.silence.stalled()
        }
    }

    fn both() -> BTreeMap<i32, i64> {
        BTreeMap::from([(0, 5), (1, 7)])
    }

    #[test]
    fn a_reply_is_due_from_the_assignment_on() {
        let mut clock = Clock::start();
        assert_eq!(clock.listens(9), None);
        clock.silence.assigned(&both(), clock.now);
        clock.silence.told(1);
        assert_eq!(clock.listens(1), Some(0), "neither another assignment is a reply, nor word of another partition");
        clock.silence.settled(0);
        assert_eq!(clock.listens(8), None);
        assert_eq!(clock.listens(1), Some(1));
        clock.silence.assigned(&BTreeMap::from([(0, 5)]), clock.now);
        assert_eq!(clock.listens(9), None, "one that is not read any more owes nothing, a new one has time");
        assert_eq!(clock.listens(1), Some(0));
    }

    #[test]
    fn whatever_is_told_starts_the_time_anew_and_the_end_ends_it() {
        let mut clock = Clock::start();
        clock.silence.settled(1);
        for _ in 0..5 {
            assert_eq!(clock.listens(9), None, "a long warm-up is no stall");
            clock.silence.told(0);
        }
        assert_eq!(clock.listens(10), Some(0), "after a record, the end is due");
        clock.silence.told(0);
        clock.silence.settled(0);
        assert_eq!(clock.listens(100), None, "at the end of the log, nothing is");
        clock.silence.due(0, clock.now);
        assert_eq!(clock.listens(9), None, "since it was said that the log reaches further");
        clock.silence.due(0, clock.now);
        assert_eq!(clock.listens(1), Some(0), "to say it again changes nothing");
    }

    #[test]
    fn a_reader_that_is_busy_itself_is_not_left_without_a_word() {
        let mut clock = Clock::start();
        for _ in 0..50 {
            clock.now += Duration::from_millis(500);
            clock.silence.read(clock.now, clock.now, false);
        }
        assert_eq!(clock.listens(9), None, "while the queue is not empty, it may hold the reply");
        clock.now += Duration::from_secs(60);
        assert_eq!(clock.listens(9), None, "while the reader was away, the queue may have been full");
        assert_eq!(clock.listens(2), Some(0));
    }

    #[test]
    fn a_reader_that_stayed_away_for_a_minute_cannot_know_that_no_connection_broke() {
        let mut clock = Clock::start();
        assert_eq!(clock.listens(5), None);
        for (seconds, may) in [(59, false), (60, true), (3_600, true)] {
            assert_eq!(clock.silence.may_hide_a_loss(clock.now + Duration::from_secs(seconds)), may, "{seconds}");
        }
        clock.now += Duration::from_secs(3_600);
        clock.silence.begins(clock.now);
        assert!(!clock.silence.may_hide_a_loss(clock.now), "before that, nothing was read");
    }
}
