//! The batch views in memory: exact partials of everything below the cut, indexed by group key.
//!
//! A view is an immutable snapshot of one version of its Delta table. A new version shares with the old one every day whose
//! files are the same, so a reconcile costs the serving layer only the days that it changed. Within a day a group key is one
//! stretch of rows, ordered by bucket, and behind them one row with the whole day: a total over a year merges 365 values.
//!
//! - `columns`: values of one measure, eight bytes each;
//! - `day`: one day's rows and their index by group key, for every grouping set;
//! - `cells`: what a query takes out of them;
//! - `reader`: follows a table from version to version, within `serving.view_memory`.

mod cells;
mod columns;
mod day;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::store::{DataFile, StoreError, Table};
use shared_logic::catalog::{Metric, Source};
use shared_logic::contracts::batch_view::Note;
use shared_logic::group_key::GroupKey;
use shared_logic::time::{DAY_US, TimeRange};
use tokio::sync::Semaphore;

pub(crate) use cells::{Cells, Fold};
use day::Day;
pub(crate) use reader::{Memory, ViewReader};

/// Days that are read from the store for single requests, at once in the process per metric.
const COLD_READS: usize = 2;
/// After so many days a request lets others have the thread.
const DAYS_PER_TURN: usize = 16;

/// One version of one metric's batch view.
pub(crate) struct View {
    /// The version of its table.
    pub(crate) version: u64,
    /// What the commit says of its rows; they are only held if the definition is the catalog's.
    pub(crate) note: Note,
    days: BTreeMap<i64, DayFiles>,
    table: Table,
    counted: Arc<Counted>,
}

/// What a view counts.
pub(crate) struct Counted {
    pub(crate) source: Source,
    pub(crate) metric: Metric,
    cold: Semaphore,
}

/// A day: its files, and its rows unless the memory for views is used up by newer days.
#[derive(Clone)]
struct DayFiles {
    files: Vec<DataFile>,
    held: Option<Arc<Day>>,
}

impl View {
    /// The cells of a group key whose buckets lie in the range, folded as the query needs them.
    ///
    /// # Errors
    /// If a day that is not held in memory cannot be read from the store.
    pub(crate) async fn cells(&self, key: &GroupKey, range: TimeRange, fold: Fold) -> Result<Cells, StoreError> {
        let mut cells = Cells::new(&self.counted.metric, fold);
        let days = range.from_us.div_euclid(DAY_US)..=(range.to_us - 1).div_euclid(DAY_US);
        if days.is_empty() {
            return Ok(cells);
        }
        for (at, (day, files)) in self.days.range(days).enumerate() {
            match &files.held {
                Some(held) => held.take(key, range, &mut cells),
                None => {
                    let _permit = self.counted.cold.acquire().await;
                    let rows = reader::read_day(&self.table, &self.counted, *day, &files.files).await?;
                    rows.take(key, range, &mut cells);
                }
            }
            if at % DAYS_PER_TURN == DAYS_PER_TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(cells)
    }

    /// Days in memory, and days that are read from the store when they are asked for.
    pub(crate) fn days(&self) -> (usize, usize) {
        let held = self.days.values().filter(|day| day.held.is_some()).count();
        (held, self.days.len() - held)
    }

    /// The bytes of the days in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.days.values().filter_map(|day| day.held.as_ref()).map(|day| day.bytes()).sum()
    }
}

impl Counted {
    pub(crate) fn new(source: Source, metric: Metric) -> Counted {
        Counted { source, metric, cold: Semaphore::new(COLD_READS) }
    }
}
