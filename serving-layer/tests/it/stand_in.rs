//! Stands in for Kafka: topics of one log whose ends are given, and topics with records.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::BoxFuture;
use platform::kafka::{KafkaError, Topic};
use serving_layer::{Follower, LogClient, LogRecord, Told, TopicClient};

use crate::test_server::{DEADLINE, LOG};

/// How many records a look at a topic brings.
const POLL_RECORDS: usize = 500;

/// Stands in for Kafka.
#[derive(Default)]
pub(crate) struct StandIn {
    /// Partitions of the log of topics without records, with their ends. Nothing: Kafka does not answer.
    pub(crate) ends: Mutex<Option<BTreeMap<i32, i64>>>,
    /// Whether it is an in-process broker.
    pub(crate) is_in_process: AtomicBool,
    /// Whether topics have the timestamps of their producers.
    pub(crate) takes_timestamps: AtomicBool,
    /// How often it was asked where topics start.
    starts_asked: AtomicUsize,
    records: Arc<Records>,
    /// How many followers there are.
    followers: Arc<AtomicUsize>,
}

/// The topics with records, by their names.
#[derive(Default)]
struct Records {
    topics: Mutex<BTreeMap<String, TopicRecords>>,
    /// Notified of each change.
    written: Condvar,
    /// Whether nothing arrives at followers.
    is_held: AtomicBool,
}

#[derive(Default)]
struct TopicRecords {
    log: String,
    partitions: BTreeMap<i32, PartitionRecords>,
}

#[derive(Default)]
struct PartitionRecords {
    /// The first offset that is held still.
    start: i64,
    /// The first one has offset 0.
    records: Vec<Written>,
}

/// A record that was written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
}

impl PartitionRecords {
    fn end(&self) -> i64 {
        self.records.len() as i64
    }
}

impl Records {
    fn topics(&self) -> MutexGuard<'_, BTreeMap<String, TopicRecords>> {
        self.topics.lock().expect("no panic")
    }
}

impl StandIn {
    pub(crate) fn set(&self, ends: &[i64]) {
        let ends = ends.iter().enumerate().map(|(partition, end)| (partition as i32, *end)).collect();
        *self.ends.lock().expect("no panic") = Some(ends);
    }

    /// Creates a topic with records, in place of the one of that name.
    pub(crate) fn create(&self, topic: &str, log: &str, partitions: i32) {
        let partitions = (0..partitions).map(|partition| (partition, PartitionRecords::default())).collect();
        self.records.topics().insert(topic.to_owned(), TopicRecords { log: log.to_owned(), partitions });
        self.records.written.notify_all();
    }

    /// Writes a record; gives its offset.
    pub(crate) fn write(&self, topic: &str, partition: i32, record: Written) -> i64 {
        let mut topics = self.records.topics();
        let topic = topics.get_mut(topic).expect("it was created");
        let written = topic.partitions.get_mut(&partition).expect("it has that partition");
        written.records.push(record);
        self.records.written.notify_all();
        written.end() - 1
    }

    /// Forgets the records below an offset.
    pub(crate) fn forget(&self, topic: &str, partition: i32, start: i64) {
        let mut topics = self.records.topics();
        let topic = topics.get_mut(topic).expect("it was created");
        topic.partitions.get_mut(&partition).expect("it has that partition").start = start;
    }

    /// Whether nothing arrives at followers from now on.
    pub(crate) fn hold(&self, is_held: bool) {
        self.records.is_held.store(is_held, Ordering::SeqCst);
        self.records.written.notify_all();
    }

    /// How often it was asked where topics start.
    pub(crate) fn starts_asked(&self) -> usize {
        self.starts_asked.load(Ordering::SeqCst)
    }

    /// How many followers there are.
    pub(crate) fn followers(&self) -> usize {
        self.followers.load(Ordering::SeqCst)
    }

