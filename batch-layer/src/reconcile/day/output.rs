//! Partials → files of a view: merged, in the order of the group key and then of the bucket, and not too many of them.

use std::sync::Arc;

use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::catalog::{Metric, Source};
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::partial;
use shared_logic::plan::Plan;
use storage::{BatchView, to_merge};

use crate::archive_rows::scan::Times;
use crate::reconcile::error::DayError;
use crate::reconcile::view;
use crate::rows;

/// Partials of a day that are not written yet, and the files of those that are.
pub(super) struct Output<'a> {
    view: &'a BatchView,
    day: &'a str,
    plan: Arc<Plan>,
    /// The columns of partials in memory, and of the view's files.
    columns: (Schema, Schema),
    rows_max: usize,
    frames: Vec<DataFrame>,
    rows: usize,
    files: Vec<DataFile>,
}

impl<'a> Output<'a> {
    /// Nothing yet. A file has at most [`view::rows_max`] partials, unless those of one part are more.
    pub(super) fn new(
        view: &'a BatchView,
        day: &'a str,
        source: &Source,
        metric: &Metric,
        plan: &Arc<Plan>,
        rows_max: usize,
    ) -> Output<'a> {
        Output {
            view,
            day,
            plan: Arc::clone(plan),
            columns: (view::columns_in_memory(source, metric), view::columns(source, metric)),
            rows_max: view::rows_max(rows_max, metric),
            frames: Vec::new(),
            rows: 0,
            files: Vec::new(),
        }
    }

    /// About how many partials are in memory at a time.
    pub(super) fn rows_max(&self) -> usize {
        self.rows_max
    }

    /// Adds partials, in the columns of [`Plan::view_rows`].
    pub(super) async fn push(&mut self, partials: DataFrame) -> Result<(), DayError> {
        // So a part that fills a file by itself is not merged with others, with which it has hardly a key and bucket in common.
        if self.rows > 0 && self.rows + partials.height() > self.rows_max {
            self.write().await?;
        }
        if partials.height() > 0 {
            self.rows += partials.height();
            self.frames.push(partials);
        }
        if self.rows >= self.rows_max { self.write().await } else { Ok(()) }
    }

    /// Adds the rows of a file of the view, without those of these times.
    pub(super) async fn carry(&mut self, file: &DataFile, without: &Times) -> Result<(), DayError> {
        for group in self.view.row_groups(file, &self.columns.0, |_| true).await? {
            let times = without.clone();
            let kept = group.read(move |mut rows| {
                rows.rename(BUCKET, partial::BUCKET.into())?;
                if times.starts.is_empty() {
                    return Ok(rows);
                }
                let is_without = times.hold(rows.column(partial::BUCKET)?.i64()?);
                rows.filter(&!is_without)
            });
            self.push(kept.await?).await?;
        }
        Ok(())
    }

    /// Which of the day's other files are merged with what is not written yet; none if nothing is, unless something is
    /// `replaced` anyway. Together they have at most about `rows_max` rows.
    pub(super) fn small(&self, mut others: Vec<DataFile>, replaced: bool) -> Vec<DataFile> {
        if self.rows == 0 && !replaced {
            return Vec::new();
        }
        let (pending, rows_max) = (self.rows as u64, self.rows_max as u64);
        others.retain(|file| file.rows < rows_max);
        others.sort_by_key(|file| file.rows);
        let mut rows: Vec<u64> = others.iter().map(|file| file.rows).collect();
        let own = rows.partition_point(|rows| *rows <= pending);
        rows.insert(own, pending);
        let count = to_merge(&rows);
        let mut left = rows_max.saturating_sub(pending);
        let fits = |file: &DataFile| {
            let fits = file.rows <= left;
            left = left.saturating_sub(file.rows);
            fits
        };
        others.truncate(if own < count { count - 1 } else { count });
        others.into_iter().take_while(fits).collect()
    }

    /// Writes what is left, and returns all files.
    pub(super) async fn written(mut self) -> Result<Vec<DataFile>, DayError> {
        self.write().await?;
        Ok(self.files)
    }

    /// Writes what is in memory.
    pub(super) async fn write(&mut self) -> Result<(), DayError> {
        let mut frames = std::mem::take(&mut self.frames).into_iter();
        self.rows = 0;
        let Some(mut rows) = frames.next() else { return Ok(()) };
        let (plan, columns) = (Arc::clone(&self.plan), self.columns.1.clone());
        let rows = rows::compute("merge rows", self.view.path(), move || {
            // Rows of one frame are in order, and each key and bucket is there once.
            if frames.len() > 0 {
                for more in frames {
                    rows.vstack_mut(&more)?;
                }
                rows = plan.merge_rows(&rows)?;
            }
            rows.rename(partial::BUCKET, BUCKET.into())?;
            let column = |(name, dtype): (&PlSmallStr, &DataType)| rows.column(name)?.cast(dtype);
            DataFrame::new(rows.height(), columns.iter().map(column).collect::<PolarsResult<_>>()?)
        });
        self.files.push(self.view.write(self.day, rows.await?, &[BUCKET]).await?);
        Ok(())
    }
}
