//! Server-sent events: a client is told the outputs of a stream from now on, or from where it was.
//!
//! An event's id is the client's positions behind it, so a client that connects again goes on exactly there. All clients of a stream
//! share one reader of its topic. A client that is behind, because it was away or is too slow, reads by itself until it is there: from the
//! log, or from the archive where the log has forgotten. Only what neither holds is a gap, and it is told so.
//!
//! Nothing waits for a slow client, and of what it is told a bounded part is in memory. One that takes nothing at all is closed with its
//! connection.
//!
//! - `ring`: the last outputs, for all clients;
//! - `shared_tail`: the reader of the topic;
//! - `catch_up`: what a client that is behind does next;
//! - `missed`: what it has missed, as far as there is room;
//! - `behind`: reads that;
//! - `served`: which version's stream it is told;
//! - `tell`: what events say.

mod behind;
mod catch_up;
mod missed;
mod ring;
mod served;
mod shared_tail;
mod tell;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures::Stream;
use platform::telemetry::error_text;
use tokio::sync::watch;
use tokio::time::Instant;

use super::StreamReader;
use super::output::{OutputReader, text_of};
use super::positions::Positions;
use super::question::Filter;
use crate::watchers::Place;
use catch_up::align;
use ring::{RingOutput, Taken};
use shared_tail::Subscription;

pub(crate) use served::{Served, Serves};
pub(super) use shared_tail::SharedTail;

/// How long a client is told nothing. Then it is told its positions, so that it knows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long to wait before something that failed is tried again; clients are asked to wait as long before they connect again.
const RETRY: Duration = Duration::from_secs(1);

/// A client that watches a stream.
pub(crate) struct Watcher {
    reader: Arc<StreamReader>,
    filter: Filter,
    serves: Box<dyn Serves>,
    /// Judges outputs for the filter.
    outputs: OutputReader,
    /// Everything below was told; `None`: it begins with what comes next.
    at: Option<Positions>,
    subscription: Option<Subscription>,
    /// What it is told next.
    pending: VecDeque<Event>,
    /// When it is told something at the latest.
    heartbeat: Instant,
    has_ended: bool,
    /// The first day that the archive holds, if the client was told that older ones are retired.
    told_retired: Option<i64>,
    stopping: watch::Receiver<bool>,
    _place: Place,
}

impl Watcher {
    /// A client that is told what a filter accepts of that version's stream, from `at` on, or from now on. `place` is its place among all of
    /// them. The first event names the version.
    pub(super) fn new(
        version: &str,
        (reader, filter): (Arc<StreamReader>, Filter),
        serves: Box<dyn Serves>,
        at: Option<Positions>,
        place: Place,
    ) -> Watcher {
        let first = Event::default().retry(RETRY).event("version").data(served::said(version, &reader));
        Watcher {
            outputs: OutputReader::new(&reader.source),
            stopping: reader.access.watchers.stopping(),
            reader,
            filter,
            serves,
            at,
            subscription: None,
            pending: VecDeque::from([first]),
            heartbeat: Instant::now() + HEARTBEAT,
            has_ended: false,
            told_retired: None,
            _place: place,
        }
    }

    /// What the client is told, until it goes away or the process stops.
    pub(crate) fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
        futures::stream::unfold(self, |mut watcher| async move {
            let event = watcher.next().await?;
            Some((Ok(event), watcher))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.heartbeat = Instant::now() + HEARTBEAT;
                return Some(event);
            }
            if self.has_ended {
                return None;
            }
            if self.serves.has_changed() {
                self.go_over();
                continue;
            }
            let mut stopping = self.stopping.clone();
            let stop = async {
                // This cannot fail: the sender lives as long as the reader.
                let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
            };
            tokio::select! {
                biased;
                () = stop => {
                    self.has_ended = true;
                    self.tell("end", r#"{"reason":"shutdown"}"#);
                }
                () = self.step() => {}
            }
        }
    }

