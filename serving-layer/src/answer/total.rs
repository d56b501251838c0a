//! One merged value per measure over a range.

use std::sync::Arc;

use platform::settings;
use shared_logic::catalog::Metric;
use shared_logic::merge;

use super::selection::range;
use super::{About, Answer, Finalized, Selection, finalized, gather};
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
) -> Result<Arc<Written>, Problem> {
    let bounds = (selection.from_us, selection.to_us);
    let about = About { key: &selection.key, bounds, step_us: None };
    let mut gathered = gather(version, metric, about, http.request_timeout.get() / 2).await?;
    if let Some(written) = gathered.written() {
        return Ok(written);
    }
    let from_us = gathered.hold(bounds, metric.grain_us);
    let held = (from_us, selection.to_us);
    let range = range(held);
    let batch = match &gathered.ground.view {
        Some(view) => view.cells(&selection.key, range, Fold::Whole).await?,
        None => Cells::new(metric, Fold::Whole),
    };
    let all = merge::total(version.asked(metric).kinds, batch.iter(), gathered.speed(), range);
    let Finalized { values, overflow, bounds } = finalized(metric, &all.values);
    let answer = Answer::new(version, metric, selection.given(metric), held, &gathered, &all);
    Ok(gathered.write(Answer { values: Some(values), overflow, bounds, ..answer }.written()))
}
