//! The last outputs of a stream, for all clients that watch it: one writer, any number of readers at their own pace.
//!
//! It is bounded, and waits for nobody. A reader that is too slow finds that what it wants is gone, and reads that again from where
//! it is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::super::log_client::LogRecord;
use super::super::positions::Positions;

/// How many outputs are held.
const RECORDS_MAX: usize = 10_000;
/// How many bytes of them, about. A single larger output is held all the same.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// What an output takes beside its payload, about.
const RECORD_BYTES: usize = 96;
/// How many outputs a reader gets at a time.
const TAKEN_MAX: usize = 256;

/// The last outputs of a stream.
#[derive(Debug)]
pub(super) struct Ring {
    state: Mutex<State>,
    /// How often something was written or told.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// The number of the oldest output that is held. Outputs are numbered from 0.
    first: u64,
    outputs: VecDeque<Arc<RingOutput>>,
    bytes: usize,
    /// Behind all that was read.
    at: Positions,
    /// Why nothing more comes.
    closed: Option<Arc<str>>,
}

/// A valid output.
#[derive(Debug)]
pub(super) struct RingOutput {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The record's timestamp, microseconds since 1970.
    pub(super) timestamp_us: Option<i64>,
    pub(super) payload: Box<[u8]>,
}

/// What a reader gets.
#[derive(Debug)]
pub(super) enum Taken {
    /// The next outputs, and where reading stands behind them if they are the last ones.
    Outputs(Vec<Arc<RingOutput>>, Option<Positions>),
    /// The next output is gone.
    Lagged,
    /// Nothing more comes, for this reason.
    Closed(Arc<str>),
}

/// Where a reader begins.
#[derive(Debug)]
pub(super) struct RingStart {
    /// The number of its next output.
    pub(super) next: u64,
    /// Everything below was read before it, and is not in the ring for it.
    pub(super) at: Positions,
    pub(super) changes: watch::Receiver<u64>,
}

impl Ring {
    /// Holds nothing. Everything below `at` was read before it.
    pub(super) fn new(at: Positions) -> Ring {
        let state = State { first: 0, outputs: VecDeque::new(), bytes: 0, at, closed: None };
        Ring { state: Mutex::new(state), changes: watch::Sender::new(0) }
    }

    /// Adds the next record of its partition, if it is a valid output.
    pub(super) fn push(&self, record: &LogRecord<'_>, is_output: bool) {
        let mut state = self.state();
        state.at.advance(record.partition, record.offset + 1);
        if let Some(payload) = record.payload.filter(|_| is_output) {
            let (partition, offset, timestamp_us) = (record.partition, record.offset, record.timestamp_us());
            state.bytes += payload.len() + RECORD_BYTES;
            state.outputs.push_back(Arc::new(RingOutput { partition, offset, timestamp_us, payload: payload.into() }));
            while state.outputs.len() > RECORDS_MAX || (state.bytes > BYTES_MAX && state.outputs.len() > 1) {
                let Some(oldest) = state.outputs.pop_front() else { break };
                state.bytes -= oldest.payload.len() + RECORD_BYTES;
                state.first += 1;
            }
        }
    }

    /// Notes that a partition was read up to that offset.
    pub(super) fn reach(&self, partition: i32, offset: i64) {
        self.state().at.advance(partition, offset);
    }

    /// Nothing more comes. The first reason stands.
    pub(super) fn close(&self, why: &str) {
        self.state().closed.get_or_insert_with(|| why.into());
        self.wake();
    }

    /// Wakes readers that wait for what was pushed.
    pub(super) fn wake(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Whether nothing more comes.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed.is_some()
    }

    /// Behind all that was read.
    pub(super) fn at(&self) -> Positions {
        self.state().at.clone()
    }

    /// Where a reader begins that joins now.
    pub(super) fn start(&self) -> RingStart {
        let changes = self.changes.subscribe();
        let state = self.state();
        RingStart { next: state.first + state.outputs.len() as u64, at: state.at.clone(), changes }
    }

