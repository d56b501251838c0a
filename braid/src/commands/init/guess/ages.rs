//! Which ages of events the source accepts, and how fine its buckets are.

use shared_logic::time::{DAY_US, HOUR_US};

use super::super::profile::few;

/// A catalog that does not say otherwise accepts events that are younger than 400 days. From this age on, the guess says
/// otherwise, because a sample seldom has the oldest event.
const OLD_US: i64 = 300 * DAY_US;
/// A catalog that does not say otherwise accepts events that are up to an hour ahead.
const AHEAD_US: i64 = HOUR_US / 2;
/// Catalogs accept no more days.
const DAYS_MAX: i64 = 36_500;
const YEAR_DAYS: i64 = 365;
/// So many events must begin with the hour to say that all do.
const EVENTS_MIN: usize = 100;

/// The ages that the source has to accept so that it accepts the sample, where the usual ones do not.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::commands::init) struct Ages {
    /// `max_age` in days, and the oldest event in microseconds since 1970.
    pub(in crate::commands::init) max_age: Option<(i64, i64)>,
    /// `max_ahead` in days, and the newest event in microseconds since 1970.
    pub(in crate::commands::init) max_ahead: Option<(i64, i64)>,
}

/// Judges events by when they happened and when they were sent, both in microseconds since 1970.
///
/// Moments that lie more than twice as far away as nearly all others are mistakes, such as 1970-01-01, and not to be accepted.
pub(super) fn find(events: &[(i64, i64)]) -> Ages {
    let farthest = |distance: fn(&(i64, i64)) -> i64| {
        let mut distances: Vec<(i64, i64)> = events.iter().map(|event| (distance(event), event.0)).collect();
        distances.sort_unstable();
        let (usual, _) = *distances.get(distances.len().saturating_sub(1) * 99 / 100)?;
        distances.into_iter().rev().find(|(distance, _)| *distance <= usual.saturating_mul(2))
    };
    let oldest = farthest(|(event, sent)| sent.saturating_sub(*event)).filter(|(age, _)| *age > OLD_US);
    let newest = farthest(|(event, sent)| event.saturating_sub(*sent)).filter(|(ahead, _)| *ahead > AHEAD_US);
    let years = |age: i64| (age / DAY_US * 3 / 2 / YEAR_DAYS + 1).saturating_mul(YEAR_DAYS).min(DAYS_MAX);
    Ages {
        max_age: oldest.map(|(age, event)| (years(age), event)),
        max_ahead: newest.map(|(ahead, event)| ((ahead / DAY_US + 2).min(DAYS_MAX), event)),
    }
}

/// The width of the finest bucket that tells these event times apart. `dates`: none has a time of day.
pub(super) fn grain(times_us: &[i64], dates: bool) -> &'static str {
    let others = times_us.iter().filter(|time| **time % HOUR_US != 0).count();
    if dates {
        "24h"
    } else if times_us.len() >= EVENTS_MIN && few(others, times_us.len()) {
        "1h"
    } else {
        "1m"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 20_000 * DAY_US;

    fn ages(days_ago: &[i64]) -> Ages {
        find(&days_ago.iter().map(|days| (NOW - days * DAY_US, NOW)).collect::<Vec<_>>())
    }

    #[test]
    fn old_samples_need_a_larger_age() {
        assert_eq!(ages(&[0, 1, 200]), Ages::default());
        assert_eq!(ages(&[]), Ages::default());
        assert_eq!(ages(&[350]).max_age, Some((730, NOW - 350 * DAY_US)));
        assert_eq!(ages(&[4_000, 4_100]).max_age, Some((17 * YEAR_DAYS, NOW - 4_100 * DAY_US)));
        assert_eq!(ages(&[19_999]).max_age.map(|(days, _)| days), Some(83 * YEAR_DAYS));
        assert_eq!(ages(&[-3]).max_ahead, Some((5, NOW + 3 * DAY_US)));
    }

    #[test]
    fn a_mistaken_moment_is_not_accepted() {
        let mut days_ago = vec![1; 200];
        days_ago.push(20_000);
        assert_eq!(ages(&days_ago), Ages::default());
        days_ago.push(-20_000);
        assert_eq!(ages(&days_ago), Ages::default());
    }

    #[test]
    fn the_grain_follows_the_moments() {
        let hours: Vec<i64> = (0..200).map(|n| n * HOUR_US).collect();
        assert_eq!([grain(&hours, false), grain(&hours, true), grain(&[0, HOUR_US], false)], ["1h", "24h", "1m"]);
        assert_eq!(grain(&hours.iter().map(|hour| hour + 1).collect::<Vec<_>>(), false), "1m");
    }
}