    /// Comes further by one step; something may be pending then.
    async fn step(&mut self) {
        if self.subscription.is_none() {
            if let Err(why) = self.join().await {
                self.wait(&why).await;
            }
        } else if self.until().is_some() {
            if let Err(error) = self.catch_up().await {
                self.wait(&error_text(&error)).await;
            } else if self.pending.is_empty() && self.heartbeat <= Instant::now() {
                // What it has passed was not for this client, which has heard nothing for long.
                self.tell_positions();
            }
        } else {
            self.follow().await;
        }
    }

    /// Where it has to come to by itself; `None` if it is there.
    fn until(&self) -> Option<&Positions> {
        let from = &self.subscription.as_ref()?.from;
        self.at.as_ref().is_some_and(|at| !at.until(from).is_empty()).then_some(from)
    }

    /// Joins the reader that all clients share.
    ///
    /// # Errors
    /// Why that is not possible now.
    async fn join(&mut self) -> Result<(), String> {
        let subscription = self.reader.tail.join(&self.reader).await.map_err(|error| error_text(&error))?;
        match &mut self.at {
            None => {
                self.at = Some(subscription.from.clone());
                self.tell_positions();
            }
            Some(at) => {
                let is_ahead = !subscription.from.until(at).is_empty();
                if is_ahead || !at.is_of_the_same_log(&subscription.from) {
                    let bounds = self.reader.bounds().await.map_err(|error| error_text(&error))?;
                    let bounds = bounds.ok_or_else(|| "the topic is gone".to_owned())?;
                    align(at, &bounds).iter().for_each(|of| self.tell_break(of));
                }
            }
        }
        if self.at.as_ref().is_some_and(|at| at.topic == subscription.from.topic) {
            self.subscription = Some(subscription);
            return Ok(());
        }
        Err("the topic was created again in this moment".to_owned())
    }

    /// Takes what all clients are told.
    async fn follow(&mut self) {
        let Some(subscription) = &mut self.subscription else { return };
        let taken = tokio::select! {
            taken = subscription.taken() => Some(taken),
            // Before the next step it goes over to that.
            () = self.serves.changed() => return,
            () = tokio::time::sleep_until(self.heartbeat) => None,
        };
        match taken {
            Some(Taken::Outputs(outputs, reached)) => {
                outputs.iter().for_each(|output| self.take(output));
                self.reach(reached);
            }
            Some(Taken::Lagged) => {
                metrics::counter!("braid_serving_watchers_lagged_total").increment(1);
                self.subscription = None;
            }
            Some(Taken::Closed(why)) => {
                self.subscription = None;
                self.wait(&why).await;
            }
            None => {
                let reached = self.subscription.as_ref().and_then(Subscription::reached);
                self.reach(reached);
                self.tell_positions();
            }
        }
    }

    /// Takes an output that all clients are told, unless it knows it already.
    fn take(&mut self, output: &RingOutput) {
        let RingOutput { partition, offset, timestamp_us, payload } = output;
        let next = self.at.as_ref().and_then(|at| at.offset(*partition));
        if next.is_some_and(|next| *offset < next) {
            return;
        }
        let accepts = |outputs: &mut OutputReader, filter: &Filter| {
            outputs.event(Some(payload), *timestamp_us).is_some_and(|event| filter.accepts(&event))
        };
        if self.filter.is_empty() || accepts(&mut self.outputs, &self.filter) {
            self.tell_output(*partition, *offset, text_of(payload));
        } else {
            self.advance(*partition, offset + 1);
        }
    }

    /// Waits before something that failed is tried again. After a while the client is told why it hears nothing.
    async fn wait(&mut self, why: &str) {
        if self.heartbeat <= Instant::now() {
            self.tell_nothing(why);
        }
        tokio::time::sleep(RETRY).await;
    }

    fn advance(&mut self, partition: i32, offset: i64) {
        self.at.iter_mut().for_each(|at| at.advance(partition, offset));
    }

    fn reach(&mut self, reached: Option<Positions>) {
        if let (Some(at), Some(reached)) = (&mut self.at, reached) {
            at.reach(&reached);
        }
    }
}
