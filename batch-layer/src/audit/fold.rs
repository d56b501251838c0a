//! Events → what each bucket should say: one after the other, in the order of their places.

use std::collections::BTreeMap;

use serde::Serialize;
use shared_logic::catalog::Metric;
use shared_logic::log::PartitionId;
use shared_logic::measure::Value;
use shared_logic::time::bucket_start;

use super::events::{Event, FirstCopies, Found};

/// What becomes of an event of the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", content = "of", rename_all = "snake_case")]
pub enum Fate {
    /// It is counted.
    Counted,
    /// It is left out: the record at that place is an earlier copy.
    CopyOf {
        /// The log.
        log: String,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
    /// The metric's condition leaves it out.
    LeftOutByWhere,
}

/// An event of the key, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The log.
    pub log: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// What becomes of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What a bucket should say, and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bucket {
    /// Of each measure. Empty, if no event counts.
    pub(super) values: Vec<Value>,
    /// Of each measure, the sum of the absolute values: what the error of a sum of floats is measured by.
    pub(super) scales: Vec<f64>,
    /// Every event of the key.
    pub(super) seen: Vec<Seen>,
}

/// What the buckets should say, by their start. `events` are sorted by their places.
pub(super) fn buckets(metric: &Metric, events: Vec<Event>, firsts: &FirstCopies) -> BTreeMap<i64, Bucket> {
    let mut buckets: BTreeMap<i64, Bucket> = BTreeMap::new();
    for event in events {
        let bucket = buckets.entry(bucket_start(event.time_us, metric.grain_us)).or_default();
        let first = event.identity.and_then(|identity| firsts.get(&identity)).filter(|first| **first != event.at);
        let fate = match first {
            Some(Found { id: PartitionId { log, partition }, place }) => {
                Fate::CopyOf { log: log.clone(), partition: *partition, offset: place.offset }
            }
            None if !event.is_accepted => Fate::LeftOutByWhere,
            None => {
                bucket.add(metric, event.values);
                Fate::Counted
            }
        };
        let Found { id: PartitionId { log, partition }, place } = event.at;
        bucket.seen.push(Seen { log, partition, offset: place.offset, fate });
    }
    buckets
}

impl Bucket {
    fn add(&mut self, metric: &Metric, values: Vec<Value>) {
        if self.values.is_empty() {
            self.values = metric.measures.iter().map(|measure| measure.kind.identity()).collect();
            self.scales = vec![0.0; metric.measures.len()];
        }
        for (at, (measure, value)) in metric.measures.iter().zip(values).enumerate() {
            if let Value::Float(x) = value {
                self.scales[at] += x.abs();
            }
            self.values[at] = measure.kind.merge(self.values[at].clone(), value);
        }
    }
}
