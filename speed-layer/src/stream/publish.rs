//! Writes what is decided, and how far that was, in one transaction (T3 to T5).
//!
//! At most one transaction is under way, and the lane goes on deciding meanwhile. The more time transactions take, the rarer they
//! begin, and the more each holds. After any error the lane starts again: what became of the last transaction, the progress topic
//! says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use platform::failpoints;
use platform::kafka::{KafkaError, TransactionError, TransactionalProducer, Written};
use platform::task::joined;
use shared_logic::contracts::stream::{
    Changed, ProgressKey, Published, late_headers, mark_headers, no_row_headers, output_headers,
};
use shared_logic::log::PartitionId;
use shared_logic::stream::{Decided, DecidedKind, Mark};
use tokio::task::JoinHandle;

use super::parcel::{Parcel, Parcels};
use super::progress::{self, Progress};
use super::source::Shared;

/// Why nothing more can be published.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    /// The transaction failed, or its outcome is unknown.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// T4: before this lane's first transaction, another one has published.
    #[error("another worker has published since this lane was opened")]
    Overtaken,
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// Publishes what one lane decides.
pub struct Publisher {
    shared: Arc<Shared>,
    id: PartitionId,
    partitions: i32,
    output_partitions: Vec<i32>,
    /// What is published, as far as this lane knows.
    progress: Progress,
    changes: Vec<(ProgressKey, Changed)>,
    parcels: Parcels,
    /// Where the last transaction ended.
    last: Parcel,
    producer: Option<TransactionalProducer>,
    under_way: Option<JoinHandle<Result<Committed, NotPublished>>>,
    /// When the last transaction began.
    began: Instant,
    interval: Duration,
    /// Whether the next one begins at once, whatever it holds.
    at_once: bool,
    marked: Marked,
    /// T8: whether outputs are decided from an incomplete past.
    incomplete: bool,
    transactions: u64,
}

/// The last marks.
struct Marked {
    at: Instant,
    front_us: Option<i64>,
    idle: bool,
}

/// A transaction that took effect.
struct Committed {
    producer: TransactionalProducer,
    progress: Progress,
    took: Duration,
    marked: Option<Marked>,
}

impl Publisher {
    /// Publishes for a lane whose published state is `progress`. `start` is where it goes on, without outputs.
    pub fn new(
        shared: Arc<Shared>,
        id: PartitionId,
        partitions: i32,
        output_partitions: Vec<i32>,
        progress: Progress,
        changes: Vec<(ProgressKey, Changed)>,
        start: Parcel,
    ) -> Publisher {
        let now = Instant::now();
        Publisher {
            interval: shared.settings.min_interval.get(),
            shared,
            id,
            partitions,
            output_partitions,
            progress,
            changes,
            parcels: Parcels::default(),
            last: start,
            producer: None,
            under_way: None,
            began: now,
            at_once: false,
            marked: Marked { at: now, front_us: None, idle: false },
            incomplete: false,
            transactions: 0,
        }
    }

    /// Appends what was decided next.
    pub fn push(&mut self, parcel: Parcel) {
        self.parcels.push(parcel);
    }

    /// T8: says whether what is published is decided from an incomplete past.
    pub fn set_incomplete(&mut self, incomplete: bool) {
        self.incomplete = incomplete;
    }

    /// Has the next transaction begin at once: it notes where the lane begins, what has changed, or its first marks.
    pub fn begin_at_once(&mut self) {
        self.at_once = true;
    }

    /// Whether there is room for what a further step decides (T10).
    pub fn has_room(&self) -> bool {
        (self.parcels.bytes() as u64) < self.shared.settings.pending.bytes()
    }

    /// Whether all that was decided is published.
    pub fn is_settled(&self) -> bool {
        self.parcels.is_empty() && self.under_way.is_none()
    }

    /// The smallest offset that is not published; `None` before anything is.
    pub fn published(&self) -> Option<i64> {
        let streams = self.shared.plan.streams().iter();
        let positions = streams.map(|stream| self.progress.get(&stream.name).filter(|known| known.log == self.id.log));
        positions.map(|known| known.map(|known| known.position.offset)).min().flatten()
    }

    /// How many transactions took effect.
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    fn rekeys(&self) -> bool {
        self.shared.plan.streams().iter().any(|stream| stream.rekeys)
    }

