//! What one client is told: the newest answer, then each that follows, until it goes away, is too slow, or the process stops.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::Stream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::asked::Asked;
use super::event;
use super::question::Refusal;
use super::ring::{Behind, Next, Ring};
use super::teller::Newest;
use crate::watchers::{Place, stopped};

/// How long a client is told nothing. Then it gets a comment.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A client that watches an answer.
pub(super) struct Client {
    frames: Behind,
    /// What it is told first.
    first: VecDeque<Bytes>,
    /// Everything up to this number is in what it was told.
    number: u64,
    heartbeat: Instant,
    has_ended: bool,
    stopping: watch::Receiver<bool>,
    /// The question is asked as long as this is held.
    _asked: Arc<Asked>,
    _place: Place,
}

impl Client {
    /// A client of that question, once there is something to tell. One that has the newest answer, by its id, is not told it again.
    ///
    /// # Errors
    /// If the request cannot be answered as it is.
    pub(super) async fn of(
        asked: Arc<Asked>,
        last_event_id: Option<&str>,
        stopping: watch::Receiver<bool>,
        place: Place,
    ) -> Result<Client, Refusal> {
        let joined = tokio::select! {
            joined = asked.joined() => joined,
            () = stopped(stopping.clone()) => None,
        };
        // Without anything to tell, the process stops, and that is what the client is told.
        let Some((newest, frames)) = joined else {
            return Ok(Client::new(asked, (VecDeque::new(), 0), Ring::new(0).behind(), stopping, place));
        };
        let (frame, known) = match newest {
            Newest::Told { frame, known } => (frame, known),
            Newest::Refused(refusal) => return Err(refusal),
        };
        let first = match known {
            Some((id, later)) if Some(id.as_str()) == last_event_id => later,
            _ => Some(frame.event),
        };
        let first = [event::retry()].into_iter().chain(first).collect();
        Ok(Client::new(asked, (first, frame.number), frames, stopping, place))
    }

    fn new(
        asked: Arc<Asked>,
        (first, number): (VecDeque<Bytes>, u64),
        frames: Behind,
        stopping: watch::Receiver<bool>,
        place: Place,
    ) -> Client {
        let heartbeat = Instant::now() + HEARTBEAT;
        Client { frames, first, number, heartbeat, has_ended: false, stopping, _asked: asked, _place: place }
    }

    /// The events, as they are sent.
    pub(super) fn events(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        futures::stream::unfold(self, |mut client| async move {
            let event = client.next().await?;
            client.heartbeat = Instant::now() + HEARTBEAT;
            Some((Ok(event), client))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.has_ended {
            return None;
        }
        if let Some(first) = self.first.pop_front() {
            return Some(first);
        }
        let next = tokio::select! {
            biased;
            () = stopped(self.stopping.clone()) => return self.ends(event::shutdown()),
            next = self.frames.next(self.number) => next,
            () = tokio::time::sleep_until(self.heartbeat) => return Some(event::heartbeat()),
        };
        match next {
            Next::Frame(frame) => {
                self.number = frame.number;
                self.has_ended = frame.is_last;
                Some(frame.event)
            }
            Next::Missed(missed) => {
                metrics::counter!("braid_serving_live_dropped_total").increment(1);
                self.ends(event::dropped(missed))
            }
            // Nobody tells any more: the process stops.
            Next::Nothing => self.ends(event::shutdown()),
        }
    }

    fn ends(&mut self, last: Bytes) -> Option<Bytes> {
        self.has_ended = true;
        Some(last)
    }
}
