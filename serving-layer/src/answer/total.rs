//! One merged value per measure over a range.

use platform::settings;
use shared_logic::catalog::Metric;
use shared_logic::merge;

use super::selection::range;
use super::{Answer, Selection, finalized, gather};
use crate::batch_view::{Cells, Fold};
use crate::problem::Problem;
use crate::versions::Version;
use crate::written::Written;

/// Answers `total`.
///
/// # Errors
/// If one of the views cannot be read.
pub(crate) async fn total(
    version: &Version,
    metric: &Metric,
    selection: &Selection,
    http: &settings::Http,
    now_us: i64,
) -> Result<Written, Problem> {
    let of_key = (&selection.key, selection.range());
    let mut gathered = gather(version, metric, of_key, http.request_timeout.get() / 2).await?;
    let from_us = gathered.hold((selection.from_us, selection.to_us), metric.grain_us);
    let held = (from_us, selection.to_us);
    let range = range(held);
    let batch = match &gathered.ground.view {
        Some(view) => view.cells(&selection.key, range, Fold::Whole).await?,
        None => Cells::new(metric, Fold::Whole),
    };
    let all = merge::total(version.asked(metric).kinds, batch.iter(), gathered.speed(), range);
    let (values, overflow) = finalized(metric, &all.values);
    let answer = Answer::new(metric, &selection.columns, held, &gathered, &all, now_us);
    Ok(Answer { values: Some(values), overflow, ..answer }.written())
}
