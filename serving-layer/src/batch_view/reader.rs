//! Follows a view's table from version to version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{FutureExt, StreamExt, stream};
use platform::store::{DataFile, Store, StoreError, Table};
use shared_logic::catalog::{Catalog, DefinitionHash, Metric};
use shared_logic::contracts::batch_view::{self, Note};
use shared_logic::time::parse_day;
use tracing::{info, warn};

use super::day::{self, Day};
use super::{Counted, DayFiles, View};

/// Days of one view that are read at once.
const CONCURRENT_DAYS: usize = 4;

/// The memory that all views share (`serving.view_memory`). Where it is used up, the newest days of each view are held and
/// the others are read from the store by the requests that need them.
#[derive(Debug)]
pub(crate) struct Memory {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
}

/// Reads one metric's view.
pub(crate) struct ViewReader {
    store: Store,
    path: String,
    definition: DefinitionHash,
    counted: Arc<Counted>,
    memory: Arc<Memory>,
    table: Option<Table>,
    current: Option<Arc<View>>,
    held_bytes: usize,
}

impl Memory {
    pub(crate) fn new(limit_bytes: usize) -> Memory {
        Memory { limit_bytes, used_bytes: AtomicUsize::new(0) }
    }
}

impl ViewReader {
    pub(crate) fn new(store: Store, catalog: &Catalog, metric: &Metric, memory: Arc<Memory>) -> ViewReader {
        ViewReader {
            store,
            path: batch_view::path(&catalog.deployment.version, &metric.name),
            definition: catalog.definition(metric),
            counted: Arc::new(Counted::new(catalog.sources[&metric.source].clone(), metric.clone())),
            memory,
            table: None,
            current: None,
            held_bytes: 0,
        }
    }

    /// The newest view; `None` where there is no table yet, or nothing was committed to it.
    ///
    /// May be given up at any await: the next call goes on from what is held.
    ///
    /// # Errors
    /// If the store cannot be read. The table is then opened anew at the next call, as it may have been replaced.
    pub(crate) async fn refresh(&mut self) -> Result<Option<Arc<View>>, StoreError> {
        let refreshed = self.newest().await;
        if refreshed.is_err() {
            self.table = None;
        }
        refreshed
    }

    async fn newest(&mut self) -> Result<Option<Arc<View>>, StoreError> {
        match &mut self.table {
            Some(table) => drop(table.refresh().await?),
            None => self.table = self.store.open(&self.path).await?,
        }
        let Some(table) = self.table.clone() else {
            self.replace(None, 0);
            return Ok(None);
        };
        if self.current.as_ref().is_some_and(|view| view.version == table.version()) {
            return Ok(self.current.clone());
        }
        let Some(note) = table.note::<Note>(batch_view::NOTE_DOMAIN).await? else {
            self.replace(None, 0);
            return Ok(None);
        };
        let (days, bytes) = if note.definition == self.definition {
            self.days(&table).await?
        } else {
            warn!(table = self.path, found = %note.definition, wanted = %self.definition, "the view counts another definition");
            (BTreeMap::new(), 0)
        };
        let view = View { version: table.version(), note, days, table, counted: Arc::clone(&self.counted) };
        let (held, cold) = view.days();
        info!(table = self.path, version = view.version, held, cold, bytes, "view loaded");
        self.replace(Some(Arc::new(view)), bytes);
        Ok(self.current.clone())
    }

    /// The days of the table's version, newest first as long as memory lasts; those with the same files are kept.
    async fn days(&self, table: &Table) -> Result<(BTreeMap<i64, DayFiles>, usize), StoreError> {
        let mut files: BTreeMap<i64, Vec<DataFile>> = BTreeMap::new();
        for file in table.files().await? {
            let day = parse_day(&file.partition).ok_or_else(|| StoreError::Foreign {
                table: self.path.clone(),
                what: format!("a file of day {:?}", file.partition),
            })?;
            files.entry(day).or_default().push(file);
        }
        let others = self.memory.used_bytes.load(Ordering::Relaxed).saturating_sub(self.held_bytes);
        let room = self.memory.limit_bytes.saturating_sub(others);
        let mut held = BTreeMap::new();
        let mut bytes = 0;
        let newest_first: Vec<_> =
            files.iter().rev().map(|(day, files)| self.day(table, *day, files).boxed()).collect();
        let mut loading = stream::iter(newest_first).buffered(CONCURRENT_DAYS);
        while let Some(loaded) = loading.next().await {
            let (day, rows) = loaded?;
            if bytes + rows.bytes() > room {
                warn!(table = self.path, room, "serving.view_memory is used up: older days are read when asked for");
                break;
            }
            bytes += rows.bytes();
            held.insert(day, rows);
        }
        drop(loading);
        let days = files.into_iter().map(|(day, files)| (day, DayFiles { files, held: held.remove(&day) })).collect();
        Ok((days, bytes))
    }

    async fn day(&self, table: &Table, day: i64, files: &[DataFile]) -> Result<(i64, Arc<Day>), StoreError> {
        let before = self.current.as_ref().and_then(|view| view.days.get(&day));
        if let Some(DayFiles { files: same, held: Some(held) }) = before
            && paths(same) == paths(files)
        {
            return Ok((day, Arc::clone(held)));
        }
        Ok((day, Arc::new(read_day(table, &self.counted, day, files).await?)))
    }

    fn replace(&mut self, view: Option<Arc<View>>, bytes: usize) {
        self.memory.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.memory.used_bytes.fetch_sub(self.held_bytes, Ordering::Relaxed);
        self.held_bytes = bytes;
        self.current = view;
    }
}

/// Reads and indexes the rows of a day.
///
/// # Errors
/// If a file cannot be read, or is not of the contract's form.
pub(super) async fn read_day(
    table: &Table,
    counted: &Arc<Counted>,
    day: i64,
    files: &[DataFile],
) -> Result<Day, StoreError> {
    let rows = table.read(files, &day::columns(counted)).await?;
    let counted = Arc::clone(counted);
    let build = move || Day::build(&counted, day, rows.collect()?);
    let built = platform::task::blocking(build).await;
    let path = || table.path().to_owned();
    built.map_err(|source| StoreError::Frame { operation: "index a day", table: path(), source })
}

fn paths(files: &[DataFile]) -> BTreeSet<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}
