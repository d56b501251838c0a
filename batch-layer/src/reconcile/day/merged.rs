//! Files of a day of a view → fewer files with the same partials.

use std::collections::BTreeSet;
use std::sync::Arc;

use platform::store::DataFile;
use shared_logic::catalog::{Catalog, Metric};
use shared_logic::plan::Plan;
use storage::BatchView;

use super::output::Output;
use crate::archive_rows::scan::Times;
use crate::reconcile::error::DayError;

/// Merges files of one day, of which about `rows_max` rows are in memory at a time. The new files belong to the view once they are
/// committed.
///
/// # Errors
/// If a file cannot be read or written.
pub(in crate::reconcile) async fn merged(
    catalog: &Catalog,
    metric: &Metric,
    view: &BatchView,
    (day, files): (&str, &[DataFile]),
    rows_max: usize,
) -> Result<Vec<DataFile>, DayError> {
    let source = &catalog.sources[&metric.source];
    let plan = Arc::new(Plan::new(source, metric));
    let mut output = Output::new(view, day, source, metric, &plan, rows_max);
    let without_none = Times { starts: BTreeSet::new(), length_us: 1 };
    for file in files {
        output.carry(file, &without_none).await?;
    }
    output.written().await
}
