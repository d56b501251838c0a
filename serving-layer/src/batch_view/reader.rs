//! Follows a view's table from version to version.

use std::sync::Arc;
use std::time::Duration;

use platform::task::{Backoff, joined};
use shared_logic::catalog::{Catalog, Metric};
use shared_logic::contracts::batch_view::Note;
use storage::{BatchView, Followed, Storage};
use tokio::task::JoinSet;
use tracing::info;

use super::disk::Disk;
use super::load::Loader;
use super::shelf::Shelf;
use super::{Counted, View, ViewError};

/// How long a refresh waits for a view that is being loaded. Views that take longer hold nothing else up.
const LOADED_WITHIN: Duration = Duration::from_secs(1);
/// The first wait before a load that failed is tried again; doubled each time, up to 32 times this.
const RETRY: Duration = Duration::from_millis(500);

/// Reads the batch view of one metric.
pub(crate) struct ViewReader {
    table: Followed<Note>,
    pub(super) loader: Arc<Loader>,
    /// The view that was loaded last.
    current: Option<Arc<View>>,
    /// The load that is running, if one is.
    loading: JoinSet<Result<View, ViewError>>,
    /// Whether a refresh has waited for it already.
    is_slow: bool,
    /// Whether the last load failed, and how long the next one waits.
    failed: Option<Backoff>,
}

/// What a refresh has found.
pub(crate) enum Refreshed {
    /// The newest view.
    View(Arc<View>),
    /// There is no table, or no commit to it.
    NoView,
    /// A newer view than the last one is being loaded.
    Loading,
}

impl ViewReader {
    pub(crate) fn new(storage: &Storage, catalog: &Catalog, metric: &Metric, disk: Arc<Disk>) -> ViewReader {
        let table = storage.follow_batch_view(&metric.name);
        let kinds = metric.measures.iter().map(|measure| measure.kind).collect();
        let loader = Loader {
            definition: catalog.definition(metric),
            counted: Arc::new(Counted { source: catalog.sources[&metric.source].clone(), metric: metric.clone() }),
            shelf: Arc::new(Shelf::new(&disk, table.path(), kinds)),
            disk,
        };
        ViewReader {
            table,
            loader: Arc::new(loader),
            current: None,
            loading: JoinSet::new(),
            is_slow: false,
            failed: None,
        }
    }

    /// The path of the view's table.
    pub(crate) fn table(&self) -> &str {
        self.table.path()
    }

    /// Looks for a newer view. If there is one, it is loaded in a task of its own, for which this waits a moment.
    ///
    /// May be cancelled at any await; the next call continues from what is known.
    ///
    /// # Errors
    /// If the store cannot be read or a load failed. The next call opens the table anew, as it may have been replaced.
    pub(crate) async fn refresh(&mut self) -> Result<Refreshed, ViewError> {
        let newest = self.table.newest().await?;
        let Some((table, note)) = newest.and_then(|table| Some((table.clone(), Arc::clone(table.note()?)))) else {
            self.loading = JoinSet::new();
            self.current = None;
            return Ok(Refreshed::NoView);
        };
        if self.loading.is_empty() {
            if let Some(view) = self.current.as_ref().filter(|view| is_same(view, &table, &note)) {
                return Ok(Refreshed::View(Arc::clone(view)));
            }
            self.begin(table, note);
        }
        self.loaded().await
    }

    /// Begins to load a version. The task ends when this reader is dropped.
    fn begin(&mut self, table: BatchView, note: Arc<Note>) {
        let (loader, disk) = (Arc::clone(&self.loader), Arc::clone(&self.loader.disk));
        let wait = self.failed.as_mut().map(Backoff::wait);
        self.is_slow = wait.is_some();
        self.loading.spawn(async move {
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
            let loaded = loader.load(&table, note).await;
            disk.loaded.notify_one();
            loaded
        });
    }

    /// Waits for the load, unless that has turned out to be slow.
    async fn loaded(&mut self) -> Result<Refreshed, ViewError> {
        let within = if self.is_slow { Duration::ZERO } else { LOADED_WITHIN };
        match tokio::time::timeout(within, self.loading.join_next()).await {
            Ok(Some(ended)) => self.ended(joined(ended)),
            Ok(None) => Ok(Refreshed::Loading),
            Err(_) => {
                if !self.is_slow {
                    info!(table = self.table.path(), "the view takes a while to load; until then the last one stays");
                }
                self.is_slow = true;
                Ok(Refreshed::Loading)
            }
        }
    }

    fn ended(&mut self, loaded: Result<View, ViewError>) -> Result<Refreshed, ViewError> {
        match loaded {
            Ok(view) => {
                self.failed = None;
                Ok(Refreshed::View(Arc::clone(self.current.insert(Arc::new(view)))))
            }
            Err(error) => {
                self.failed.get_or_insert_with(|| Backoff::new(RETRY));
                Err(error)
            }
        }
    }
}

/// Whether the view is that version of its table, and can be read. The note is another one where a log that was replaced has
/// another commit of that number.
fn is_same(view: &View, table: &BatchView, note: &Arc<Note>) -> bool {
    view.version == table.version() && Arc::ptr_eq(&view.note, note) && !view.is_damaged()
}