    fn asked(&self, topic: &str) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let silent = KafkaError::Timeout { operation: "describe", topic: topic.to_owned(), within: DEADLINE };
        let ends = self.ends.lock().expect("no panic").clone().ok_or(silent)?;
        let topics = self.records.topics();
        let of = |topic: &TopicRecords| -> BTreeMap<i32, i64> {
            topic.partitions.iter().map(|(partition, of)| (*partition, of.end())).collect()
        };
        Ok(topics.get(topic).map_or(ends, of))
    }
}

impl TopicClient for StandIn {
    fn describe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<Topic>, KafkaError>> {
        let log = self.records.topics().get(topic).map_or_else(|| LOG.to_owned(), |topic| topic.log.clone());
        let described = self.asked(topic).map(|ends| Some(Topic { log, partitions: ends.len() as i32, replicas: 1 }));
        Box::pin(async { described })
    }

    fn starts<'a>(
        &'a self,
        topic: &'a str,
        partitions: &'a [i32],
    ) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, KafkaError>> {
        self.starts_asked.fetch_add(1, Ordering::SeqCst);
        let topics = self.records.topics();
        let start = |partition: &i32| topics.get(topic).map_or(0, |topic| topic.partitions[partition].start);
        let starts = partitions.iter().map(|partition| (*partition, start(partition))).collect();
        Box::pin(async move { Ok(starts) })
    }

    fn ends<'a>(&'a self, topic: &'a str, _: &'a [i32]) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, KafkaError>> {
        let ends = self.asked(topic);
        Box::pin(async { ends })
    }
}

impl LogClient for StandIn {
    fn follow(&self, topic: &str, from: &BTreeMap<i32, i64>) -> Result<Box<dyn Follower>, KafkaError> {
        self.followers.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Reading {
            topic: topic.to_owned(),
            next: from.clone(),
            ended: BTreeMap::new(),
            records: Arc::clone(&self.records),
            followers: Arc::clone(&self.followers),
        }))
    }

    fn knows_transactions(&self) -> BoxFuture<'_, Result<Option<bool>, KafkaError>> {
        let known = !self.is_in_process.load(Ordering::SeqCst);
        Box::pin(async move { Ok(Some(known)) })
    }

    fn dates_records<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<bool, KafkaError>> {
        let dated = !self.takes_timestamps.load(Ordering::SeqCst);
        Box::pin(async move { Ok(dated) })
    }
}

/// Reads a topic on.
struct Reading {
    topic: String,
    next: BTreeMap<i32, i64>,
    /// The ends that were told.
    ended: BTreeMap<i32, i64>,
    records: Arc<Records>,
    followers: Arc<AtomicUsize>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.followers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Follower for Reading {
    fn poll(&mut self, wait: Duration, visit: &mut dyn FnMut(Told<'_>)) -> Result<(), KafkaError> {
        let mut topics = self.records.topics();
        let Reading { next, ended, .. } = self;
        let is_news = |topics: &BTreeMap<String, TopicRecords>| {
            let Some(topic) = topics.get(&self.topic) else { return false };
            next.iter().any(|(partition, next)| {
                let of = &topic.partitions[partition];
                (*next < of.end() || *next < of.start) || ended.get(partition) != Some(&of.end())
            })
        };
        let is_held = || self.records.is_held.load(Ordering::SeqCst);
        if is_held() || !is_news(&topics) {
            topics = self.records.written.wait_timeout(topics, wait).expect("no panic").0;
        }
        if is_held() {
            return Ok(());
        }
        let Some(topic) = topics.get(&self.topic) else { return Ok(()) };
        for (partition, next) in next {
            let of = &topic.partitions[partition];
            if *next < of.start || *next > of.end() {
                visit(Told::OutOfRange { partition: *partition });
                continue;
            }
            for record in of.records[*next as usize..].iter().take(POLL_RECORDS) {
                visit(Told::Record(LogRecord {
                    partition: *partition,
                    offset: *next,
                    timestamp_ms: Some(record.timestamp_ms),
                    key: record.key.as_deref(),
                    payload: record.payload.as_deref(),
                }));
                *next += 1;
            }
            if *next == of.end() && ended.insert(*partition, of.end()) != Some(of.end()) {
                visit(Told::End { partition: *partition, offset: of.end() });
            }
        }
        Ok(())
    }
}
