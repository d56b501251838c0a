//! The newest snapshot, replaced every `serving.refresh`, and at once if a request finds that its snapshot is too old.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use shared_logic::catalog::Catalog;
use shared_logic::complete::Gap;
use storage::Storage;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::MissedTickBehavior;

use super::known_gaps::KnownGaps;
use super::refresh::TableReaders;
use super::{Snapshot, TopicsBySource};
use crate::batch_view::Disk;
use crate::topics::TopicWatch;

/// How long the first snapshot waits for Kafka to describe the topics, so that the first answers are not incomplete.
const FIRST_TOPICS_WITHIN: Duration = Duration::from_secs(1);

/// The newest snapshot of one version, and what is needed to take the next.
pub(crate) struct SnapshotCache {
    current: ArcSwapOption<Snapshot>,
    /// How many snapshots were taken.
    taken: watch::Sender<u64>,
    /// When the newest one was begun.
    begun_at: ArcSwapOption<Instant>,
    /// How many snapshots were begun.
    begun: AtomicU64,
    /// Locked while a snapshot is taken, so that snapshots are taken one after the other.
    readers: Mutex<TableReaders>,
    topics: BTreeMap<String, Arc<TopicWatch>>,
    known_gaps: KnownGaps,
    disk: Arc<Disk>,
    version: String,
    /// The tables of the views.
    tables: Vec<String>,
}

impl SnapshotCache {
    /// Has no snapshot yet. The segments of batch views lie on `disk`.
    pub(crate) fn new(catalog: &Catalog, storage: &Storage, disk: Arc<Disk>) -> SnapshotCache {
        let topics = catalog.sources.iter();
        let topics = topics.map(|(name, source)| (name.clone(), Arc::new(TopicWatch::new(&source.topic))));
        let readers = TableReaders::new(catalog, storage, &disk);
        SnapshotCache {
            tables: readers.tables(),
            current: ArcSwapOption::empty(),
            taken: watch::Sender::new(0),
            begun_at: ArcSwapOption::empty(),
            begun: AtomicU64::new(0),
            readers: Mutex::new(readers),
            topics: topics.collect(),
            known_gaps: KnownGaps::default(),
            disk,
            version: catalog.deployment.version.clone(),
        }
    }

    /// The newest snapshot; `None` before the first.
    pub(crate) fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// How long ago the newest snapshot was begun; `None` before the first.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.begun_at.load().as_ref().map(|begun| begun.elapsed())
    }

    /// The newest snapshot; waits for the first.
    pub(crate) async fn newest(&self) -> Option<Arc<Snapshot>> {
        // This cannot fail: the sender lives as long as `self`.
        let _ = self.taken.subscribe().wait_for(|taken| *taken > 0).await;
        self.current()
    }

    /// Waits for a snapshot in which every view and archive of the catalog was read at least once.
    pub(crate) async fn whole(&self, catalog: &Catalog) {
        let mut taken = self.taken.subscribe();
        let is_whole = |_: &u64| self.current().is_some_and(|snapshot| snapshot.is_whole(catalog));
        // This cannot fail, either.
        let _ = taken.wait_for(is_whole).await;
    }

    /// The tables of the views, below the deployment's folder.
    pub(crate) fn tables(&self) -> &[String] {
        &self.tables
    }

    /// A snapshot that was begun after this call. Callers that wait at the same time share one.
    pub(crate) async fn newer(self: &Arc<Self>) -> Option<Arc<Snapshot>> {
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        let cache = Arc::clone(self);
        // It runs in its own task: a request that is cancelled must not end a snapshot that others wait for.
        let taken = tokio::spawn(async move {
            let readers = cache.readers.lock().await;
            match cache.current().filter(|snapshot| snapshot.sequence >= wanted) {
                Some(snapshot) => snapshot,
                None => {
                    metrics::counter!("braid_serving_looks_on_demand_total").increment(1);
                    cache.take(readers).await
                }
            }
        });
        taken.await.ok()
    }

    /// Takes a snapshot every `every`, and when a view was loaded, for ever. The first one waits a moment for Kafka's descriptions.
    pub(crate) async fn follow(&self, every: Duration) {
        let tried = self.topics.values().map(|topic| topic.tried());
        let _ = tokio::time::timeout(FIRST_TOPICS_WITHIN, futures::future::join_all(tried)).await;
        let mut loaded = self.disk.loaded.subscribe();
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // This cannot fail: the sender lives as long as `self`.
                _ = loaded.changed() => {}
            }
            let readers = self.readers.lock().await;
            self.take(readers).await;
        }
    }

    /// The topics of the sources, to be described by a background task.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Arc<TopicWatch>> {
        self.topics.values()
    }

    /// Puts the newest descriptions of topics into the current snapshot, without reading tables.
    pub(crate) fn renew_topics(&self) {
        let topics = self.topics_now();
        let renewed = |current: &Option<Arc<Snapshot>>| {
            current.as_ref().map(|snapshot| Arc::new(snapshot.with_topics(topics.clone())))
        };
        self.current.rcu(renewed);
    }

    /// Whether a newer snapshot may close some of these gaps of a metric, whose view has that version.
    pub(crate) fn may_close(&self, metric: &str, view: Option<u64>, gaps: &[Gap]) -> bool {
        self.known_gaps.may_close(metric, view, gaps)
    }

    /// Remembers that newer snapshots did not close these gaps.
    pub(crate) fn not_closed(&self, metric: &str, view: Option<u64>, gaps: &[Gap]) {
        self.known_gaps.add(metric, view, gaps);
    }

    async fn take(&self, mut readers: MutexGuard<'_, TableReaders>) -> Arc<Snapshot> {
        let sequence = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let begun_at = Instant::now();
        let before = self.current().unwrap_or_default();
        let views = readers.views(&before.views).await;
        // Only now, so that no archive is older than the one from which a view was computed.
        let archives = readers.archives(&before.archives).await;
        let snapshot = Snapshot::new(sequence, views, archives, self.topics_now());
        metrics::gauge!("braid_serving_view_memory_bytes").set(self.disk.memory_bytes() as f64);
        self.count_segments(snapshot.segment_bytes());
        self.current.store(Some(Arc::new(snapshot)));
        self.begun_at.store(Some(Arc::new(begun_at)));
        // A description may have arrived while this snapshot was put together.
        self.renew_topics();
        self.taken.send_modify(|taken| *taken += 1);
        self.current().unwrap_or_default()
    }

    /// What the segments of this version's views take on disk, as telemetry.
    fn count_segments(&self, bytes: u64) {
        metrics::gauge!("braid_serving_segment_bytes", "version" => self.version.clone()).set(bytes as f64);
    }

    fn topics_now(&self) -> TopicsBySource {
        self.topics.iter().map(|(source, watch)| (source.clone(), watch.last())).collect()
    }
}

impl Drop for SnapshotCache {
    fn drop(&mut self) {
        self.count_segments(0);
    }
}
