//! Loads a version of a view: it finds the segments that it needs, and builds those that are missing.
//!
//! The work follows what has changed. A day whose files are the same is not looked at. To a day that has gained files, their rows
//! are added; one that has lost files is built from all of its files. Then the months of these days get the new totals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use platform::store::{DataFile, StoreError};
use platform::task;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::batch_view::Note;
use shared_logic::time::{month_start, parse_day};
use storage::BatchView;
use tracing::{info, warn};

use super::day::{self, DayBuilder};
use super::disk::Disk;
use super::month;
use super::segment::{Origin, Period, Segment};
use super::shelf::Shelf;
use super::{Counted, Month, View, ViewError};

/// About how many bytes of sorted rows a build keeps in memory.
const RUN_BYTES: usize = 8 << 20;

/// Segments by day.
type Days = BTreeMap<i64, Arc<Segment>>;

/// Loads versions of one view.
pub(super) struct Loader {
    pub(super) definition: DefinitionHash,
    pub(super) counted: Arc<Counted>,
    pub(super) disk: Arc<Disk>,
    pub(super) shelf: Arc<Shelf>,
}

impl Loader {
    /// The view at the table's version. If it fails, the next call goes on from what was built.
    ///
    /// # Errors
    /// If the store cannot be read, or segments cannot be written.
    pub(super) async fn load(&self, table: &BatchView, note: Arc<Note>) -> Result<View, ViewError> {
        let (began, before) = (Instant::now(), self.shelf.built());
        self.shelf.search().await?;
        let mut months = BTreeMap::new();
        if note.definition == self.definition {
            for (first, days) in self.days(table).await? {
                let segment = self.month(table, first, &days).await?;
                months.insert(first, Month { segment, days });
            }
        } else {
            warn!(
                table = table.path(),
                found = %note.definition,
                wanted = %self.definition,
                "the view counts another definition and is not used"
            );
        }
        let (counted, disk) = (Arc::clone(&self.counted), Arc::clone(&self.disk));
        let view = View { version: table.version(), note, months, counted, disk };
        self.shelf.keep_only(view.segments());
        let (on_disk, built) = (view.on_disk(), self.shelf.built() - before);
        info!(
            table = table.path(),
            version = view.version,
            days = on_disk.days,
            months = on_disk.months,
            built,
            segment_bytes = on_disk.bytes,
            took_ms = began.elapsed().as_millis(),
            "view loaded"
        );
        Ok(view)
    }

    /// The segments of all days, by the first day of their month. They are built one after the other, so that a view which takes long
    /// leaves room for others.
    async fn days(&self, table: &BatchView) -> Result<BTreeMap<i64, Days>, ViewError> {
        let mut months: BTreeMap<i64, Days> = BTreeMap::new();
        for (day, files) in files_by_day(table).await? {
            let segment = self.day(table, day, &files).await?;
            months.entry(month_start(day)).or_default().insert(day, segment);
        }
        Ok(months)
    }

    async fn day(&self, table: &BatchView, day: i64, files: &[DataFile]) -> Result<Arc<Segment>, ViewError> {
        let origin = self.origin(table, Period::Day(day), files.iter().map(|file| file.path.clone()).collect());
        if let Some(found) = self.shelf.find(&origin) {
            return Ok(found);
        }
        let mut building = self.disk.building().await;
        let older = self.shelf.like(&origin).into_iter().filter(|segment| origin.includes(segment.origin()));
        let base = older.max_by_key(|segment| segment.origin().sources.len());
        let columns = day::columns(&self.counted);
        let mut builder = DayBuilder::new(&self.counted, &self.shelf, day, table.path(), RUN_BYTES);
        for file in not_in(base.as_deref(), files) {
            for group in building.lend(table.row_groups(file, &columns, |_| true)).await? {
                let rows = building.lend(group.read(Ok)).await?;
                builder = task::blocking(move || builder.add(rows)).await?;
            }
        }
        Ok(task::blocking(move || builder.finish(base.as_deref(), origin)).await?)
    }

    async fn month(&self, table: &BatchView, first: i64, days: &Days) -> Result<Arc<Segment>, ViewError> {
        let sources: BTreeSet<String> = days.values().map(|day| day.digest().to_owned()).collect();
        let origin = self.origin(table, Period::Month(first), sources);
        if let Some(found) = self.shelf.find(&origin) {
            return Ok(found);
        }
        let _building = self.disk.building().await;
        let shared = |segment: &Arc<Segment>| segment.origin().sources.intersection(&origin.sources).count();
        let base = self.shelf.like(&origin).into_iter().max_by_key(shared);
        let (shelf, days) = (Arc::clone(&self.shelf), days.clone());
        Ok(task::blocking(move || month::build(&shelf, first, &days, base.as_deref(), origin)).await?)
    }

    fn origin(&self, table: &BatchView, period: Period, sources: BTreeSet<String>) -> Origin {
        Origin { table: table.path().to_owned(), definition: self.definition.clone(), period, sources }
    }
}

/// Those of the files whose rows an older segment does not have.
fn not_in<'a>(base: Option<&Segment>, files: &'a [DataFile]) -> Vec<&'a DataFile> {
    let is_in = |file: &DataFile| base.is_some_and(|base| base.origin().sources.contains(&file.path));
    files.iter().filter(|file| !is_in(file)).collect()
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
