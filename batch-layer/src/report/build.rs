//! The view's rows of a day → the rows of the report (P1). In memory are the keys of a day, and a few row groups of the view, unless a
//! cluster merges these.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::store::{DataFile, StoreError};
use polars::prelude::*;
use shared_logic::catalog::Report;
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::partial;
use shared_logic::plan::Plan;
use shared_logic::report::Layout;
use shared_logic::time::{TimeRange, day_of, parse_day};
use storage::BatchView;

use super::{ReportError, Reporter};
use crate::reconcile::view;
use crate::rows::{RowsError, compute};

/// About how many bytes a row of a view takes while it is merged. One with sketches counts for as many as these weigh.
const ROW_BYTES: u64 = 256;

impl Reporter {
    /// The rows of a period, in the order of their keys. `tables` has the rows of each table that is joined.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub(super) async fn rows(
        &self,
        report: &Report,
        times: TimeRange,
        view: &BatchView,
        tables: BTreeMap<String, DataFrame>,
    ) -> Result<DataFrame, ReportError> {
        let partials = self.partials(report, times, view).await?;
        let layout = Layout::of(&self.catalog, report);
        Ok(compute("compute a report", view.path(), move || layout.rows(&partials, &tables)).await?)
    }

    /// What the view says of each key in that period, in the order of the keys.
    async fn partials(&self, report: &Report, times: TimeRange, view: &BatchView) -> Result<DataFrame, ReportError> {
        let metric = &self.catalog.metrics[&report.metric];
        let source = &self.catalog.sources[&metric.source];
        let (plan, columns) = (Arc::new(Plan::new(source, metric)), view::columns_in_memory(source, metric));
        let rows_max = usize::try_from(self.settings.memory.bytes() / (ROW_BYTES * metric.weight() as u64))
            .unwrap_or(usize::MAX)
            .max(1);
        let days = day_of(times.from_us)..=day_of(times.to_us - 1);
        let is_wanted = |part: &DataFile| part.may_hold(BUCKET, times.from_us, times.to_us - 1);
        let is_of_days = |file: &DataFile| parse_day(&file.partition).is_some_and(|day| days.contains(&day));
        let mut files = view.files().await?;
        files.retain(|file| is_of_days(file) && is_wanted(file));
        if let Some(rows) = self.merged_elsewhere(report, times, (view, files.as_slice()), &plan, rows_max).await? {
            let is_empty = rows.height() == 0;
            // A key may have several rows, and its pieces may lie apart.
            return Ok(if is_empty {
                DataFrame::empty_with_schema(&columns)
            } else {
                merged(&plan, view, rows).await?
            });
        }
        let (mut rows, mut room): (Option<DataFrame>, usize) = (None, rows_max);
        for file in files {
            for group in view.row_groups(&file, &columns, is_wanted).await? {
                let more = group.read(move |rows| of_period(rows, times)).await?;
                let mut all = match rows.take() {
                    Some(mut rows) => {
                        rows.vstack_mut(&more).map_err(|source| frame_error(view, source))?;
                        rows
                    }
                    None => more,
                };
                if all.height() > room {
                    all = merged(&plan, view, all).await?;
                    // Where most keys are different ones, merging again and again would be of no use.
                    room = rows_max.max(2 * all.height());
                }
                rows = Some(all);
            }
        }
        match rows {
            Some(rows) => Ok(merged(&plan, view, rows).await?),
            None => Ok(DataFrame::empty_with_schema(&columns)),
        }
    }
}

/// The same with the rows of each key merged, in the order of the keys.
async fn merged(plan: &Arc<Plan>, view: &BatchView, rows: DataFrame) -> Result<DataFrame, RowsError> {
    let plan = Arc::clone(plan);
    compute("merge rows", view.path(), move || plan.merge_rows(&rows)).await
}

/// The rows of that period, as if it were one bucket.
fn of_period(mut rows: DataFrame, times: TimeRange) -> PolarsResult<DataFrame> {
    let buckets = rows.column(BUCKET)?.i64()?;
    let is_inside: BooleanChunked =
        buckets.iter().map(|bucket| bucket.is_some_and(|bucket| times.contains(bucket))).collect();
    if !is_inside.all() {
        rows = rows.filter(&is_inside)?;
    }
    rows.rename(BUCKET, partial::BUCKET.into())?;
    let one = vec![times.from_us; rows.height()];
    rows.with_column(Column::new(partial::BUCKET.into(), one))?;
    Ok(rows)
}

pub(super) fn frame_error(view: &BatchView, source: PolarsError) -> StoreError {
    StoreError::Frame { operation: "merge rows", table: view.path().to_owned(), source }
}
