//! Writes what is decided, and how far that was, in one transaction (T3 to T5).
//!
//! At most one transaction is under way, and the lane goes on deciding meanwhile. The more time transactions take, the rarer they
//! begin, and the more each holds. After any error the lane starts again: what became of the last transaction, the progress topic
//! says.
//!
//! - `waiting`: when a transaction begins;
//! - `counted`: what is told of a transaction that took effect.

mod counted;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Gauge, counter, gauge, histogram};
use platform::failpoints;
use platform::kafka::{KafkaError, TransactionError, TransactionalProducer, Written};
use platform::task::joined;
use shared_logic::contracts::stream::{
    Definitions, ProgressKey, Published, late_headers, mark_headers, no_row_headers, output_headers,
};
use shared_logic::log::PartitionId;
use shared_logic::stream::{Decided, DecidedKind, Mark, Tally};
use tokio::task::JoinHandle;

use self::counted::{Counted, counted};
use self::waiting::Waiting;
use super::open_at::Changes;
use super::parcel::{Most, Parcel, Parcels};
use super::progress::{self, Progress};
use super::source::Shared;

/// How often a lane looks at least what there is to do beside transactions: a snapshot, or a producer that has become idle.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    changes: Changes,
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
    /// T8: per stream, whether its outputs are decided from an incomplete past.
    incomplete: Vec<bool>,
    /// T10: the stream that fills the memory, while the lane has stopped for that.
    full: Option<String>,
    /// Whether a transaction took effect that says more than the ones before the lane was opened.
    has_moved: bool,
    /// How many outputs the transaction holds that is under way.
    flying: usize,
    /// How many outputs are decided and not published.
    undelivered: Gauge,
}

fn undelivered(source: &str, id: &PartitionId) -> Gauge {
    gauge!("braid_stream_undelivered_outputs", "source" => source.to_owned(), "partition" => id.partition.to_string())
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
    /// Whether it published something.
    moves: bool,
    /// By stream.
    counted: Vec<Counted>,
}

impl Publisher {
    /// Publishes for a lane whose published state is `progress`. `start` is where it goes on, without outputs.
    pub fn new(
        shared: Arc<Shared>,
        id: PartitionId,
        partitions: i32,
        output_partitions: Vec<i32>,
        progress: Progress,
        changes: Changes,
        start: Parcel,
    ) -> Publisher {
        let now = Instant::now();
        Publisher {
            interval: shared.settings.min_interval.get(),
            undelivered: undelivered(&shared.source.name, &id),
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
            incomplete: Vec::new(),
            full: None,
            has_moved: false,
            flying: 0,
        }
    }

    /// Appends what was decided next.
    pub fn push(&mut self, parcel: Parcel) {
        self.parcels.push(parcel);
        self.tell_undelivered();
    }

    /// T8: says per stream whether what is published is decided from an incomplete past.
    pub fn set_incomplete(&mut self, incomplete: Vec<bool>) {
        self.incomplete = incomplete;
    }

    /// T10: says which stream fills the memory, so that the lane has stopped; or that it goes on.
    pub fn set_full(&mut self, full: Option<String>) {
        self.full = full;
    }

    /// Has the next transaction begin at once: it notes where the lane begins, what has changed, its first marks, or that it has stopped.
    pub fn begin_at_once(&mut self) {
        self.at_once = true;
    }

    /// Says what has happened to events of which everything is published: it was told before.
    pub fn decides_again(&mut self, tallies: Vec<Tally>) {
        self.last.tallies = tallies;
    }

    /// Tells that nothing is open here any more: another process may have the lane.
    pub fn leave(&self) {
        self.shared.plan.streams().iter().for_each(|stream| self.open(&stream.name).set(0.0));
        self.undelivered.set(0.0);
    }

    fn tell_undelivered(&self) {
        self.undelivered.set((self.parcels.outputs() + self.flying) as f64);
    }

    fn open(&self, stream: &str) -> Gauge {
        gauge!("braid_stream_open", "stream" => stream.to_owned(), "partition" => self.id.partition.to_string())
    }

    /// Whether there is room for what a further step decides (T10).
    pub fn has_room(&self) -> bool {
        // What an offset causes may have to wait until all of it is decided, so there is room for it up to the last byte.
        self.parcels.bytes() as u64 <= self.shared.settings.pending.bytes()
    }