    /// Begins a transaction if it is time. `is_idle`: whether the lane has stood at its log's end for a while.
    pub fn begin_if_due(&mut self, is_idle: bool) {
        if self.under_way.is_some() || !self.is_due(is_idle) {
            return;
        }
        self.at_once = false;
        let parcel = self.parcels.take(self.shared.settings.max_outputs);
        let parcel = parcel.unwrap_or_else(|| Parcel {
            outputs: Vec::new(),
            positions: self.last.positions.clone(),
            fronts: self.last.fronts.clone(),
            checked: self.last.checked,
        });
        let marked = self.rekeys().then(|| Marked {
            at: Instant::now(),
            front_us: parcel.fronts.front_us(),
            idle: is_idle && self.parcels.is_empty(),
        });
        let (records, progress) = self.transaction(&parcel, marked.as_ref());
        self.last = Parcel { outputs: Vec::new(), ..parcel };
        self.began = Instant::now();
        let (shared, id, known) = (Arc::clone(&self.shared), self.id.clone(), self.progress.clone());
        let producer = self.producer.take();
        self.under_way = Some(tokio::spawn(async move {
            let began = Instant::now();
            let producer = match producer {
                Some(producer) => producer,
                None => take_over(&shared, &id, &known).await?,
            };
            failpoints::pass("streams::before_transaction");
            let producer = producer.commit(records).await?;
            failpoints::pass("streams::after_commit");
            Ok(Committed { producer, progress, took: began.elapsed(), marked })
        }));
    }

    fn is_due(&self, is_idle: bool) -> bool {
        let settings = &self.shared.settings;
        let since = self.began.elapsed();
        let has_outputs = self.parcels.outputs() > 0;
        self.at_once
            || (has_outputs && since >= self.interval)
            || (!self.parcels.is_empty() && since >= settings.progress_every.get())
            || (self.marks_are_due(is_idle) && since >= self.interval)
    }

    fn marks_are_due(&self, is_idle: bool) -> bool {
        let moved = !self.parcels.is_empty() || self.last.fronts.front_us() != self.marked.front_us;
        let idles = is_idle && !self.marked.idle;
        self.rekeys() && self.marked.at.elapsed() >= self.shared.settings.mark_every.get() && (moved || idles)
    }

    /// Waits until the transaction that is under way has taken effect.
    ///
    /// # Errors
    /// If it failed, or may have failed: then the lane starts again.
    ///
    /// Must be called only while one is under way; without one it waits for ever.
    pub async fn finished(&mut self) -> Result<(), NotPublished> {
        let Some(under_way) = &mut self.under_way else { return std::future::pending().await };
        let ended = joined(under_way.await);
        self.under_way = None;
        let committed = ended?;
        let settings = &self.shared.settings;
        self.interval = (committed.took * 2).clamp(settings.min_interval.get(), settings.max_interval.get());
        histogram!("braid_stream_transaction_seconds").record(committed.took.as_secs_f64());
        (self.producer, self.progress) = (Some(committed.producer), committed.progress);
        if let Some(marked) = committed.marked {
            self.marked = marked;
        }
        self.changes.clear();
        self.transactions += 1;
        Ok(())
    }

    /// When to look again whether something is due.
    pub fn next_look(&self) -> Duration {
        let settings = &self.shared.settings;
        let wait = if self.parcels.outputs() > 0 {
            self.interval
        } else if self.rekeys() {
            settings.mark_every.get()
        } else {
            settings.progress_every.get()
        };
        wait.saturating_sub(self.began.elapsed()).max(settings.min_interval.get())
    }

    /// T4: ends a producer that has had nothing to do for a while; each costs some threads.
    pub async fn close_idle_producer(&mut self) {
        if self.began.elapsed() >= self.shared.settings.producer_idle.get()
            && let Some(producer) = self.producer.take()
        {
            producer.close().await;
        }
    }

