//! Which days a report writes. Days are numbered from 1970, and are those that clocks of the report's zone show.

use chrono::DateTime;

use crate::catalog::Report;
use crate::time::{local_date, local_day};

/// How many days back missed runs are made up for (P3).
pub const CATCH_UP_DAYS: i64 = 30;

/// P3: the days that are due at a moment and were not written yet, the oldest first: those before the days on which the schedule names a
/// moment that has passed. `written` are the days that were written. Between these none is left out: whoever asks for the newest day by
/// hand does not give up those that were missed before it. Where none was written, only the newest is due.
///
/// A day is due once, however many moments of the next one the schedule names: with the first of them. One that clocks skip is due when
/// they go on, and one that they show twice is due the first time ([`Cron::next`](crate::catalog::Cron::next)).
pub fn due(report: &Report, written: &[i64], now_us: i64) -> Vec<i64> {
    let Some(today) = local_date(now_us, report.time_zone) else { return Vec::new() };
    let runs = (today - CATCH_UP_DAYS + 1..=today).filter(|run| has_run(report, *run, now_us));
    let mut days = runs.map(|run| run - 1);
    match written.iter().min() {
        Some(first) => days.filter(|day| day > first && !written.contains(day)).collect(),
        None => days.next_back().into_iter().collect(),
    }
}

/// Whether the schedule names a moment of that day which has passed.
fn has_run(report: &Report, day: i64, now_us: i64) -> bool {
    let tick = || {
        let before_us = local_day(day, report.time_zone)?.from_us.checked_sub(1)?;
        let tick = report.schedule.next(DateTime::from_timestamp_micros(before_us)?, report.time_zone)?;
        Some(tick.timestamp_micros())
    };
    tick().is_some_and(|tick_us| tick_us <= now_us && local_date(tick_us, report.time_zone) == Some(day))
}

/// P2: the days among those that were written which a run calculates again, the oldest first. One that is not settled, and was written
/// by a clock that was ahead, is calculated again once it is: until then it would hold up the others.
pub fn revised(report: &Report, written: impl IntoIterator<Item = i64>, now_us: i64) -> Vec<i64> {
    let is_settled = |day: &i64| settled_at(report, *day).is_some_and(|at_us| at_us <= now_us);
    let is_open = |day: &i64| revisable_until(report, *day).is_some_and(|until_us| now_us < until_us);
    let mut days: Vec<i64> = written.into_iter().filter(is_settled).filter(is_open).collect();
    days.sort_unstable();
    days
}

/// P2: what arrives before this moment belongs to the first rows of a day; microseconds since 1970. Rows of tables are as of it.
pub fn settled_at(report: &Report, day: i64) -> Option<i64> {
    local_day(day, report.time_zone)?.to_us.checked_add(report.settle_us)
}

/// P2: until when runs calculate a day again; microseconds since 1970.
pub fn revisable_until(report: &Report, day: i64) -> Option<i64> {
    local_day(day, report.time_zone)?.to_us.checked_add(report.revise_us)
}