    /// How much a transaction holds.
    fn most(&self) -> Most {
        let settings = &self.shared.settings;
        Most { outputs: settings.max_outputs, bytes: settings.max_transaction.as_usize() }
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

    /// The definitions that its streams were published by last.
    pub fn definitions(&self) -> Definitions {
        let streams = self.shared.plan.streams().iter();
        let known = streams.filter_map(|stream| self.progress.get_key_value(&stream.name));
        known.map(|(name, published)| (name.clone(), published.definition.clone())).collect()
    }

    /// Whether a transaction took effect that published anything beyond where the lane was opened. One of marks or progress alone takes
    /// effect even where a topic refuses every output, so it does not say that the lane goes on.
    pub fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// A topic that has gained partitions since the lane was opened: marks would not reach them, or events of a group no longer lie in one
    /// (T12). The lane has to be opened anew.
    pub fn grown(&self) -> Option<String> {
        let (streams, seen) = (self.shared.plan.streams(), self.shared.partitions.borrow());
        let rekeyed = streams.iter().zip(&self.output_partitions).filter(|(stream, _)| stream.rekeys);
        let source =
            streams.iter().any(|stream| !stream.groups_meet).then_some((&self.shared.source.topic, self.partitions));
        let known = rekeyed.map(|(stream, partitions)| (&stream.topic, *partitions)).chain(source);
        grown(known, &seen)
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
        let parcel = self.parcels.take(self.most());
        let mut parcel = parcel.unwrap_or_else(|| Parcel {
            outputs: Vec::new(),
            positions: self.last.positions.clone(),
            fronts: self.last.fronts.clone(),
            checked: self.last.checked,
            is_whole: self.last.is_whole,
            tallies: self.last.tallies.clone(),
        });
        let marked = self.rekeys().then(|| Marked {
            at: Instant::now(),
            front_us: parcel.fronts.front_us(),
            idle: is_idle && self.parcels.is_empty(),
        });
        let counted = counted(&parcel, &self.last.tallies);
        let moves = parcel.positions != self.last.positions;
        let outputs = std::mem::take(&mut parcel.outputs);
        self.flying = outputs.len();
        let (records, progress) = self.transaction(outputs, &parcel, marked.as_ref());
        self.last = parcel;
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
            Ok(Committed { producer, progress, took: began.elapsed(), marked, moves, counted })
        }));
    }

    fn is_due(&self, is_idle: bool) -> bool {
        self.due_in(is_idle) == Some(Duration::ZERO)
    }

    /// In how long the next transaction is due; `None`: not before something happens.
    fn due_in(&self, is_idle: bool) -> Option<Duration> {
        if self.at_once {
            return Some(Duration::ZERO);
        }
        let moved = !self.parcels.is_empty() || self.last.fronts.front_us() != self.marked.front_us;
        let idles = is_idle && !self.marked.idle;
        let most = self.most();
        let waiting = Waiting {
            outputs: self.parcels.outputs() > 0 && self.parcels.ready(most) > 0,
            is_full: self.parcels.outputs() >= most.outputs || self.parcels.bytes() >= most.bytes,
            progress: !self.parcels.is_empty(),
            marks: self.rekeys() && (moved || idles),
        };
        waiting.due_in(&self.shared.settings, self.interval, self.began.elapsed(), self.marked.at.elapsed())
    }

    /// Whether the transaction that was under way has ended, so that [`Publisher::finished`] does not wait.
    pub fn has_finished(&self) -> bool {
        self.under_way.as_ref().is_some_and(JoinHandle::is_finished)
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
        self.flying = 0;
        self.tell_undelivered();
        let settings = &self.shared.settings;
        self.interval = (committed.took * 2).clamp(settings.min_interval.get(), settings.max_interval.get());
        histogram!("braid_stream_transaction_seconds").record(committed.took.as_secs_f64());
        (self.producer, self.progress) = (Some(committed.producer), committed.progress);
        if let Some(marked) = committed.marked {
            self.marked = marked;
        }
        self.changes = Changes::default();
        self.has_moved |= committed.moves;
        self.tell(&committed.counted);
        Ok(())
    }

    /// Tells what a transaction holds that took effect.
    fn tell(&self, counted: &[Counted]) {
        for (stream, counted) in self.shared.plan.streams().iter().zip(counted) {
            let labels = [("stream", stream.name.clone())];
            counter!("braid_stream_outputs_total", &labels).increment(counted.outputs);
            counter!("braid_stream_late_total", &labels).increment(counted.late);
            counter!("braid_stream_no_row_total", &labels).increment(counted.no_row);
            counter!("braid_stream_dropped_total", &labels).increment(counted.dropped);
            self.open(&stream.name).set(counted.open as f64);
        }
    }

    /// In how long to look again whether something is due. What is read, or that a transaction ends, wakes the lane by itself.
    pub fn next_look(&self, is_idle: bool) -> Duration {
        if self.under_way.is_some() {
            return LOOK_EVERY;
        }
        let settings = &self.shared.settings;
        let mut look = self.due_in(is_idle).map_or(LOOK_EVERY, |due| due.min(LOOK_EVERY));
        // Others wait until it says that it is idle, which comes with time alone.
        if self.rekeys() && !self.marked.idle {
            look = look.min(settings.mark_every.get());
        }
        look.max(settings.min_interval.get())
    }

    /// T4: ends a producer that has had nothing to do for a while; each costs some threads.
    pub async fn close_idle_producer(&mut self) {
        if self.began.elapsed() >= self.shared.settings.producer_idle.get()
            && let Some(producer) = self.producer.take()
        {
            producer.close().await;
        }
    }

    /// The records of a transaction of these outputs, and what is published once it has taken effect. `parcel` is where it ends.
    fn transaction(&self, outputs: Vec<Decided>, parcel: &Parcel, marked: Option<&Marked>) -> (Vec<Written>, Progress) {
        let streams = self.shared.plan.streams();
        let topics: Vec<(Arc<str>, Arc<str>)> =
            streams.iter().map(|stream| (stream.topic.as_str().into(), stream.late_topic.as_str().into())).collect();
        let mut records: Vec<Written> = outputs.into_iter().map(|decided| self.written(decided, &topics)).collect();
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
        let noted = |key: &ProgressKey, payload: Option<Vec<u8>>| Written {
            topic: Arc::clone(&topic),
            partition: Some(self.id.partition),
            key: Some(key.to_bytes()),
            payload,
            headers: Vec::new(),
        };
        records.extend(self.changes.noted.iter().map(|(key, changed)| noted(key, Some(changed.to_bytes()))));
        let mut progress = self.progress.clone();
        for stream in &self.changes.removed {
            records.push(noted(&ProgressKey::Stream(stream.clone()), None));
            progress.remove(stream);
        }
        for (at, (stream, position)) in streams.iter().zip(&parcel.positions).enumerate() {
            let published = Published {
                log: self.id.log.clone(),
                position: *position,
                fronts: parcel.fronts.clone(),
                definition: stream.definition.clone(),
                checked: parcel.checked,
                incomplete: self.incomplete.get(at).copied().unwrap_or_default(),
                full: self.full.clone(),
                open: parcel.tallies.get(at).map_or(0, |tally| tally.unwritten as u64),
                never_written: self.progress.get(&stream.name).map_or(0, |of| of.never_written_before(&self.id.log)),
            };
            records.push(noted(&ProgressKey::Stream(stream.name.clone()), Some(published.to_bytes())));
            progress.insert(stream.name.clone(), published);
        }
        (records, progress)
    }

    /// The record of an output. `topics` are those of the streams: for outputs, and for the side output.
    fn written(&self, decided: Decided, topics: &[(Arc<str>, Arc<str>)]) -> Written {
        let Decided { stream, position, kind, key, payload, .. } = decided;
        let ((topic, late_topic), stream) = (&topics[stream], &self.shared.plan.streams()[stream]);
        let (id, definition) = (&self.id, &stream.definition);
        let (topic, partition, headers) = match &kind {
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
        Written { topic: Arc::clone(topic), partition, key, payload: Some(payload), headers }
    }
}