    /// The next outputs of a reader, whose place it moves; `None`: there are none yet.
    pub(super) fn take(&self, next: &mut u64) -> Option<Taken> {
        let state = self.state();
        let Some(skipped) = next.checked_sub(state.first) else { return Some(Taken::Lagged) };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let outputs: Vec<_> = state.outputs.iter().skip(skipped).take(TAKEN_MAX).map(Arc::clone).collect();
        *next += outputs.len() as u64;
        if outputs.is_empty() {
            return state.closed.as_ref().map(|why| Taken::Closed(Arc::clone(why)));
        }
        let is_last = *next == state.first + state.outputs.len() as u64;
        Some(Taken::Outputs(outputs, is_last.then(|| state.at.clone())))
    }

    /// Behind all that was read, if a reader has taken all outputs.
    pub(super) fn reached(&self, next: u64) -> Option<Positions> {
        let state = self.state();
        (next == state.first + state.outputs.len() as u64).then(|| state.at.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Ring {
        Ring::new("log:0,7".parse().expect("positions"))
    }

    fn push(ring: &Ring, offset: i64, payload: &[u8]) {
        let record = LogRecord { partition: 0, offset, timestamp_ms: Some(offset), key: None, payload: Some(payload) };
        ring.push(&record, true);
    }

    fn offsets(taken: &[Arc<RingOutput>]) -> Vec<i64> {
        taken.iter().map(|output| output.offset).collect()
    }

    #[test]
    fn each_reader_gets_every_output_from_its_start_on_in_order() {
        let ring = ring();
        push(&ring, 0, b"{}");
        let RingStart { mut next, at, changes } = ring.start();
        assert_eq!((at.to_string().as_str(), changes.has_changed().expect("open")), ("log:1,7", false));
        assert!(ring.take(&mut next).is_none());
        for offset in 1..=TAKEN_MAX as i64 + 2 {
            push(&ring, offset, b"{}");
        }
        ring.wake();
        assert!(changes.has_changed().expect("open"));
        let Some(Taken::Outputs(first, None)) = ring.take(&mut next) else { panic!("more are there") };
        assert_eq!(offsets(&first), (1..=TAKEN_MAX as i64).collect::<Vec<_>>());
        ring.reach(1, 9);
        let Some(Taken::Outputs(last, Some(at))) = ring.take(&mut next) else { panic!("the last ones") };
        assert_eq!((offsets(&last), at.to_string()), (vec![257, 258], "log:259,9".to_owned()));
        assert!(ring.take(&mut next).is_none());
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told_and_nobody_waits_for_it() {
        let ring = ring();
        let (mut slow, mut quick) = (ring.start().next, ring.start().next);
        let large = vec![b'x'; BYTES_MAX / 2];
        for offset in 0..3 {
            push(&ring, offset, &large);
            assert!(matches!(ring.take(&mut quick), Some(Taken::Outputs(taken, _)) if offsets(&taken) == [offset]));
        }
        assert!(matches!(ring.take(&mut slow), Some(Taken::Lagged)));
        assert_eq!(ring.reached(slow), None);
        let held = ring.state().bytes;
        assert!(held <= BYTES_MAX, "{held} bytes");
    }

    #[test]
    fn what_is_no_output_moves_the_positions_alone() {
        let ring = ring();
        let mut next = ring.start().next;
        let mark = LogRecord { partition: 1, offset: 7, timestamp_ms: None, key: None, payload: None };
        ring.push(&mark, true);
        ring.push(&LogRecord { offset: 8, payload: Some(b"no output"), ..mark }, false);
        assert!(ring.take(&mut next).is_none());
        assert_eq!(ring.reached(next).map(|at| at.to_string()), Some("log:0,9".to_owned()));
    }

    #[test]
    fn a_ring_that_is_closed_gives_what_it_holds_first() {
        let ring = ring();
        let mut next = ring.start().next;
        push(&ring, 0, b"{}");
        ring.close("the topic is gone");
        ring.close("later");
        assert!(matches!(ring.take(&mut next), Some(Taken::Outputs(..))));
        assert!(matches!(ring.take(&mut next), Some(Taken::Closed(why)) if &*why == "the topic is gone"));
    }
}
