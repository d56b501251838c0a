//! How a series is divided: `step`, `tz` and `window`.

use shared_logic::catalog::Metric;
use shared_logic::time::{
    DAY_US, HOUR_US, SECOND_US, Steps, Width, Zone, format_duration_us, parse_duration_us, zone_offsets_us,
};

use crate::answer::duration_text;
use crate::asked::Stepping;
use crate::problem::Problem;
use crate::routes::parameters::Parameters;

/// The widest step, and the widest window.
const MOST_DAYS: i64 = 366;
const MOST_MONTHS: i64 = 12;

/// Reads `step`, `tz` and `window`. Without a step, it is the grain; without a zone, it is UTC; without a window, each point covers its
/// step.
///
/// # Errors
/// If one of them is of no use for the metric.
pub(super) fn stepping(pairs: &Parameters, metric: &Metric) -> Result<Stepping, Problem> {
    let step = step(pairs, metric)?;
    let zone = pairs.get("tz").map(|name| zone(name, metric)).transpose()?;
    let window = pairs.get("window").map(|text| window(text, step)).transpose()?;
    Ok(Stepping { steps: Steps::new(step, zone.unwrap_or(Zone::UTC)), window, names_zone: zone.is_some() })
}

/// A step is a whole number of buckets. It divides a day or is a whole number of days, so that steps begin at the same times every
/// day; or it is a number of months that divides a year.
fn step(pairs: &Parameters, metric: &Metric) -> Result<Width, Problem> {
    let Some(text) = pairs.get("step") else {
        // A catalog that was checked has no other grains.
        return Ok(Width::of_us(metric.grain_us).unwrap_or(Width::Within(metric.grain_us)));
    };
    let wrong = |why: String| Err(Problem::parameter("step", format!("step={text} {why}")));
    let grain = duration_text(metric.grain_us);
    if let Some(months) = months(text) {
        if MOST_MONTHS % months != 0 {
            return wrong("does not divide a year: write 1mo, 2mo, 3mo, 4mo, 6mo or 12mo".to_owned());
        }
        return Ok(Width::Months(months));
    }
    let Some(step_us) = parse_duration_us(text).filter(|us| *us > 0) else {
        return wrong(format!("is not a length of time: write one such as {grain}, 1h, 1d or 1mo"));
    };
    if step_us % metric.grain_us != 0 {
        return wrong(format!("is not a multiple of the metric's grain: write a multiple of {grain}"));
    }
    let Some(width) = Width::of_us(step_us) else {
        return wrong(
            "neither divides a day nor is a whole number of days: write one such as 5m, 1h, 6h, 1d, 7d or 1mo"
                .to_owned(),
        );
    };
    if step_us > MOST_DAYS * DAY_US {
        return wrong(format!("is too wide: write {MOST_DAYS}d or less"));
    }
    Ok(width)
}

/// A zone by whose clocks steps begin: of the IANA database, and such that a step can begin with a bucket.
fn zone(name: &str, metric: &Metric) -> Result<Zone, Problem> {
    let wrong = |why: String| Err(Problem::parameter("tz", format!("tz={name} {why}")));
    let Ok(zone) = name.parse::<Zone>() else {
        return wrong("is not a time zone: write one of the IANA database, such as Europe/Berlin or UTC".to_owned());
    };
    let offsets = zone_offsets_us(zone);
    match offsets.iter().find(|offset| *offset % metric.grain_us != 0) {
        None => Ok(zone),
        Some(offset) => {
            let (hours, minutes) = (offset.abs() / HOUR_US, offset.abs() % HOUR_US / (60 * SECOND_US));
            let sign = if *offset < 0 { '-' } else { '+' };
            let grain = duration_text(metric.grain_us);
            wrong(format!(
                "has the offset {sign}{hours:02}:{minutes:02}, which the metric's grain of {grain} does not divide: its days would begin \
                 within a bucket; leave tz out, or count the metric with a finer grain"
            ))
        }
    }
}

/// A window is a whole number of steps.
fn window(text: &str, step: Width) -> Result<Width, Problem> {
    let wrong = |why: String| Err(Problem::parameter("window", format!("window={text} {why}")));
    let width = match months(text) {
        Some(months) => Some(Width::Months(months)),
        // Not every window can be a step: 36h is one.
        None => parse_duration_us(text).filter(|us| *us > 0).map(|us| Width::of_us(us).unwrap_or(Width::Within(us))),
    };
    let Some(width) = width else {
        return wrong(format!("is not a length of time: write a multiple of the step {step}, such as 1h, 7d or 3mo"));
    };
    let is_too_wide = match width {
        Width::Months(months) => months > MOST_MONTHS,
        width => width.usual_us() > MOST_DAYS * DAY_US,
    };
    if is_too_wide {
        return wrong(format!("is too wide: write {MOST_DAYS}d or {MOST_MONTHS}mo, or less"));
    }
    match width.in_steps(step) {
        Some(_) => Ok(width),
        None if matches!((width, step), (Width::Months(_), _) | (_, Width::Months(_))) => wrong(format!(
            "cannot be divided into steps of {step}: months are not all as long as each other; write both in months, or none"
        )),
        None => {
            wrong(format!("is not a multiple of the step: write a multiple of {}", format_duration_us(step.usual_us())))
        }
    }
}

/// A number of months, such as `3mo`.
fn months(text: &str) -> Option<i64> {
    let count = text.strip_suffix("mo")?;
    let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
    count.parse().ok().filter(|months| is_number && *months > 0)
}
