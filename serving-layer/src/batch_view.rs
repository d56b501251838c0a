//! The batch views: exact partials of all events below the cut, in files on the local disk that are indexed by group key.
//!
//! A view is one version of its Delta table and never changes. It consists of *segments*, one for each day and one for each month,
//! and a newer version shares with it all segments of days and months that have not changed. Memory is only a cache of their
//! blocks, with a limit (`serving.view_memory`). See decision 0033.
//!
//! - `reader`: follows a table from version to version;
//! - `load`: finds or builds the segments of a version;
//! - `day`, `month`: build a segment; `runs`: sort the rows of a day;
//! - `shelf`: the segments of one view on disk; `disk`: what all views share;
//! - `segment`: a file of sorted rows;
//! - `question`: which parts of which segments answer a question;
//! - `cells`: what a question gets;
//! - `sweep`: all keys, one after the other.

mod cells;
mod day;
mod disk;
mod load;
mod month;
mod question;
mod reader;
mod runs;
mod segment;
mod shelf;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::store::StoreError;
use platform::task;
use shared_logic::catalog::{Metric, Source};
use shared_logic::contracts::batch_view::Note;
use shared_logic::group_key::GroupKey;
use shared_logic::time::TimeRange;

pub(crate) use cells::{Cells, Fold};
pub(crate) use disk::Disk;
pub(crate) use reader::{Refreshed, ViewReader};
use segment::Segment;
pub(crate) use segment::SegmentError;
pub(crate) use sweep::Keys;

/// A question about at most so many rows is answered at once if all blocks are in memory. Others do not hold up the thread.
const ROWS_AT_ONCE: usize = 4_096;

/// One version of one metric's batch view.
pub(crate) struct View {
    /// The version of its table.
    pub(crate) version: u64,
    /// What the commit says about its rows. Rows are read only if the definition is the catalog's.
    pub(crate) note: Arc<Note>,
    /// By their first day.
    months: BTreeMap<i64, Month>,
    counted: Arc<Counted>,
    disk: Arc<Disk>,
}

/// A month of a view: its own segment, and those of its days.
struct Month {
    segment: Arc<Segment>,
    days: BTreeMap<i64, Arc<Segment>>,
}

/// What a view counts.
struct Counted {
    source: Source,
    metric: Metric,
}

/// What a view has on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OnDisk {
    /// How many days and months have a segment.
    pub(crate) days: usize,
    pub(crate) months: usize,
    /// The size of these.
    pub(crate) bytes: u64,
}

/// Why a view could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ViewError {
    /// Its table could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment could not be built.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

impl View {
    /// All of them.
    #[cfg(test)]
    async fn cells(&self, key: &GroupKey, range: TimeRange, fold: Fold) -> Result<Cells, SegmentError> {
        self.cells_up_to(key, range, fold, usize::MAX).await
    }

    /// The cells of a group key whose buckets are in the range, merged as far as the query allows. Where there are more than `most`, one more
    /// than that is given.
    ///
    /// # Errors
    /// If a segment cannot be read.
    pub(crate) async fn cells_up_to(
        &self,
        key: &GroupKey,
        range: TimeRange,
        fold: Fold,
        most: usize,
    ) -> Result<Cells, SegmentError> {
        let question = self.question(key, range, fold).up_to(most);
        if question.rows() <= ROWS_AT_ONCE
            && let Some(cells) = question.answer_from_memory()?
        {
            return Ok(cells);
        }
        let _permit = self.disk.questions.acquire().await;
        task::blocking(move || question.answer()).await
    }

    /// What it has on disk.
    pub(crate) fn on_disk(&self) -> OnDisk {
        OnDisk {
            days: self.months.values().map(|month| month.days.len()).sum(),
            months: self.months.len(),
            bytes: self.segments().map(|segment| segment.bytes()).sum(),
        }
    }

    fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.months.values().flat_map(|month| month.days.values().chain([&month.segment]))
    }

    /// Whether a segment turned out to be damaged, so that the view has to be loaded again.
    fn is_damaged(&self) -> bool {
        self.segments().any(|segment| segment.is_damaged())
    }
}