    /// The records of a transaction, and what is published once it has taken effect.
    fn transaction(&self, parcel: &Parcel, marked: Option<&Marked>) -> (Vec<Written>, Progress) {
        let streams = self.shared.plan.streams();
        for (at, stream) in streams.iter().enumerate() {
            count(&stream.name, parcel.outputs.iter().filter(|decided| decided.stream == at));
        }
        let topics: Vec<(Arc<str>, Arc<str>)> =
            streams.iter().map(|stream| (stream.topic.as_str().into(), stream.late_topic.as_str().into())).collect();
        let mut records: Vec<Written> =
            parcel.outputs.iter().map(|decided| self.written(decided, &topics[decided.stream])).collect();
        for (stream, partitions) in streams.iter().zip(&self.output_partitions).filter(|(stream, _)| stream.rekeys) {
            let Some(marked) = marked else { break };
            let mark = Mark {
                log: self.id.log.clone(),
                partition: self.id.partition,
                partitions: self.partitions,
                front_us: marked.front_us,
                idle: marked.idle,
            };
            let (topic, headers): (Arc<str>, _) = (stream.topic.as_str().into(), mark_headers(&stream.name, &mark));
            records.extend((0..*partitions).map(|partition| Written {
                topic: Arc::clone(&topic),
                partition: Some(partition),
                key: None,
                payload: None,
                headers: headers.clone(),
            }));
        }
        let topic: Arc<str> = self.shared.progress_topic().into();
        let noted = |key: &ProgressKey, value: Vec<u8>| Written {
            topic: Arc::clone(&topic),
            partition: Some(self.id.partition),
            key: Some(key.to_bytes()),
            payload: Some(value),
            headers: Vec::new(),
        };
        records.extend(self.changes.iter().map(|(key, changed)| noted(key, changed.to_bytes())));
        let mut progress = self.progress.clone();
        for (stream, position) in streams.iter().zip(&parcel.positions) {
            let published = Published {
                log: self.id.log.clone(),
                position: *position,
                fronts: parcel.fronts.clone(),
                definition: stream.definition.clone(),
                checked: parcel.checked,
                incomplete: self.incomplete,
            };
            records.push(noted(&ProgressKey::Stream(stream.name.clone()), published.to_bytes()));
            progress.insert(stream.name.clone(), published);
        }
        (records, progress)
    }

    fn written(&self, decided: &Decided, (topic, late_topic): &(Arc<str>, Arc<str>)) -> Written {
        let stream = &self.shared.plan.streams()[decided.stream];
        let (id, position, definition) = (&self.id, decided.position, &stream.definition);
        let (topic, partition, headers) = match &decided.kind {
            DecidedKind::Output => {
                let headers = output_headers(&stream.name, id, position, definition, stream.rekeys);
                (topic, (!stream.rekeys).then_some(id.partition), headers)
            }
            DecidedKind::Late { missed } => {
                let headers = late_headers(&stream.name, id, position, definition, missed.as_ref());
                (late_topic, Some(id.partition), headers)
            }
            DecidedKind::NoRow { table, seen } => {
                let headers = no_row_headers(&stream.name, id, position, definition, table, seen.as_deref());
                (late_topic, Some(id.partition), headers)
            }
        };
        Written {
            topic: Arc::clone(topic),
            partition,
            key: decided.key.clone(),
            payload: Some(decided.payload.clone()),
            headers,
        }
    }
}

/// Counts what a transaction holds of a stream, all at once.
fn count<'a>(stream: &str, decided: impl Iterator<Item = &'a Decided>) {
    let (mut outputs, mut late, mut no_row) = (0, 0, 0);
    for decided in decided {
        match decided.kind {
            DecidedKind::Output => outputs += 1,
            DecidedKind::Late { .. } => late += 1,
            DecidedKind::NoRow { .. } => no_row += 1,
        }
    }
    counter!("braid_stream_outputs_total", "stream" => stream.to_owned()).increment(outputs);
    counter!("braid_stream_late_total", "stream" => stream.to_owned()).increment(late);
    counter!("braid_stream_no_row_total", "stream" => stream.to_owned()).increment(no_row);
}

/// T4: takes the lane over. If anything else is published than what the lane was opened with, it has to be opened again.
async fn take_over(shared: &Shared, id: &PartitionId, known: &Progress) -> Result<TransactionalProducer, NotPublished> {
    failpoints::pass("streams::before_init");
    let producer = TransactionalProducer::init(&shared.kafka, &shared.transactional_id(id)).await?;
    if progress::read(shared, id.partition).await? == *known {
        return Ok(producer);
    }
    producer.close().await;
    Err(NotPublished::Overtaken)
}
