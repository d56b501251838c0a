//! Rows of a view that a cluster merges over a period, in place of this process.

use std::sync::Arc;

use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::catalog::Report;
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::plan::Plan;
use shared_logic::time::{TimeRange, day_of, format_day};
use storage::BatchView;
use tracing::info;

use super::build::frame_error;
use super::{ReportError, Reporter};
use crate::cluster::{Query, TableFiles};
use crate::reconcile::view;
use crate::rows::compute;

/// What a query calls the view.
const TABLE: &str = "view";

impl Reporter {
    /// What these files of a view say of each key in that period, merged in the cluster, whose answer comes in pieces of about so many
    /// rows; without columns if they say nothing. `None` if that is left to this process: without a cluster, for few rows, and for a metric
    /// that cannot be said in SQL.
    ///
    /// # Errors
    /// If the cluster does not answer.
    pub(super) async fn merged_elsewhere(
        &self,
        report: &Report,
        times: TimeRange,
        (view, files): (&BatchView, &[DataFile]),
        plan: &Arc<Plan>,
        rows_at_once: usize,
    ) -> Result<Option<DataFrame>, ReportError> {
        let rows = files.iter().map(|file| file.rows).sum::<u64>();
        let Some(cluster) = self.cluster.as_ref().filter(|cluster| !files.is_empty() && cluster.is_worth(rows)) else {
            return Ok(None);
        };
        let sql = match plan.in_sql() {
            Ok(in_sql) => in_sql.of_rows(TABLE, BUCKET, times),
            Err(refused) => {
                info!(report = report.name, "merged by this process and not by the cluster: {refused}");
                return Ok(None);
            }
        };
        let metric = &self.catalog.metrics[&report.metric];
        let columns = view::columns(&self.catalog.sources[&metric.source], metric);
        let table = TableFiles::new(TABLE, columns, files.iter().map(|file| view.url_of(file)).collect());
        let name = format!("{} {}", report.name, format_day(day_of(times.from_us)));
        let mut answer = cluster.ask(&Query { name, sql, rows_at_once, tables: vec![table] }).await?;
        let mut all: Option<DataFrame> = None;
        while let Some(piece) = answer.next().await? {
            let plan = Arc::clone(plan);
            let more = compute("take merged rows", view.path(), move || {
                let in_sql = plan.in_sql();
                let in_sql = in_sql.map_err(|refused| PolarsError::ComputeError(refused.to_string().into()))?;
                in_sql.rows_of_period(piece, times.from_us)
            });
            let more = more.await?;
            all = Some(match all.take() {
                Some(mut all) => {
                    all.vstack_mut(&more).map_err(|source| frame_error(view, source))?;
                    all
                }
                None => more,
            });
        }
        info!(report = report.name, rows, "merged by the cluster");
        Ok(Some(all.unwrap_or_default()))
    }
}
