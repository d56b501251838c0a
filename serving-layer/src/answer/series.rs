//! One merged value per measure and step of a range.
//!
//! A point covers its step, or a window of so many steps that ends with it. So a series of windows reads some steps more than it has
//! points, those before the first.
//!
//! - `bounds`: the range, and how its open ends are filled.

mod bounds;

use std::sync::Arc;

use platform::settings;
use shared_logic::catalog::Metric;
use shared_logic::merge::{self, Merged};
use shared_logic::time::{TimeRange, format_duration_us};

use super::written::{AnswerOfKey, Head, Point};
use super::{About, Finalized, Gathered, Selection, bound_text, finalized, gather};
use crate::asked::Stepping;
use crate::batch_view::{Cells, Fold};
use crate::problem::Problem;
use crate::versions::Version;
use crate::written::{Form, Shape, Written};
use bounds::{Bounds, Limit};

/// Answers `series`.
///
/// # Errors
/// If the range has too many points, steps do not consist of whole buckets, or one of the views cannot be read.
pub(crate) async fn series(
    version: &Version,
    metric: &Metric,
    selection: &Selection,
    stepping: &Stepping,
    form: Form,
    http: &settings::Http,
) -> Result<Arc<Written>, Problem> {
    let (keys, steps, window) = (&selection.keys, stepping.steps, stepping.steps_per_point());
    let asked = Bounds { from_us: selection.from_us, to_us: selection.to_us }.widened(steps);
    let limit = Limit { stepping, keys: keys.len(), max_points: http.max_points };
    asked.check(&limit)?;
    let before = window as i64 - 1;
    let read = Bounds { from_us: asked.from_us.map(|from_us| steps.before(from_us, before)), ..asked };
    let about = About { keys, bounds: (read.from_us, read.to_us), shape: Shape { stepping: Some(*stepping), form } };
    let mut gathered = gather(version, metric, about, http.request_timeout.get() / 2).await?;
    if let Some(written) = gathered.written() {
        return Ok(written);
    }
    let held_from_us = gathered.hold(about.bounds, |instant_us| steps.at_or_after(instant_us));
    let held = Bounds { from_us: held_from_us, ..read }.range();
    let most = limit.most_cells();
    let batch = gathered.batch(metric, keys, held, Fold::Steps(steps), most).await?;
    if batch.iter().any(|cells| cells.count() > most) {
        return Err(limit.exceeded());
    }
    let mut filled = asked.filled(extent(&batch, &gathered, held), steps, gathered.at_us());
    if asked.from_us.is_none()
        && let (Some(from_us), Some(held_from_us)) = (filled.from_us, held_from_us)
    {
        // The first window that is held whole.
        filled.from_us = Some(from_us.max(steps.after(held_from_us, before))).min(filled.to_us);
    }
    filled.check(&limit)?;
    let boundaries = match filled {
        Bounds { from_us: Some(from_us), to_us: Some(to_us) } => {
            steps.boundaries(TimeRange { from_us: steps.before(from_us, before), to_us })
        }
        // There is no data, and at most one bound.
        _ => Vec::new(),
    };
    check_whole_buckets(&boundaries, stepping, metric)?;
    let kinds = version.asked(metric).kinds;
    let all = TimeRange {
        from_us: boundaries.first().copied().unwrap_or_default(),
        to_us: boundaries.last().copied().unwrap_or_default(),
    };
    let totals = gathered.totals(kinds, &batch, all);
    let of_keys = keys.iter().zip(&batch).zip(&totals).enumerate().map(|(key, ((asked, cells), total))| {
        let merged = merge::sliding(kinds, cells.iter(), gathered.speed(key), &boundaries, window);
        let points = merged.iter().enumerate().map(|(first, merged)| {
            let (from_us, to_us) = (boundaries[first], boundaries[first + window]);
            point(metric, (from_us, to_us), stepping, merged)
        });
        AnswerOfKey::new(metric, asked, total).with_points(points.collect())
    });
    let covered = (filled.from_us, filled.to_us);
    let head = Head { version, metric, covered, stepping: Some(stepping), gathered: &gathered };
    let written = head.written(form, of_keys.collect());
    Ok(gathered.write(written))
}

fn point<'a>(metric: &'a Metric, (from_us, to_us): (i64, i64), stepping: &Stepping, merged: &Merged) -> Point<'a> {
    let Finalized { values, overflow, bounds } = finalized(metric, &merged.values);
    let says_end = stepping.names_zone || stepping.window.is_some();
    Point {
        start: bound_text(from_us),
        end: says_end.then(|| bound_text(to_us)),
        to_us,
        values,
        layer: merged.layer,
        overflow,
        bounds,
    }
}

/// The first and the last bucket within the range that have data of any key in either view.
fn extent(batch: &[Cells], gathered: &Gathered, range: TimeRange) -> Option<(i64, i64)> {
    let speed = (0..batch.len()).flat_map(|key| gathered.speed(key));
    let speed = speed.map(|cell| cell.0).filter(|bucket| range.contains(*bucket)).map(|bucket| (bucket, bucket));
    let batch = batch.iter().filter_map(Cells::extent);
    batch.chain(speed).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// # Errors
/// If a step begins within a bucket, because of what the zone's clocks showed at some time in the range.
fn check_whole_buckets(boundaries: &[i64], stepping: &Stepping, metric: &Metric) -> Result<(), Problem> {
    let Some(within) = boundaries.iter().find(|boundary| *boundary % metric.grain_us != 0) else { return Ok(()) };
    let (zone, grain) = (stepping.steps.zone(), format_duration_us(metric.grain_us));
    let detail = format!(
        "tz={zone}: by its clocks a step begins at {}, which is within a bucket of {grain}: write another range, or another zone",
        bound_text(*within)
    );
    Err(Problem::parameter("tz", detail))
}
