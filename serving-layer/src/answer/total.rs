//! One merged value per measure over a range.

use shared_logic::catalog::Metric;
use shared_logic::measure::MeasureKind;
use shared_logic::merge;

use super::{Answer, gather, presented};
use crate::app::App;
use crate::batch_view::{Cells, Fold};
use crate::problem::Problem;
use crate::query::Query;

/// Answers `total`.
///
/// # Errors
/// If one of the views cannot be read.
pub(crate) async fn total(app: &App, metric: &Metric, query: &Query, now_us: i64) -> Result<Answer, Problem> {
    let gathered = gather(app, metric, &query.key).await?;
    let range = query.range();
    let batch = match &gathered.view {
        Some(view) => view.cells(&query.key, range, Fold::Whole).await?,
        None => Cells::new(metric, Fold::Whole),
    };
    let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
    let all = merge::total(&kinds, batch.iter(), gathered.speed.iter().cloned(), range);
    let (values, overflow) = presented(metric, &all.values);
    let answer = Answer::new(metric, query, &gathered, &all, now_us);
    Ok(Answer { values: Some(values), overflow, ..answer })
}
