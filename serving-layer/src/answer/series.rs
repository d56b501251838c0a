//! One merged value per measure and step of a range.
//!
//! - `bounds`: the range, and how its open ends are filled.

mod bounds;

use std::sync::Arc;

use platform::settings;
use shared_logic::catalog::Metric;
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::merge::{self, Layer, Merged};
use shared_logic::time::TimeRange;

use super::{About, Answer, Finalized, Gathered, Point, Selection, bound_text, duration_text, finalized, gather};
use crate::batch_view::{Cells, Fold};
use crate::problem::Problem;
use crate::versions::Version;
use crate::written::Written;
use bounds::Bounds;

/// Answers `series`.
///
/// # Errors
/// If the range has too many points, or one of the views cannot be read.
pub(crate) async fn series(
    version: &Version,
    metric: &Metric,
    selection: &Selection,
    step_us: i64,
    http: &settings::Http,
) -> Result<Arc<Written>, Problem> {
    let asked = Bounds { from_us: selection.from_us, to_us: selection.to_us }.widened(step_us);
    asked.check(step_us, http.max_points)?;
    let bounds = (asked.from_us, asked.to_us);
    let about = About { key: &selection.key, bounds, step_us: Some(step_us) };
    let mut gathered = gather(version, metric, about, http.request_timeout.get() / 2).await?;
    if let Some(written) = gathered.written() {
        return Ok(written);
    }
    let held = Bounds { from_us: gathered.hold(bounds, step_us), ..asked }.range();
    let fold = Fold::Steps(step_us);
    let batch = match &gathered.ground.view {
        Some(view) => view.cells(&selection.key, held, fold).await?,
        None => Cells::new(metric, fold),
    };
    let filled = asked.filled(extent(&batch, &gathered, held), step_us, gathered.at_us());
    filled.check(step_us, http.max_points)?;
    let kinds = version.asked(metric).kinds;
    let steps = match filled {
        Bounds { from_us: Some(from_us), to_us: Some(to_us) } => {
            merge::series(kinds, batch.iter(), gathered.speed(), TimeRange { from_us, to_us }, step_us)
        }
        // There is no data, and at most one bound.
        _ => Vec::new(),
    };
    let covered = (filled.from_us, filled.to_us);
    let answer = Answer::new(version, metric, selection.given(metric), covered, &gathered, &all_steps(kinds, &steps));
    let points = steps.iter().map(|(start, step)| {
        let Finalized { values, overflow, bounds } = finalized(metric, &step.values);
        Point { start: bound_text(*start), values, layer: step.layer, overflow, bounds }
    });
    let answer = Answer { step: Some(duration_text(step_us)), points: Some(points.collect()), ..answer };
    Ok(gathered.write(answer.written()))
}

/// The first and the last bucket within the range that have data in either view.
fn extent(batch: &Cells, gathered: &Gathered, range: TimeRange) -> Option<(i64, i64)> {
    let speed = gathered.speed().map(|cell| cell.0).filter(|bucket| range.contains(*bucket));
    let speed = speed.fold(None, |extent: Option<(i64, i64)>, bucket| {
        Some(extent.map_or((bucket, bucket), |(first, last)| (first.min(bucket), last.max(bucket))))
    });
    match (batch.extent(), speed) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// All steps of the series merged, as a total over the same range.
fn all_steps(kinds: &[MeasureKind], steps: &[(i64, Merged)]) -> Merged {
    let merged = |values_of: fn(&Merged) -> &Vec<Value>| {
        let mut merged: Vec<Value> = kinds.iter().map(|kind| kind.identity()).collect();
        for (_, step) in steps {
            for ((kind, sum), value) in kinds.iter().zip(&mut merged).zip(values_of(step)) {
                *sum = kind.merge(sum.clone(), value.clone());
            }
        }
        merged
    };
    let any = |layers: [Layer; 2]| steps.iter().any(|(_, step)| layers.contains(&step.layer));
    let layer = match (any([Layer::Speed, Layer::Both]), any([Layer::Batch, Layer::Both])) {
        (false, _) => Layer::Batch,
        (true, true) => Layer::Both,
        (true, false) => Layer::Speed,
    };
    Merged {
        values: merged(|step| &step.values),
        batch: merged(|step| &step.batch),
        speed: merged(|step| &step.speed),
        layer,
    }
}
