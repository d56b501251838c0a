//! One reader of a stream's topic for all clients that watch the stream. It begins with the first of them and ends with the last.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use platform::kafka::KafkaError;
use platform::telemetry::error_text;
use tokio::sync::{Mutex, watch};

use super::super::StreamReader;
use super::super::log_client::{LogClient, Told};
use super::super::output::OutputReader;
use super::super::positions::Positions;
use super::ring::{Ring, RingStart, Taken};

/// How long the reader waits for something to arrive before it looks whether anybody watches still.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// How often the topic's id and its ends are asked for (R7, R12).
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// The reader of one stream, as long as somebody watches it.
#[derive(Default)]
pub(in crate::stream_read) struct SharedTail {
    running: Mutex<Weak<Running>>,
}

/// A reader that runs. It ends when this is dropped.
struct Running {
    ring: Arc<Ring>,
    is_stopped: Arc<AtomicBool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

/// A client's place at a reader.
pub(super) struct Subscription {
    running: Arc<Running>,
    next: u64,
    /// Everything below was read before the client joined.
    pub(super) from: Positions,
    changes: watch::Receiver<u64>,
}

/// Why a stream cannot be watched now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotFollowed {
    /// Nothing was written yet, or the topic was deleted.
    #[error("topic {topic} does not exist")]
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// Kafka does not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The operating system refuses another thread.
    #[error("cannot start a thread")]
    NoThread(#[source] io::Error),
}

impl SharedTail {
    /// Joins the reader, which is started if it does not run.
    pub(super) async fn join(&self, reader: &Arc<StreamReader>) -> Result<Subscription, NotFollowed> {
        let mut known = self.running.lock().await;
        let running = match known.upgrade().filter(|running| !running.ring.is_closed()) {
            Some(running) => running,
            None => {
                let running = start(reader).await?;
                *known = Arc::downgrade(&running);
                running
            }
        };
        let RingStart { next, at, changes } = running.ring.start();
        Ok(Subscription { running, next, from: at, changes })
    }
}

impl Subscription {
    /// The next outputs. May be cancelled.
    pub(super) async fn taken(&mut self) -> Taken {
        loop {
            if let Some(taken) = self.running.ring.take(&mut self.next) {
                return taken;
            }
            if self.changes.changed().await.is_err() {
                // This cannot be: the sender lives as long as the ring.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Behind all that was read, if all of that was taken.
    pub(super) fn reached(&self) -> Option<Positions> {
        self.running.ring.reached(self.next)
    }
}

/// Starts to read at the topic's end.
async fn start(reader: &Arc<StreamReader>) -> Result<Arc<Running>, NotFollowed> {
    let topic = &reader.source.topic;
    let bounds = reader.bounds().await?.ok_or_else(|| NotFollowed::NoTopic { topic: topic.clone() })?;
    let ring = Arc::new(Ring::new(bounds.positions(|bounds| bounds.end)));
    let running = Arc::new(Running { ring: Arc::clone(&ring), is_stopped: Arc::default() });
    let following = Following {
        logs: Arc::clone(&reader.access.logs),
        topic: topic.clone(),
        from: bounds.partitions().map(|bounds| (bounds.id.partition, bounds.end)).collect(),
        outputs: OutputReader::new(&reader.source),
        ring,
        is_stopped: Arc::clone(&running.is_stopped),
    };
    let thread = std::thread::Builder::new().name(format!("watch-{}", reader.source.name));
    thread.spawn(move || following.run()).map_err(NotFollowed::NoThread)?;
    tokio::spawn(check(Arc::downgrade(&running), Arc::clone(reader)));
    Ok(running)
}

/// What the reading thread needs.
struct Following {
    logs: Arc<dyn LogClient>,
    topic: String,
    from: BTreeMap<i32, i64>,
    outputs: OutputReader,
    ring: Arc<Ring>,
    is_stopped: Arc<AtomicBool>,
}

impl Following {
    fn run(mut self) {
        let mut follower = match self.logs.follow(&self.topic, &self.from) {
            Ok(follower) => follower,
            Err(error) => return self.ring.close(&error_text(&error)),
        };
        while !self.is_stopped.load(Ordering::Relaxed) {
            let (mut is_silent, mut failed) = (true, None);
            let polled = follower.poll(POLL_WAIT, &mut |told: Told<'_>| {
                is_silent = false;
                match told {
                    Told::Record(record) => {
                        let is_output = self.outputs.event(record.payload, record.timestamp_us()).is_some();
                        self.ring.push(&record, is_output);
                    }
                    Told::End { partition, offset } => self.ring.reach(partition, offset),
                    Told::OutOfRange { partition } => {
                        failed = Some(format!("the log of partition {partition} does not hold what comes next"));
                    }
                    Told::Failed(error) => failed = Some(error_text(&error)),
                }
            });
            if let Some(why) = failed.or(polled.err().map(|error| error_text(&error))) {
                return self.ring.close(&why);
            }
            if !is_silent {
                self.ring.wake();
            }
        }
    }
}

/// Ends the reader when the topic is another one, or when Kafka tells nothing of it any more. Clients then join another reader.
async fn check(running: Weak<Running>, reader: Arc<StreamReader>) {
    let mut stall = Stall::default();
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        // The reader itself is not held while Kafka is asked, so that it ends with its last client.
        let Some(ring) = running.upgrade().map(|running| Arc::clone(&running.ring)) else { return };
        if ring.is_closed() {
            return;
        }
        match reader.bounds().await {
            Ok(Some(bounds)) => {
                let (at, ends) = (ring.at(), bounds.positions(|bounds| bounds.end));
                if !at.is_of_the_same_log(&ends) {
                    ring.close("the topic has another log, more partitions, or lost its tail");
                } else if stall.lasts(at, &ends, Instant::now()) > reader.access.silence {
                    ring.close("kafka tells nothing of the topic, although it holds more");
                }
            }
            Ok(None) => ring.close("the topic is gone"),
            // The last known state stays, and the reader itself tries again.
            Err(_) => {}
        }
    }
}

/// Since when nothing was read although there is more, and where that was.
#[derive(Default)]
struct Stall(Option<(Positions, Instant)>);

impl Stall {
    /// How long that has lasted by now.
    fn lasts(&mut self, at: Positions, ends: &Positions, now: Instant) -> Duration {
        if at.until(ends).is_empty() {
            self.0 = None;
            return Duration::ZERO;
        }
        match &self.0 {
            Some((before, since)) if *before == at => now.saturating_duration_since(*since),
            _ => {
                self.0 = Some((at, now));
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_stalls_where_it_stands_although_there_is_more() {
        let positions = |text: &str| text.parse::<Positions>().expect("positions");
        let (mut stall, begun) = (Stall::default(), Instant::now());
        let mut lasts = |at: &str, ends: &str, seconds: u64| {
            let now = begun + Duration::from_secs(seconds);
            stall.lasts(positions(at), &positions(ends), now).as_secs()
        };
        assert_eq!(lasts("log:5,5", "log:5,5", 0), 0);
        assert_eq!(lasts("log:5,5", "log:5,6", 10), 0, "since now");
        assert_eq!(lasts("log:5,5", "log:7,9", 40), 30);
        assert_eq!(lasts("log:6,5", "log:7,9", 41), 0, "it moved");
        assert_eq!(lasts("log:6,5", "log:7,9", 43), 2);
        assert_eq!(lasts("log:7,9", "log:7,9", 44), 0);
    }
}