/// The first of some topics that has more partitions than were known.
fn grown<'a>(mut known: impl Iterator<Item = (&'a String, i32)>, seen: &BTreeMap<String, i32>) -> Option<String> {
    let has_grown = |(topic, partitions): &(&String, i32)| seen.get(*topic).is_some_and(|seen| seen > partitions);
    known.find(has_grown).map(|(topic, _)| topic.clone())
}

/// T4: takes the lane over. If anything else is published than what the lane was opened with, it has to be opened again.
async fn take_over(shared: &Shared, id: &PartitionId, known: &Progress) -> Result<TransactionalProducer, NotPublished> {
    failpoints::pass("streams::before_init");
    let producer = TransactionalProducer::init(&shared.kafka, &shared.transactional_id(id), shared.written()).await?;
    if progress::read(shared, id.partition).await?.published == *known {
        return Ok(producer);
    }
    producer.close().await;
    Err(NotPublished::Overtaken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_to_know_of_partitions_that_a_topic_has_gained() {
        let seen = BTreeMap::from([("by_country".to_owned(), 4)]);
        let (topic, other) = ("by_country".to_owned(), "other".to_owned());
        let of = |partitions| grown([(&other, 1), (&topic, partitions)].into_iter(), &seen);
        assert_eq!(of(3), Some("by_country".to_owned()));
        assert_eq!(of(4), None);
        assert_eq!(of(5), None, "what is seen may be older than what the lane was opened with");
    }
}
