//! Changes of people: inserts, updates and deletes, many of them of the same few ids.

use anyhow::Result;
use e2e_tests::kafka::Record;
use e2e_tests::time::rfc3339;
use e2e_tests::{IndexOracle, Producer};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

use super::PLAN;

/// How many ids there are, of which the first few change again and again.
const IDS: u32 = 1_500;
const HOT: u32 = 5;
const PLANS: [&str; 4] = ["free", "pro", "team", "größer \"und\" teurer"];
const HOUR_MS: i64 = 3_600_000;

/// A change, as it is sent.
pub(super) struct Change {
    pub(super) record: Record,
    is_delete: bool,
    at_ms: i64,
}

impl Change {
    /// Queues it.
    pub(super) fn send(&self, producer: &Producer) -> Result<()> {
        if self.is_delete {
            return producer.delete_at(&self.record.key, self.at_ms);
        }
        producer.send_at(&self.record, self.at_ms)
    }
}

/// An endless, seeded stream of changes, and what they leave. Each is later than the one before.
pub(super) struct Changes {
    rng: StdRng,
    at_ms: i64,
    pub(super) sent: usize,
    pub(super) oracle: IndexOracle,
}

impl Changes {
    /// Changes that happen within the hour before `now_ms`, a millisecond after each other.
    pub(super) fn new(rng: StdRng, now_ms: i64) -> Changes {
        Changes { rng, at_ms: now_ms - HOUR_MS, sent: 0, oracle: IndexOracle::default() }
    }

    /// The next change.
    pub(super) fn next_change(&mut self) -> Change {
        let number =
            if self.rng.random_bool(0.25) { self.rng.random_range(0..HOT) } else { self.rng.random_range(0..IDS) };
        let id = format!("p-{number}");
        if self.rng.random_bool(0.15) { self.delete(&id) } else { self.put(&id) }
    }

    /// A change that leaves a row of an id.
    pub(super) fn put(&mut self, id: &str) -> Change {
        let plan =
            if id.starts_with("stays") { PLAN } else { PLANS.choose(&mut self.rng).copied().expect("not empty") };
        self.put_plan(id, plan)
    }

    /// The same with such a plan.
    pub(super) fn put_plan(&mut self, id: &str, plan: &str) -> Change {
        let at_ms = self.moment();
        let seen_ms = at_ms - self.rng.random_range(0..HOUR_MS);
        let name = format!("name {} of {id}", self.sent);
        let (mut row, mut document) = (Map::new(), Map::new());
        let mut both = |field: &str, value: Value| {
            row.insert(field.to_owned(), value.clone());
            document.insert(field.to_owned(), value);
        };
        both("name", json!(name));
        both("plan", json!(plan));
        if self.rng.random_bool(0.8) {
            both("age", json!(self.rng.random_range(-5..120)));
        }
        if self.rng.random_bool(0.8) {
            both("score", json!(f64::from(self.rng.random_range(-9_999..9_999)) / 8.0));
        }
        if self.rng.random_bool(0.5) {
            both("active", json!(self.rng.random::<bool>()));
        }
        if self.rng.random_bool(0.5) {
            row.insert("seen_at".to_owned(), json!(seen_ms));
            document.insert("seen_at".to_owned(), json!(rfc3339(seen_ms * 1_000)));
        }
        row.insert("id".to_owned(), json!(id));
        document.insert("changed_at".to_owned(), json!(rfc3339(at_ms * 1_000)));
        self.oracle.put(id, document);
        let payload = Value::from(row).to_string().into_bytes();
        Change { record: Record { key: id.to_owned(), payload, partition: None }, is_delete: false, at_ms }
    }

    /// A change that deletes an id, whether it is there or not.
    pub(super) fn delete(&mut self, id: &str) -> Change {
        let at_ms = self.moment();
        self.oracle.delete(id);
        let record = Record { key: id.to_owned(), payload: Vec::new(), partition: None };
        Change { record, is_delete: true, at_ms }
    }

    fn moment(&mut self) -> i64 {
        self.at_ms += 1;
        self.sent += 1;
        self.at_ms
    }
}
