//! Payments that cause an alert, and how long it takes until a consumer of committed records has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e_tests::kafka::end_offsets;
use e2e_tests::scenario::now_us;
use e2e_tests::{Producer, Stage};
use rdkafka::Offset;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use serde_json::Value;

use super::payments::payment;
use super::progress::committed;

/// How many payments in a row cause an alert.
const BURST: i64 = 6;
const WITHIN: Duration = Duration::from_secs(300);

/// Sends probes, and reads alerts from now on.
pub(super) struct Probes {
    producer: Producer,
    alerts: Receiver<(String, Instant)>,
    stop: Arc<AtomicBool>,
    sent: u64,
}

impl Probes {
    pub(super) fn new(stage: &Stage) -> Result<Probes> {
        let topic = format!("{}-alerts", stage.topic);
        let ends = end_offsets(&stage.brokers, &topic)?;
        let consumer = committed(&stage.brokers, &topic, ends.len(), |partition| Offset::Offset(ends[partition]))?;
        let (found, alerts) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        std::thread::spawn(move || read(&consumer, &found, &stopping));
        Ok(Probes { producer: stage.producer()?, alerts, stop, sent: 0 })
    }

    /// Sends a burst of one user, whose last payment causes an alert. Returns the user, and when that payment was sent.
    pub(super) fn send(&mut self) -> Result<(String, Instant)> {
        self.sent += 1;
        let (user, at_ms) = (format!("probe-{}", self.sent), now_us() / 1_000 - BURST);
        let mut sent = Instant::now();
        for n in 0..BURST {
            sent = Instant::now();
            self.producer.send(&payment(&format!("{user}-{n}"), &user, at_ms + n, 500))?;
        }
        Ok((user, sent))
    }

    /// Waits for the alert about a user. Returns when it was read.
    pub(super) fn alert(&self, user: &str) -> Result<Instant> {
        let began = Instant::now();
        loop {
            let left = WITHIN.saturating_sub(began.elapsed());
            let (of, read) = self.alerts.recv_timeout(left).with_context(|| format!("no alert about {user}"))?;
            if of == user {
                return Ok(read);
            }
        }
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn read(consumer: &BaseConsumer, found: &Sender<(String, Instant)>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let read = Instant::now();
        let alert: Value = serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or_default();
        // An error means that the probes are gone.
        let _ = found.send((alert["user_id"].as_str().unwrap_or_default().to_owned(), read));
    }
}
