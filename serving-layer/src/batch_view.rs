//! The batch views in memory: exact partials of all events below the cut, indexed by group key.
//!
//! A view is one version of its Delta table and never changes. A new version shares with the old one every day whose files are
//! the same, so after a reconcile only the changed days are read. Within a day, the rows of a group key are adjacent and ordered
//! by bucket, and after them comes one row for the whole day. So a total over a year merges 365 values.
//!
//! - `reader`: follows a table from version to version;
//! - `memory`: the limit `serving.view_memory`;
//! - `day`: the rows of one day, indexed by group key for every grouping set;
//! - `columns`: the values of one measure, eight bytes each;
//! - `cells`: what a query reads from a view.

mod cells;
mod columns;
mod day;
mod memory;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::store::{DataFile, StoreError};
use shared_logic::catalog::{Metric, Source};
use shared_logic::contracts::batch_view::Note;
use shared_logic::group_key::GroupKey;
use shared_logic::time::{DAY_US, TimeRange};
use storage::BatchView;
use tokio::sync::Semaphore;

pub(crate) use cells::{Cells, Fold};
use day::Day;
pub(crate) use memory::Memory;
pub(crate) use reader::ViewReader;

/// How many days of one metric are read from the store for requests at the same time.
const COLD_READS: usize = 2;
/// After so many days, a request yields its thread to others.
const DAYS_PER_TURN: usize = 16;

/// One version of one metric's batch view.
pub(crate) struct View {
    /// The version of its table.
    pub(crate) version: u64,
    /// What the commit says about its rows. Rows are read only if the definition is the catalog's.
    pub(crate) note: Arc<Note>,
    days: BTreeMap<i64, DayFiles>,
    table: BatchView,
    counted: Arc<Counted>,
}

/// What a view counts.
struct Counted {
    source: Source,
    metric: Metric,
    /// Limits reads of days that are not in memory.
    cold: Semaphore,
}

/// A day: its files, and its rows unless newer days use up the memory.
#[derive(Clone)]
struct DayFiles {
    files: Vec<DataFile>,
    held: Option<Arc<Day>>,
}

impl View {
    /// The cells of a group key whose buckets are in the range, merged as far as the query allows.
    ///
    /// # Errors
    /// If a day that is not in memory cannot be read from the store.
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

    /// How many days are in memory, and how many are read from the store on request.
    pub(crate) fn days(&self) -> (usize, usize) {
        let held = self.days.values().filter(|day| day.held.is_some()).count();
        (held, self.days.len() - held)
    }

    /// The memory that the days take, about.
    pub(crate) fn bytes(&self) -> usize {
        self.days.values().filter_map(|day| day.held.as_ref()).map(|day| day.bytes()).sum()
    }
}

impl Counted {
    fn new(source: Source, metric: Metric) -> Counted {
        Counted { source, metric, cold: Semaphore::new(COLD_READS) }
    }
}
