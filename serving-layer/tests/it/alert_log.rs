//! The topics of alerts, stood in for: transactions under one id, of which the last producer that was started may write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use platform::kafka::{KafkaError, TransactionError};
use serde_json::Value;
use serving_layer::{AlertLog, AlertRead, AlertRecords, AlertWriter, NoAlertTopics, StoredRecord};
use shared_logic::contracts::alert::{AlertStates, StateRecord};

const ID: &str = "braid.alerts";

/// Both topics, and who may write to them.
#[derive(Clone, Default)]
pub(crate) struct AlertTopics(Arc<Mutex<Topics>>);

#[derive(Default)]
struct Topics {
    exist: bool,
    changes: Vec<Value>,
    states: Vec<StoredRecord>,
    /// Counts the producers that were started.
    epoch: u64,
    /// The outcomes that are in store for transactions, the last one first.
    outcomes: Vec<Outcome>,
}

/// What becomes of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It fails, and nothing is written.
    Lost,
    /// It takes effect, and the reply is lost.
    ReplyLost,
}

struct Writer {
    topics: AlertTopics,
    epoch: u64,
}

impl AlertTopics {
    /// Every change that was written.
    pub(crate) fn changes(&self) -> Vec<Value> {
        self.lock().changes.clone()
    }

    /// The changes in short, such as `ok>firing`, and with ! what receivers are told of.
    pub(crate) fn words(&self) -> Vec<String> {
        let text = |change: &Value| {
            let notice = if change["notice"].is_null() { "" } else { "!" };
            format!("{}>{}{notice}", change["from"].as_str().unwrap_or("?"), change["to"].as_str().unwrap_or("?"))
        };
        self.changes().iter().map(text).collect()
    }

    /// Notes notifications that are owed from before any process of the test.
    pub(crate) fn owes(&self, notifications: impl Iterator<Item = StateRecord>) {
        let mut topics = self.lock();
        topics.exist = true;
        topics.states.extend(notifications.map(|(key, payload)| (Some(key), payload)));
    }

    /// The numbers of the notifications that are owed.
    pub(crate) fn owed(&self) -> Vec<u64> {
        let mut states = AlertStates::default();
        for (key, payload) in &self.lock().states {
            states.take(key.as_deref(), payload.as_deref());
        }
        states.undelivered.into_keys().collect()
    }

    /// Starts a producer that never writes anything: a process that has taken over and dies.
    pub(crate) fn fence(&self) {
        self.lock().epoch += 1;
    }

    /// What becomes of the next transaction.
    pub(crate) fn next(&self, outcome: Outcome) {
        self.lock().outcomes.push(outcome);
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AlertLog for AlertTopics {
    fn read<'a>(&'a self, _: Option<&'a str>, from: i64) -> BoxFuture<'a, Result<Option<AlertRead>, KafkaError>> {
        let topics = self.lock();
        let records: Vec<_> = topics.states.iter().skip(from as usize).cloned().collect();
        let read = AlertRead { log: "alerts-log".to_owned(), next: topics.states.len() as i64, records };
        let read = topics.exist.then_some(read);
        Box::pin(async move { Ok(read) })
    }

    fn create(&self) -> BoxFuture<'_, Result<(), NoAlertTopics>> {
        self.lock().exist = true;
        Box::pin(async { Ok(()) })
    }

    fn take_over(&self) -> BoxFuture<'_, Result<Box<dyn AlertWriter>, TransactionError>> {
        let mut topics = self.lock();
        topics.epoch += 1;
        let writer = Writer { topics: self.clone(), epoch: topics.epoch };
        Box::pin(async move { Ok(Box::new(writer) as Box<dyn AlertWriter>) })
    }
}

impl AlertWriter for Writer {
    fn commit(
        self: Box<Self>,
        records: AlertRecords,
    ) -> BoxFuture<'static, Result<Box<dyn AlertWriter>, TransactionError>> {
        Box::pin(async move {
            let failed = |reason: &str| {
                let (operation, id, reason) = ("commit a transaction", ID.to_owned(), reason.to_owned());
                TransactionError::Failed { operation, id, reason }
            };
            let mut topics = self.topics.lock();
            if topics.epoch != self.epoch {
                return Err(TransactionError::Fenced { id: ID.to_owned() });
            }
            let outcome = topics.outcomes.pop();
            if outcome == Some(Outcome::Lost) {
                return Err(failed("it timed out"));
            }
            for (_, change) in &records.changes {
                topics.changes.push(serde_json::from_slice(change).expect("a change is JSON"));
            }
            topics.states.extend(records.states.into_iter().map(|(key, payload)| (Some(key), payload)));
            drop(topics);
            match outcome {
                Some(Outcome::ReplyLost) => Err(failed("the reply was lost")),
                _ => Ok(self as Box<dyn AlertWriter>),
            }
        })
    }
}
