//! Partials → files of a view: merged, sorted by the group key and then by bucket, and not too many of them.

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
    /// By what rows are sorted.
    order: Vec<PlSmallStr>,
    rows_max: usize,
    frames: Vec<DataFrame>,
    rows: usize,
    files: Vec<DataFile>,
}

impl<'a> Output<'a> {
    /// Nothing yet. A file is written as soon as there are `rows_max` partials.
    pub(super) fn new(
        view: &'a BatchView,
        day: &'a str,
        source: &Source,
        metric: &Metric,
        plan: &Arc<Plan>,
        rows_max: usize,
    ) -> Output<'a> {
        let order = metric.by.iter().map(|name| PlSmallStr::from(name.as_str()));
        Output {
            view,
            day,
            plan: Arc::clone(plan),
            columns: (view::columns_in_memory(source, metric), view::columns(source, metric)),
            order: order.chain([partial::BUCKET.into()]).collect(),
            rows_max,
            frames: Vec::new(),
            rows: 0,
            files: Vec::new(),
        }
    }

    /// Adds partials, in the columns of [`Plan::view_rows`].
    pub(super) async fn push(&mut self, partials: DataFrame) -> Result<(), DayError> {
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
                rows.lazy().filter(times.hold(partial::BUCKET).not()).collect()
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

    async fn write(&mut self) -> Result<(), DayError> {
        let frames = std::mem::take(&mut self.frames);
        self.rows = 0;
        if frames.is_empty() {
            return Ok(());
        }
        let (plan, order, columns) = (Arc::clone(&self.plan), self.order.clone(), self.columns.1.clone());
        let rows = rows::compute("merge rows", self.view.path(), move || {
            let merged = match <[DataFrame; 1]>::try_from(frames) {
                Ok([only]) => only,
                Err(frames) => {
                    let frames: Vec<LazyFrame> = frames.into_iter().map(DataFrame::lazy).collect();
                    plan.merge_rows(concat(frames, UnionArgs::default())?)?
                }
            };
            let columns: Vec<Expr> =
                columns.iter().map(|(name, dtype)| col(name.clone()).cast(dtype.clone())).collect();
            let sorted = merged.lazy().sort(order, SortMultipleOptions::default());
            sorted.rename([partial::BUCKET], [BUCKET], true).select(columns).collect()
        });
        self.files.push(self.view.write(self.day, rows.await?, &[BUCKET]).await?);
        Ok(())
    }
}
