//! Follows a view's table from version to version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{FutureExt, StreamExt, stream};
use platform::store::{DataFile, StoreError};
use shared_logic::catalog::{Catalog, DefinitionHash, Metric};
use shared_logic::contracts::batch_view::Note;
use shared_logic::time::parse_day;
use storage::{BatchView, Followed, Storage};
use tracing::{info, warn};

use super::day::{self, Day};
use super::{Counted, DayFiles, Memory, View};

/// How many days of one view are read at the same time.
const CONCURRENT_DAYS: usize = 4;

/// Reads the batch view of one metric.
pub(crate) struct ViewReader {
    table: Followed<Note>,
    definition: DefinitionHash,
    counted: Arc<Counted>,
    memory: Arc<Memory>,
    current: Option<Arc<View>>,
    held_bytes: usize,
}

impl ViewReader {
    pub(crate) fn new(storage: &Storage, catalog: &Catalog, metric: &Metric, memory: Arc<Memory>) -> ViewReader {
        ViewReader {
            table: storage.follow_batch_view(&metric.name),
            definition: catalog.definition(metric),
            counted: Arc::new(Counted::new(catalog.sources[&metric.source].clone(), metric.clone())),
            memory,
            current: None,
            held_bytes: 0,
        }
    }

    /// The newest view; `None` while there is no table, or no commit to it.
    ///
    /// May be cancelled at any await; the next call continues from what is known.
    ///
    /// # Errors
    /// If the store cannot be read. The next call opens the table anew, as it may have been replaced.
    pub(crate) async fn refresh(&mut self) -> Result<Option<Arc<View>>, StoreError> {
        let newest = self.table.newest().await?;
        let Some((table, note)) = newest.and_then(|table| Some((table.clone(), Arc::clone(table.note()?)))) else {
            self.replace(None, 0);
            return Ok(None);
        };
        // The note is another one where a log that was replaced has another commit of that number.
        let is_same = |view: &Arc<View>| view.version == table.version() && Arc::ptr_eq(&view.note, &note);
        if self.current.as_ref().is_some_and(is_same) {
            return Ok(self.current.clone());
        }
        let (days, bytes) = if note.definition == self.definition {
            self.days(&table).await?
        } else {
            warn!(
                table = table.path(),
                found = %note.definition,
                wanted = %self.definition,
                "the view counts another definition and is not used"
            );
            (BTreeMap::new(), 0)
        };
        let view = View { version: table.version(), note, days, table, counted: Arc::clone(&self.counted) };
        let (held, cold) = view.days();
        info!(table = view.table.path(), version = view.version, held, cold, bytes, "view loaded");
        self.replace(Some(Arc::new(view)), bytes);
        Ok(self.current.clone())
    }

    /// The days of the table's version. The newest are held as long as there is memory; those whose files have not changed are
    /// taken from the version before.
    async fn days(&self, table: &BatchView) -> Result<(BTreeMap<i64, DayFiles>, usize), StoreError> {
        let files = files_by_day(table).await?;
        let room = self.memory.room(self.held_bytes);
        let mut held = BTreeMap::new();
        let mut bytes = 0;
        let newest_first: Vec<_> =
            files.iter().rev().map(|(day, files)| self.day(table, *day, files).boxed()).collect();
        let mut loading = stream::iter(newest_first).buffered(CONCURRENT_DAYS);
        while let Some(loaded) = loading.next().await {
            let (day, rows) = loaded?;
            if bytes + rows.bytes() > room {
                warn!(
                    table = table.path(),
                    room, "serving.view_memory is used up; requests read older days from the store"
                );
                break;
            }
            bytes += rows.bytes();
            held.insert(day, rows);
        }
        drop(loading);
        let days = files.into_iter().map(|(day, files)| (day, DayFiles { files, held: held.remove(&day) })).collect();
        Ok((days, bytes))
    }

    async fn day(&self, table: &BatchView, day: i64, files: &[DataFile]) -> Result<(i64, Arc<Day>), StoreError> {
        let before = self.current.as_ref().and_then(|view| view.days.get(&day));
        if let Some(DayFiles { files: same, held: Some(held) }) = before
            && paths(same) == paths(files)
        {
            return Ok((day, Arc::clone(held)));
        }
        Ok((day, Arc::new(read_day(table, &self.counted, day, files).await?)))
    }

    fn replace(&mut self, view: Option<Arc<View>>, bytes: usize) {
        self.memory.replace(self.held_bytes, bytes);
        self.held_bytes = bytes;
        self.current = view;
    }
}

/// Reads and indexes the rows of a day.
///
/// # Errors
/// If a file cannot be read, or does not have the columns of a batch view.
pub(super) async fn read_day(
    table: &BatchView,
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

async fn files_by_day(table: &BatchView) -> Result<BTreeMap<i64, Vec<DataFile>>, StoreError> {
    let mut files: BTreeMap<i64, Vec<DataFile>> = BTreeMap::new();
    for file in table.files().await? {
        let day = parse_day(&file.partition).ok_or_else(|| StoreError::Foreign {
            table: table.path().to_owned(),
            what: format!("a file of day {:?}", file.partition),
        })?;
        files.entry(day).or_default().push(file);
    }
    Ok(files)
}

fn paths(files: &[DataFile]) -> BTreeSet<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}
