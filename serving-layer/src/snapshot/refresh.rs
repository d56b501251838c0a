//! Takes snapshots: every `serving.refresh`, and at once where a request has seen that its look is too old.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use platform::store::{Store, StoreError, Table};
use shared_logic::catalog::Catalog;
use shared_logic::complete::{Gap, Why};
use shared_logic::contracts::archive::{self, Facts};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::{Archive, Known, Snapshot};
use crate::batch_view::{Memory, ViewReader};
use crate::topics::{TopicState, TopicWatch};

/// Tables that are looked at at once.
const CONCURRENT_TABLES: usize = 8;
/// How long the first look waits for the topics, so that the first answers need not be incomplete.
const FIRST_TOPICS_WITHIN: Duration = Duration::from_secs(1);

/// The newest look, and what is needed to take the next.
pub(crate) struct SnapshotCache {
    current: ArcSwapOption<Snapshot>,
    /// Whether there is one.
    first: watch::Sender<bool>,
    /// The number of snapshots that were begun.
    begun: AtomicU64,
    readers: Mutex<Readers>,
    topics: BTreeMap<String, Arc<TopicWatch>>,
    known_gaps: std::sync::Mutex<KnownGaps>,
}

/// Per metric, gaps that snapshots on demand did not close, with the view's version: asking again would not either.
type KnownGaps = BTreeMap<String, (Option<u64>, Vec<Gap>)>;

/// One at a time takes a look, so that snapshots succeed each other.
struct Readers {
    views: BTreeMap<String, ViewReader>,
    archives: BTreeMap<String, ArchiveReader>,
}

impl SnapshotCache {
    pub(crate) fn new(catalog: &Catalog, store: &Store, view_memory: usize) -> SnapshotCache {
        let memory = Arc::new(Memory::new(view_memory));
        let view = |name: &String, metric| {
            (name.clone(), ViewReader::new(store.clone(), catalog, metric, Arc::clone(&memory)))
        };
        let archive = |name: &String| (name.clone(), ArchiveReader::new(store.clone(), name));
        SnapshotCache {
            current: ArcSwapOption::empty(),
            first: watch::Sender::new(false),
            begun: AtomicU64::new(0),
            readers: Mutex::new(Readers {
                views: catalog.metrics.iter().map(|(name, metric)| view(name, metric)).collect(),
                archives: catalog.sources.keys().map(archive).collect(),
            }),
            topics: catalog
                .sources
                .iter()
                .map(|(name, source)| (name.clone(), Arc::new(TopicWatch::new(&source.topic))))
                .collect(),
            known_gaps: std::sync::Mutex::default(),
        }
    }

    /// The newest look; `None` before the first.
    pub(crate) fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// The newest look; waits for the first.
    pub(crate) async fn newest(&self) -> Option<Arc<Snapshot>> {
        // The sender lives as long as this does.
        let _ = self.first.subscribe().wait_for(|first| *first).await;
        self.current()
    }

