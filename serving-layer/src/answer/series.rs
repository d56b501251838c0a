//! One merged value per measure and step of a range.
//!
//! A bound that is left out is found in the data: a series begins with the first step that holds some. It ends with the last
//! step that holds some; where `from` was given, not before the step that holds now, so that the last hours of silence show
//! as zeros. What is answered as `from` and `to` is what the points cover.

use shared_logic::catalog::Metric;
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::merge::{self, Layer, Merged};
use shared_logic::time::{TimeRange, bucket_start, format_rfc3339};

use super::{Answer, Gathered, Point, gather, presented};
use crate::app::App;
use crate::batch_view::{Cells, Fold};
use crate::problem::Problem;
use crate::query::{Query, duration_text};

/// Answers `series`.
///
/// # Errors
/// If the range has too many points, or one of the views cannot be read.
pub(crate) async fn series(
    app: &App,
    metric: &Metric,
    query: &Query,
    step_us: i64,
    now_us: i64,
) -> Result<Answer, Problem> {
    let asked = Bounds { from_us: query.from_us, to_us: query.to_us }.widened(step_us);
    asked.check(step_us, app.max_points)?;
    let gathered = gather(app, metric, &query.key).await?;
    let fold = Fold::Steps(step_us);
    let batch = match &gathered.view {
        Some(view) => view.cells(&query.key, asked.range(), fold).await?,
        None => Cells::new(metric, fold),
    };
    let found = asked.found(extent(&batch, &gathered, asked.range()), step_us, now_us);
    found.check(step_us, app.max_points)?;
    let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
    let steps = match found {
        Bounds { from_us: Some(from_us), to_us: Some(to_us) } => {
            let speed = gathered.speed.iter().cloned();
            merge::series(&kinds, batch.iter(), speed, TimeRange { from_us, to_us }, step_us)
        }
        // There is no data, and at most one bound.
        _ => Vec::new(),
    };
    let covered = Query { from_us: found.from_us, to_us: found.to_us, ..query.clone() };
    let answer = Answer::new(metric, &covered, &gathered, &together(&kinds, &steps), now_us);
    let points = steps.into_iter().map(|(start, step)| {
        let (values, overflow) = presented(metric, &step.values);
        Point { start: format_rfc3339(start), values, layer: step.layer, overflow }
    });
    Ok(Answer { step: Some(duration_text(step_us)), points: Some(points.collect()), ..answer })
}

/// A range of whole steps whose ends may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    from_us: Option<i64>,
    to_us: Option<i64>,
}

impl Bounds {
    fn widened(self, step_us: i64) -> Bounds {
        let range = self.range().widened(step_us);
        Bounds { from_us: self.from_us.map(|_| range.from_us), to_us: self.to_us.map(|_| range.to_us) }
    }

    fn range(self) -> TimeRange {
        let all = TimeRange::ALL;
        TimeRange { from_us: self.from_us.unwrap_or(all.from_us), to_us: self.to_us.unwrap_or(all.to_us) }
    }

    /// Fills open ends from the first and last bucket with data.
    fn found(self, extent: Option<(i64, i64)>, step_us: i64, now_us: i64) -> Bounds {
        let end_of = |instant: i64| bucket_start(instant, step_us) + step_us;
        let last = extent.map(|(_, last)| end_of(last));
        let to_us = self.to_us.or(match self.from_us {
            Some(from_us) => Some(last.unwrap_or(from_us).max(end_of(now_us)).max(from_us)),
            None => last,
        });
        let from_us = self.from_us.or(extent.map(|(first, _)| bucket_start(first, step_us)));
        Bounds { from_us, to_us }
    }

    fn check(self, step_us: i64, max_points: usize) -> Result<(), Problem> {
        let Bounds { from_us: Some(from_us), to_us: Some(to_us) } = self else { return Ok(()) };
        let points = (to_us - from_us) / step_us;
        if usize::try_from(points).is_ok_and(|points| points <= max_points) {
            return Ok(());
        }
        let detail = format!(
            "from {} to {} in steps of {} are {points} points, more than the {max_points} that are answered at once: \
             write a later from, or a wider step",
            format_rfc3339(from_us),
            format_rfc3339(to_us),
            duration_text(step_us),
        );
        Err(Problem::parameter("from", detail))
    }
}

/// The first and the last bucket within the range that hold anything, in either layer.
fn extent(batch: &Cells, gathered: &Gathered, range: TimeRange) -> Option<(i64, i64)> {
    let speed = gathered.speed.iter().map(|cell| cell.0).filter(|bucket| range.contains(*bucket));
    let speed = speed.fold(None, |extent: Option<(i64, i64)>, bucket| {
        Some(extent.map_or((bucket, bucket), |(first, last)| (first.min(bucket), last.max(bucket))))
    });
    match (batch.extent(), speed) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// Everything in the series together, as a total would say it.
fn together(kinds: &[MeasureKind], steps: &[(i64, Merged)]) -> Merged {
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

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: i64 = 100;

    fn bounds(from_us: Option<i64>, to_us: Option<i64>) -> Bounds {
        Bounds { from_us, to_us }
    }

    #[test]
    fn open_ends_are_found_in_the_data() {
        let data = Some((310, 520));
        assert_eq!(bounds(None, None).found(data, STEP, 900), bounds(Some(300), Some(600)));
        assert_eq!(bounds(Some(200), None).found(data, STEP, 900), bounds(Some(200), Some(1000)));
        assert_eq!(bounds(Some(200), None).found(data, STEP, 450), bounds(Some(200), Some(600)));
        assert_eq!(bounds(None, Some(700)).found(data, STEP, 900), bounds(Some(300), Some(700)));
        assert_eq!(bounds(Some(200), Some(700)).found(data, STEP, 900), bounds(Some(200), Some(700)));
    }

    #[test]
    fn without_data_only_given_bounds_stand() {
        assert_eq!(bounds(None, None).found(None, STEP, 900), bounds(None, None));
        assert_eq!(bounds(None, Some(700)).found(None, STEP, 900), bounds(None, Some(700)));
        assert_eq!(bounds(Some(200), None).found(None, STEP, 450), bounds(Some(200), Some(500)));
        assert_eq!(bounds(Some(2000), None).found(None, STEP, 450), bounds(Some(2000), Some(2000)));
    }

    #[test]
    fn too_many_points_name_from() {
        assert!(bounds(Some(0), Some(1000)).check(STEP, 10).is_ok());
        let problem = bounds(Some(0), Some(1100)).check(STEP, 10).expect_err("11 points");
        assert_eq!(problem.parameter.as_deref(), Some("from"));
        assert!(problem.detail.contains("11 points"), "{}", problem.detail);
        assert!(bounds(None, Some(1100)).check(STEP, 10).is_ok(), "an open end is not known yet");
    }
}
