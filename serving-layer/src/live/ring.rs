//! What the clients of a question are told, for as long as one of them has not taken it, and at most so many events and so many bytes.
//!
//! An event is kept once for all clients, and is gone when the last of them has taken it. Where clients are stuck, the oldest ones go. Who
//! comes to one that is gone is told how many it has missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::teller::Frame;

/// How many events a client may lie behind before it is dropped.
const BEHIND_MAX: usize = 16;
/// How many bytes of them are kept, where there are several. The newest one is kept however long it is.
pub(super) const BEHIND_BYTES: usize = 4 * 1_024 * 1_024;

/// The end at which events come in.
pub(super) struct Ring {
    sender: broadcast::Sender<Arc<Kept>>,
    /// What was told, the oldest first, as long as somebody has not taken it.
    kept: Mutex<VecDeque<Weak<Kept>>>,
    most_bytes: usize,
}

/// The end at which a client takes them.
pub(super) struct Behind(broadcast::Receiver<Arc<Kept>>);

/// An event that may have to go before everybody has taken it.
struct Kept {
    number: u64,
    bytes: usize,
    frame: Mutex<Option<Frame>>,
}

/// What a client comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An event.
    Frame(Frame),
    /// That many that are gone: it is too slow.
    Missed(u64),
    /// Nobody tells any more.
    Nothing,
}

impl Ring {
    /// Nothing was told yet. It keeps at most that many bytes, or the newest event.
    pub(super) fn new(most_bytes: usize) -> Ring {
        Ring { sender: broadcast::Sender::new(BEHIND_MAX), kept: Mutex::default(), most_bytes }
    }

    /// A client, which is told what comes from now on.
    pub(super) fn behind(&self) -> Behind {
        Behind(self.sender.subscribe())
    }

    /// Tells all clients.
    pub(super) fn tell(&self, frame: Frame) {
        let told = Arc::new(Kept::new(frame));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.strong_count() > 0);
        kept.push_back(Arc::downgrade(&told));
        let alive: Vec<Arc<Kept>> = kept.iter().filter_map(Weak::upgrade).collect();
        let mut bytes: usize = alive.iter().map(|kept| kept.bytes).sum();
        // All but the newest may go.
        let older = alive.split_last().map_or(&[][..], |(_newest, older)| older);
        for oldest in older {
            if bytes <= self.most_bytes {
                break;
            }
            bytes -= oldest.bytes;
            oldest.goes();
            kept.retain(|kept| kept.as_ptr() != Arc::as_ptr(oldest));
        }
        drop(kept);
        // There is nobody to be told if the first one has not come that far.
        let _ = self.sender.send(told);
    }
}

impl Kept {
    fn new(frame: Frame) -> Kept {
        Kept { number: frame.number, bytes: frame.event.len(), frame: Mutex::new(Some(frame)) }
    }

    fn frame(&self) -> Option<Frame> {
        self.frame.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn goes(&self) {
        self.frame.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Behind {
    /// What comes after the event with that number, once there is something. This may be cancelled: nothing is lost.
    pub(super) async fn next(&mut self, number: u64) -> Next {
        loop {
            match self.0.recv().await {
                Ok(kept) if kept.number <= number => {}
                Ok(kept) => return kept.frame().map_or_else(|| self.missed(), Next::Frame),
                Err(RecvError::Lagged(missed)) => return Next::Missed(missed),
                Err(RecvError::Closed) => return Next::Nothing,
            }
        }
    }

    /// How many are gone, from the one that was just taken on.
    fn missed(&mut self) -> Next {
        let mut missed = 1;
        while self.0.try_recv().is_ok_and(|kept| kept.frame().is_none()) {
            missed += 1;
        }
        Next::Missed(missed)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    fn frame(number: u64, bytes: usize) -> Frame {
        Frame { number, event: Bytes::from(vec![b'x'; bytes]), is_last: false }
    }

    /// How many bytes of events are in memory.
    fn bytes(ring: &Ring) -> usize {
        let kept = ring.kept.lock().expect("no panic");
        let frames = kept.iter().filter_map(Weak::upgrade).filter_map(|kept| kept.frame());
        frames.map(|frame| frame.event.len()).sum()
    }

    #[tokio::test]
    async fn a_stuck_client_keeps_so_many_bytes_and_always_the_newest_event() {
        let ring = Ring::new(100);
        let (mut stuck, mut other) = (ring.behind(), ring.behind());
        for number in 1..=4 {
            ring.tell(frame(number, 30));
            assert_eq!(other.next(0).await, Next::Frame(frame(number, 30)), "who takes them is told all");
        }
        assert_eq!(bytes(&ring), 90);
        ring.tell(frame(5, 1_000));
        assert_eq!(bytes(&ring), 1_000, "the newest is kept however long it is");
        assert_eq!(other.next(4).await, Next::Frame(frame(5, 1_000)));
        assert_eq!(stuck.next(0).await, Next::Missed(4));
        drop(stuck);
        assert_eq!(bytes(&ring), 0, "what nobody waits for is not kept");
    }

    #[tokio::test]
    async fn what_everybody_has_taken_takes_no_room() {
        let ring = Ring::new(100);
        let mut client = ring.behind();
        for number in 1..=50 {
            ring.tell(frame(number, 60));
            assert_eq!(client.next(number - 1).await, Next::Frame(frame(number, 60)));
            assert_eq!(bytes(&ring), 0);
        }
    }

    #[tokio::test]
    async fn events_are_bounded_in_number_and_those_that_a_client_knows_are_passed_over() {
        let ring = Ring::new(BEHIND_BYTES);
        let (mut stuck, mut late) = (ring.behind(), ring.behind());
        for number in 1..=BEHIND_MAX as u64 {
            ring.tell(frame(number, 1));
        }
        assert_eq!(late.next(3).await, Next::Frame(frame(4, 1)), "it was told three of them as it came");
        ring.tell(frame(17, 1));
        assert_eq!(stuck.next(0).await, Next::Missed(1));
        drop(ring);
        for number in 5..=17 {
            assert_eq!(late.next(3).await, Next::Frame(frame(number, 1)));
        }
        assert_eq!(late.next(17).await, Next::Nothing);
    }
}