    /// Those who look at the sources' topics.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Arc<TopicWatch>> {
        self.topics.values()
    }

    /// Puts what is known of the topics into the newest look, between two snapshots at the store.
    pub(crate) fn renew_topics(&self) {
        let topics = self.topics_known();
        let renewed = |snapshot: &Option<Arc<Snapshot>>| {
            snapshot.as_ref().map(|snapshot| Arc::new(Snapshot { topics: topics.clone(), ..Snapshot::clone(snapshot) }))
        };
        self.current.rcu(renewed);
    }

    /// Takes snapshots for ever. The first one waits a moment for what Kafka says.
    pub(crate) async fn follow(&self, every: Duration) {
        let asked = self.topics.values().map(|topic| topic.asked());
        let _ = tokio::time::timeout(FIRST_TOPICS_WITHIN, futures::future::join_all(asked)).await;
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let readers = self.readers.lock().await;
            self.take(readers).await;
        }
    }

    /// A look that was begun after this call. Callers at the same time share one.
    pub(crate) async fn newer(self: &Arc<Self>) -> Option<Arc<Snapshot>> {
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        let snapshots = Arc::clone(self);
        // In a task of its own: a request that gives up must not end a look that others wait for.
        let taken = tokio::spawn(async move {
            let readers = snapshots.readers.lock().await;
            match snapshots.current().filter(|snapshot| snapshot.sequence >= wanted) {
                Some(snapshot) => snapshot,
                None => {
                    metrics::counter!("braid_serving_looks_on_demand_total").increment(1);
                    snapshots.take(readers).await
                }
            }
        });
        taken.await.ok()
    }

    /// Whether a newer look may close these gaps: a reconcile has perhaps just committed, and slices were dropped.
    pub(crate) fn may_close(&self, metric: &str, view: Option<u64>, gaps: &[Gap]) -> bool {
        let closable = |gap: &Gap| {
            matches!(gap.why, Why::NoSliceAtCut { .. } | Why::NotCountedSince { .. } | Why::ArchiveLookTooOld)
        };
        gaps.iter().any(closable) && self.known_gaps().get(metric).is_none_or(|known| *known != (view, gaps.to_vec()))
    }

    /// Notes that newer snapshots did not close these gaps.
    pub(crate) fn not_closed(&self, metric: &str, view: Option<u64>, gaps: &[Gap]) {
        self.known_gaps().insert(metric.to_owned(), (view, gaps.to_vec()));
    }

    fn known_gaps(&self) -> std::sync::MutexGuard<'_, KnownGaps> {
        self.known_gaps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, mut readers: MutexGuard<'_, Readers>) -> Arc<Snapshot> {
        let sequence = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let before = self.current().unwrap_or_default();
        let Readers { views, archives } = &mut *readers;
        let views =
            views.iter_mut().map(|(name, reader)| async { (name.clone(), error_text(reader.refresh().await)) }.boxed());
        let views = at_once(views.collect()).await;
        // Only now: no older than what a view was computed from.
        let archives = archives
            .iter_mut()
            .map(|(name, reader)| async { (name.clone(), error_text(reader.refresh().await)) }.boxed());
        let archives = at_once(archives.collect()).await;
        let snapshot = Snapshot {
            sequence,
            views: known(&before.views, views),
            archives: known(&before.archives, archives),
            topics: self.topics_known(),
        };
        let bytes: usize =
            snapshot.views.values().filter_map(|view| view.value.as_ref()?.as_ref()).map(|view| view.bytes()).sum();
        metrics::gauge!("braid_serving_view_memory_bytes").set(bytes as f64);
        self.current.store(Some(Arc::new(snapshot)));
        // A topic may have been asked while this look was put together.
        self.renew_topics();
        self.first.send_replace(true);
        self.current().unwrap_or_default()
    }

    fn topics_known(&self) -> BTreeMap<String, Arc<TopicState>> {
        self.topics.iter().map(|(name, watch)| (name.clone(), watch.known())).collect()
    }
}

/// Follows a source's archive.
struct ArchiveReader {
    store: Store,
    path: String,
    table: Option<Table>,
    current: Option<Archive>,
}

impl ArchiveReader {
    fn new(store: Store, source: &str) -> ArchiveReader {
        ArchiveReader { store, path: archive::path(source), table: None, current: None }
    }

    /// The newest facts; `None` where there is no archive yet.
    async fn refresh(&mut self) -> Result<Option<Archive>, StoreError> {
        let refreshed = self.newest().await;
        if refreshed.is_err() {
            self.table = None;
        }
        refreshed
    }

    async fn newest(&mut self) -> Result<Option<Archive>, StoreError> {
        match &mut self.table {
            Some(table) => drop(table.refresh().await?),
            None => self.table = self.store.open(&self.path).await?,
        }
        let Some(table) = &self.table else {
            self.current = None;
            return Ok(None);
        };
        let version = table.version();
        if self.current.as_ref().is_none_or(|archive| archive.version != version) {
            let facts: Option<Facts> = table.note(archive::FACTS_DOMAIN).await?;
            self.current = Some(Archive { version, facts: Arc::new(facts.unwrap_or_default()) });
        }
        Ok(self.current.clone())
    }
}

/// Reads some tables at once.
async fn at_once<T>(reads: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(reads).buffer_unordered(CONCURRENT_TABLES).collect().await
}

fn error_text<T>(read: Result<T, StoreError>) -> Result<T, String> {
    read.map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{source}")
    })
}

/// What is known by name after another try.
fn known<T: Clone>(
    before: &BTreeMap<String, Known<T>>,
    read: Vec<(String, Result<T, String>)>,
) -> BTreeMap<String, Known<T>> {
    let mut known = BTreeMap::new();
    for (name, read) in read {
        let before = before.get(&name);
        if let Err(error) = &read
            && before.is_none_or(|before| before.error.is_none())
        {
            warn!(of = name, error, "cannot read the store; what was known stays");
        }
        let after = Known::after(before, read);
        known.insert(name, after);
    }
    known
}
