//! Follows a view's table from version to version.

use std::sync::Arc;
use std::time::Duration;

use platform::store::StoreError;
use platform::task::{Backoff, joined};
use shared_logic::catalog::{Catalog, Metric};
use shared_logic::contracts::batch_view::Note;
use storage::{BatchView, Followed, Storage};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::info;

use super::disk::Disk;
use super::load::Loader;
use super::shelf::Shelf;
use super::{Counted, View, ViewError};

/// How long a refresh waits for a look at the table, and for a newer view to be loaded. What takes longer holds nothing else up.
const LOOKED_WITHIN: Duration = Duration::from_secs(1);
/// The first wait before a load that failed is tried again; doubled each time, up to 32 times this.
const RETRY: Duration = Duration::from_millis(500);

/// Reads the batch view of one metric.
pub(crate) struct ViewReader {
    path: String,
    pub(super) loader: Arc<Loader>,
    /// The table, unless it is looked at.
    table: Option<Followed<Note>>,
    /// The view that was loaded last.
    current: Option<Arc<View>>,
    /// The look at the table that is under way, if one is, with the load of what it finds.
    looking: JoinSet<(Followed<Note>, Looked)>,
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
    /// The table is looked at, or a newer view than the last one is being loaded.
    Loading,
}

/// What a look at the table came to.
enum Looked {
    /// The newest view.
    View(Arc<View>),
    /// There is no table, or no commit to it.
    NoView,
    /// The table could not be read.
    NotRead(StoreError),
    /// The newest view could not be loaded.
    NotLoaded(ViewError),
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
            path: table.path().to_owned(),
            loader: Arc::new(loader),
            table: Some(table),
            current: None,
            looking: JoinSet::new(),
            is_slow: false,
            failed: None,
        }
    }

    /// The path of the view's table.
    pub(crate) fn table(&self) -> &str {
        &self.path
    }

    /// Looks for a newer view, and loads it if there is one, in a task of its own, for which this waits a moment: neither a log nor files
    /// that cannot be read hold up other views.
    ///
    /// May be cancelled at any await; the next call continues from what is known.
    ///
    /// # Errors
    /// If the store cannot be read or a load failed. The next call opens the table anew, as it may have been replaced.
    pub(crate) async fn refresh(&mut self) -> Result<Refreshed, ViewError> {
        if let Some(table) = self.table.take() {
            self.begin(table);
        }
        let within = if self.is_slow { Duration::ZERO } else { LOOKED_WITHIN };
        match tokio::time::timeout(within, self.looking.join_next()).await {
            Ok(Some(ended)) => self.ended(joined(ended)),
            Ok(None) => Ok(Refreshed::Loading),
            Err(_) => {
                if !self.is_slow {
                    info!(table = self.path, "the view takes a while to load; until then the last one stays");
                }
                self.is_slow = true;
                Ok(Refreshed::Loading)
            }
        }
    }

    /// Begins to look at the table. The task ends when this reader is dropped.
    fn begin(&mut self, table: Followed<Note>) {
        let (loader, current) = (Arc::clone(&self.loader), self.current.clone());
        let wait = self.failed.as_mut().map(Backoff::wait);
        self.is_slow = wait.is_some();
        self.looking.spawn(async move {
            let began = Instant::now();
            let looked = look(table, current, &loader, wait).await;
            // No refresh waits for it any more.
            if wait.is_some() || began.elapsed() >= LOOKED_WITHIN {
                loader.disk.loaded.send_modify(|loaded| *loaded += 1);
            }
            looked
        });
    }

    fn ended(&mut self, (table, looked): (Followed<Note>, Looked)) -> Result<Refreshed, ViewError> {
        self.table = Some(table);
        match looked {
            Looked::View(view) => {
                self.failed = None;
                self.current = Some(Arc::clone(&view));
                Ok(Refreshed::View(view))
            }
            Looked::NoView => {
                self.current = None;
                Ok(Refreshed::NoView)
            }
            Looked::NotRead(error) => Err(error.into()),
            Looked::NotLoaded(error) => {
                self.failed.get_or_insert_with(|| Backoff::new(RETRY));
                Err(error)
            }
        }
    }
}

/// Looks at the table, and loads its newest version, after that wait, unless it is `current`.
async fn look(
    mut table: Followed<Note>,
    current: Option<Arc<View>>,
    loader: &Loader,
    wait: Option<Duration>,
) -> (Followed<Note>, Looked) {
    let newest = table.newest().await;
    let newest = newest.map(|newest| newest.and_then(|version| Some((version.clone(), Arc::clone(version.note()?)))));
    let (version, note) = match newest {
        Ok(Some(newest)) => newest,
        Ok(None) => return (table, Looked::NoView),
        Err(error) => return (table, Looked::NotRead(error)),
    };
    if let Some(view) = current.filter(|view| is_same(view, &version, &note)) {
        return (table, Looked::View(view));
    }
    if let Some(wait) = wait {
        tokio::time::sleep(wait).await;
    }
    match loader.load(&version, note).await {
        Ok(view) => (table, Looked::View(Arc::new(view))),
        Err(error) => (table, Looked::NotLoaded(error)),
    }
}

/// Whether the view is that version of its table, and can be read. The note is another one where a log that was replaced has
/// another commit of that number.
fn is_same(view: &View, table: &BatchView, note: &Arc<Note>) -> bool {
    view.version == table.version() && Arc::ptr_eq(&view.note, note) && !view.is_damaged()
}
