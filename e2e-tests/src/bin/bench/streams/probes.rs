//! Payments that cause an alert, and how long it takes until a consumer of committed records has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::{Record, end_offsets};
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
    /// By user, when the first alert about each was read, and how many there are.
    read: BTreeMap<String, (Instant, usize)>,
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
        Ok(Probes { producer: stage.producer()?, alerts, read: BTreeMap::new(), stop, sent: 0 })
    }

    /// Sends a burst of one user, whose last payment causes an alert, to that partition or to the user's own. Returns the user, and when
    /// that payment was sent.
    pub(super) fn send(&mut self, partition: Option<i32>) -> Result<(String, Instant)> {
        self.sent += 1;
        let (user, at_ms) = (probe(self.sent), now_us() / 1_000 - BURST);
        let mut sent = Instant::now();
        for n in 0..BURST {
            sent = Instant::now();
            let payment = payment(&format!("{user}-{n}"), &user, at_ms + n, 500);
            self.producer.send(&Record { partition, ..payment })?;
        }
        Ok((user, sent))
    }

    /// Waits for the alert about a user. Returns when it was read.
    pub(super) fn alert(&mut self, user: &str) -> Result<Instant> {
        let began = Instant::now();
        loop {
            if let Some((read, _)) = self.read.get(user) {
                return Ok(*read);
            }
            let left = WITHIN.saturating_sub(began.elapsed());
            let (of, at) = self.alerts.recv_timeout(left).with_context(|| format!("no alert about {user}"))?;
            self.read.entry(of).or_insert((at, 0)).1 += 1;
        }
    }

    /// Sends a probe to each partition, and waits for the alerts.
    pub(super) fn everywhere(&mut self, partitions: i32) -> Result<()> {
        for partition in 0..partitions {
            let (user, _) = self.send(Some(partition))?;
            self.alert(&user)?;
        }
        Ok(())
    }

    /// That of what was read so far, there is one alert about each probe.
    pub(super) fn were_each_alerted_once(&self) -> Result<()> {
        for user in (1..=self.sent).map(probe) {
            let count = self.read.get(&user).map_or(0, |(_, count)| *count);
            ensure!(count == 1, "{count} alerts about {user}");
        }
        Ok(())
    }
}

/// The user of a probe.
fn probe(number: u64) -> String {
    format!("probe-{number}")
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
