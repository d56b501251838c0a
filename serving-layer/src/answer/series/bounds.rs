//! The range of a series.
//!
//! A bound that the request leaves out is taken from the data. A series begins with the first step that has data. It ends with
//! the last step that has data; if the request gives `from`, it ends no earlier than the current step, so that hours without
//! events show as zeros up to now. `from` and `to` in the answer are what the points cover.

use shared_logic::time::{TimeRange, bucket_start};

use crate::answer::selection::range;
use crate::answer::{bound_text, duration_text};
use crate::problem::Problem;

/// A range of whole steps, with ends that may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) from_us: Option<i64>,
    pub(super) to_us: Option<i64>,
}

impl Bounds {
    /// Widens the range to whole steps.
    pub(super) fn widened(self, step_us: i64) -> Bounds {
        let range = self.range().widened(step_us);
        Bounds { from_us: self.from_us.map(|_| range.from_us), to_us: self.to_us.map(|_| range.to_us) }
    }

    /// The range, up to the limits of time where an end is open.
    pub(super) fn range(self) -> TimeRange {
        range((self.from_us, self.to_us))
    }

    /// Fills open ends; `extent` is the first and the last bucket with data.
    pub(super) fn filled(self, extent: Option<(i64, i64)>, step_us: i64, now_us: i64) -> Bounds {
        let end_of = |instant: i64| bucket_start(instant, step_us) + step_us;
        let last = extent.map(|(_, last)| end_of(last));
        let to_us = self.to_us.or(match self.from_us {
            Some(from_us) => Some(last.unwrap_or(from_us).max(end_of(now_us)).max(from_us)),
            None => last,
        });
        let from_us = self.from_us.or(extent.map(|(first, _)| bucket_start(first, step_us)));
        Bounds { from_us, to_us }
    }

    /// # Errors
    /// If the range is closed and has more than `max_points` steps.
    pub(super) fn check(self, step_us: i64, max_points: usize) -> Result<(), Problem> {
        let Bounds { from_us: Some(from_us), to_us: Some(to_us) } = self else { return Ok(()) };
        let points = (to_us - from_us) / step_us;
        if usize::try_from(points).is_ok_and(|points| points <= max_points) {
            return Ok(());
        }
        let detail = format!(
            "from {} to {} in steps of {} are {points} points, but one answer has at most \
             {max_points} (http.max_points): write a later from, or a wider step",
            bound_text(from_us),
            bound_text(to_us),
            duration_text(step_us),
        );
        Err(Problem::parameter("from", detail))
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::time::{DAY_US, parse_rfc3339};

    use super::*;

    const STEP: i64 = 100;

    fn bounds(from_us: Option<i64>, to_us: Option<i64>) -> Bounds {
        Bounds { from_us, to_us }
    }

    #[test]
    fn open_ends_are_filled_from_the_data() {
        let data = Some((310, 520));
        assert_eq!(bounds(None, None).filled(data, STEP, 900), bounds(Some(300), Some(600)));
        assert_eq!(bounds(Some(200), None).filled(data, STEP, 900), bounds(Some(200), Some(1000)));
        assert_eq!(bounds(Some(200), None).filled(data, STEP, 450), bounds(Some(200), Some(600)));
        assert_eq!(bounds(None, Some(700)).filled(data, STEP, 900), bounds(Some(300), Some(700)));
        assert_eq!(bounds(Some(200), Some(700)).filled(data, STEP, 900), bounds(Some(200), Some(700)));
    }

    #[test]
    fn without_data_only_given_bounds_stand() {
        assert_eq!(bounds(None, None).filled(None, STEP, 900), bounds(None, None));
        assert_eq!(bounds(None, Some(700)).filled(None, STEP, 900), bounds(None, Some(700)));
        assert_eq!(bounds(Some(200), None).filled(None, STEP, 450), bounds(Some(200), Some(500)));
        assert_eq!(bounds(Some(2000), None).filled(None, STEP, 450), bounds(Some(2000), Some(2000)));
    }

    #[test]
    fn too_many_points_name_from() {
        assert!(bounds(Some(0), Some(1000)).check(STEP, 10).is_ok());
        let problem = bounds(Some(0), Some(1100)).check(STEP, 10).expect_err("11 points");
        assert_eq!(problem.parameter.as_deref(), Some("from"));
        assert!(problem.detail.contains("11 points"), "{}", problem.detail);
        assert!(bounds(None, Some(1100)).check(STEP, 10).is_ok(), "an open end is not known yet");
    }

    #[test]
    fn what_is_said_of_a_bound_does_not_leave_time() {
        let all = TimeRange::ALL;
        let week = 7 * DAY_US;
        let widest = bounds(Some(all.from_us), Some(all.to_us - 1)).widened(week);
        assert!(widest.from_us < Some(all.from_us) && widest.to_us > Some(all.to_us));
        let problem = widest.check(week, 10).expect_err("nearly ten thousand years");
        let said = "from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z";
        assert!(problem.detail.starts_with(said), "{}", problem.detail);
        let again = bounds(Some(all.from_us), parse_rfc3339(b"9999-12-31T23:59:59.999999Z")).widened(week);
        assert_eq!(again, widest, "a client may send back what it was told");
    }
}
