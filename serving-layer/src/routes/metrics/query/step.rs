//! The width of a series' points.

use shared_logic::catalog::Metric;
use shared_logic::time::{DAY_US, parse_duration_us};

use crate::answer::duration_text;
use crate::problem::Problem;
use crate::routes::parameters::Parameters;

/// The widest step.
const MAX_STEP_DAYS: i64 = 366;

/// Reads `step`, in microseconds; without one, the step is the grain.
///
/// A step is a whole number of buckets. It divides a day or is a whole number of days, so that steps begin at the same times every
/// day. All steps are counted from 1970-01-01T00:00:00Z.
///
/// # Errors
/// If the step is not of this form.
pub(super) fn step(pairs: &Parameters, metric: &Metric) -> Result<i64, Problem> {
    let Some(text) = pairs.get("step") else { return Ok(metric.grain_us) };
    let wrong = |why: String| Err(Problem::parameter("step", format!("step={text} {why}")));
    let grain = duration_text(metric.grain_us);
    let Some(step_us) = parse_duration_us(text).filter(|us| *us > 0) else {
        return wrong(format!("is not a length of time: write one such as {grain}, 1h or 1d"));
    };
    if step_us % metric.grain_us != 0 {
        return wrong(format!("is not a multiple of the metric's grain: write a multiple of {grain}"));
    }
    if DAY_US % step_us != 0 && step_us % DAY_US != 0 {
        return wrong(
            "neither divides a day nor is a whole number of days: write one such as 5m, 1h, 6h, 1d or 7d".to_owned(),
        );
    }
    if step_us > MAX_STEP_DAYS * DAY_US {
        return wrong(format!("is too wide: write {MAX_STEP_DAYS}d or less"));
    }
    Ok(step_us)
}
