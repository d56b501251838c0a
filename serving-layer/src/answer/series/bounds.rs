//! The range of a series.
//!
//! A bound that the request leaves out is taken from the data. A series begins with the first step that has data. It ends with
//! the last step that has data; if the request gives `from`, it ends no earlier than the current step, so that hours without
//! events show as zeros up to now. `from` and `to` in the answer are what the points cover.

use shared_logic::time::{Steps, TimeRange};

use crate::answer::bound_text;
use crate::answer::selection::range;
use crate::asked::Stepping;
use crate::problem::Problem;

/// A range of whole steps, with ends that may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) from_us: Option<i64>,
    pub(super) to_us: Option<i64>,
}

impl Bounds {
    /// Widens the range to whole steps.
    pub(super) fn widened(self, steps: Steps) -> Bounds {
        let range = steps.widened(self.range());
        Bounds { from_us: self.from_us.map(|_| range.from_us), to_us: self.to_us.map(|_| range.to_us) }
    }

    /// The range, up to the limits of time where an end is open.
    pub(super) fn range(self) -> TimeRange {
        range((self.from_us, self.to_us))
    }

    /// Fills open ends; `extent` is the first and the last bucket with data.
    pub(super) fn filled(self, extent: Option<(i64, i64)>, steps: Steps, now_us: i64) -> Bounds {
        let end_of = |instant_us: i64| steps.end_of(instant_us);
        let last = extent.map(|(_, last)| end_of(last));
        let to_us = self.to_us.or(match self.from_us {
            Some(from_us) => Some(last.unwrap_or(from_us).max(end_of(now_us)).max(from_us)),
            None => last,
        });
        let from_us = self.from_us.or(extent.map(|(first, _)| steps.start_of(first)));
        Bounds { from_us, to_us }
    }

    /// # Errors
    /// If more steps would be read than one answer may have points. Of a range with an open end, only those of one window are known.
    pub(super) fn check(self, limit: &Limit<'_>) -> Result<(), Problem> {
        let Limit { stepping, keys, max_points } = limit;
        let width = stepping.steps.width();
        let points = match self {
            Bounds { from_us: Some(from_us), to_us: Some(to_us) } => stepping.steps.count(TimeRange { from_us, to_us }),
            _ => 0,
        };
        let before = stepping.steps_per_point() - 1;
        let is_within = |points: i64| {
            let steps = usize::try_from(points).ok()?.checked_add(before)?.checked_mul(*keys)?;
            (steps <= *max_points).then_some(())
        };
        if is_within(points).is_some() {
            return Ok(());
        }
        let of_keys = if *keys > 1 { format!(" for each of {keys} keys") } else { String::new() };
        if is_within(0).is_none() {
            let window = stepping.window.unwrap_or(width);
            let detail = format!(
                "window={window} is {} steps of {width}{of_keys}, but one answer reads at most {max_points} (http.max_points): \
                 write a shorter window, or a wider step",
                before + 1
            );
            return Err(Problem::parameter("window", detail));
        }
        let before = if before > 0 { format!(" and {before} steps before") } else { String::new() };
        let detail = format!(
            "from {} to {} in steps of {width} are {points} points{before}{of_keys}, but one answer has at most {max_points} \
             (http.max_points): write a later from, or a wider step",
            bound_text(self.range().from_us),
            bound_text(self.range().to_us),
        );
        Err(Problem::parameter("from", detail))
    }
}

/// What bounds an answer, and what it is asked for.
pub(super) struct Limit<'a> {
    pub(super) stepping: &'a Stepping,
    pub(super) keys: usize,
    pub(super) max_points: usize,
}

impl Limit<'_> {
    /// How many steps of one key can have events, if there are not too many.
    pub(super) fn most_cells(&self) -> usize {
        self.max_points / self.keys.max(1)
    }

    /// More have. Where an end of the range is open, that is known only once they were read.
    pub(super) fn exceeded(&self) -> Problem {
        let (width, keys, most, max_points) =
            (self.stepping.steps.width(), self.keys, self.most_cells(), self.max_points);
        let of_keys = if keys > 1 { format!(" of one of {keys} keys") } else { String::new() };
        let detail = format!(
            "more than {most} steps of {width}{of_keys} have events, but one answer has at most {max_points} points (http.max_points): write a \
             later from, or a wider step"
        );
        Problem::parameter("from", detail)
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::time::{Width, parse_rfc3339};

    use super::*;

    const WIDTH: Width = Width::Within(100);

    fn steps() -> Steps {
        Steps::utc(WIDTH)
    }

    fn check(bounds: Bounds, stepping: Stepping, keys: usize) -> Result<(), Problem> {
        bounds.check(&Limit { stepping: &stepping, keys, max_points: 10 })
    }

    fn bounds(from_us: Option<i64>, to_us: Option<i64>) -> Bounds {
        Bounds { from_us, to_us }
    }

    #[test]
    fn open_ends_are_filled_from_the_data() {
        let data = Some((310, 520));
        assert_eq!(bounds(None, None).filled(data, steps(), 900), bounds(Some(300), Some(600)));
        assert_eq!(bounds(Some(200), None).filled(data, steps(), 900), bounds(Some(200), Some(1000)));
        assert_eq!(bounds(Some(200), None).filled(data, steps(), 450), bounds(Some(200), Some(600)));
        assert_eq!(bounds(None, Some(700)).filled(data, steps(), 900), bounds(Some(300), Some(700)));
        assert_eq!(bounds(Some(200), Some(700)).filled(data, steps(), 900), bounds(Some(200), Some(700)));
    }

    #[test]
    fn without_data_only_given_bounds_stand() {
        assert_eq!(bounds(None, None).filled(None, steps(), 900), bounds(None, None));
        assert_eq!(bounds(None, Some(700)).filled(None, steps(), 900), bounds(None, Some(700)));
        assert_eq!(bounds(Some(200), None).filled(None, steps(), 450), bounds(Some(200), Some(500)));
        assert_eq!(bounds(Some(2000), None).filled(None, steps(), 450), bounds(Some(2000), Some(2000)));
    }

    #[test]
    fn too_many_points_name_from() {
        let plain = Stepping::plain(WIDTH);
        assert!(check(bounds(Some(0), Some(1000)), plain, 1).is_ok());
        let problem = check(bounds(Some(0), Some(1100)), plain, 1).expect_err("11 points");
        assert_eq!(problem.parameter.as_deref(), Some("from"));
        assert!(problem.detail.contains("11 points"), "{}", problem.detail);
        assert!(check(bounds(None, Some(1100)), plain, 1).is_ok(), "an open end is not known yet");
    }

    #[test]
    fn every_key_and_the_steps_before_the_first_point_count() {
        let plain = Stepping::plain(WIDTH);
        assert!(check(bounds(Some(0), Some(500)), plain, 2).is_ok());
        let problem = check(bounds(Some(0), Some(600)), plain, 2).expect_err("12 points");
        assert!(problem.detail.contains("6 points for each of 2 keys"), "{}", problem.detail);
        let window = |steps: i64| Stepping { window: Some(Width::Within(100 * steps)), ..plain };
        assert!(check(bounds(Some(0), Some(700)), window(4), 1).is_ok());
        let problem = check(bounds(Some(0), Some(800)), window(4), 1).expect_err("11 steps");
        assert!(problem.detail.contains("8 points and 3 steps before"), "{}", problem.detail);
        for range in [bounds(None, None), bounds(Some(0), Some(100))] {
            let problem = check(range, window(12), 1).expect_err("11 steps before the first point");
            assert_eq!(problem.parameter.as_deref(), Some("window"), "{}", problem.detail);
        }
    }

    #[test]
    fn what_is_said_of_a_bound_does_not_leave_time() {
        let all = TimeRange::ALL;
        let week = Stepping::plain(Width::Days(7));
        let widest = bounds(Some(all.from_us + 1), Some(all.to_us - 1)).widened(week.steps);
        assert!(widest.from_us <= Some(all.from_us) && widest.to_us > Some(all.to_us));
        let problem = check(widest, week, 1).expect_err("nearly ten thousand years");
        let said = "from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z";
        assert!(problem.detail.starts_with(said), "{}", problem.detail);
        let again = bounds(Some(all.from_us), parse_rfc3339(b"9999-12-31T23:59:59.999999Z")).widened(week.steps);
        assert_eq!(again, widest, "a client may send back what it was told");
        // Time begins with a week, and in the middle of these.
        let month = Stepping::plain(Width::Days(31));
        let widest = bounds(Some(all.from_us), Some(all.from_us + 1)).widened(month.steps);
        assert!(widest.from_us < Some(all.from_us), "{widest:?}");
        let problem = check(bounds(Some(all.from_us), Some(all.to_us - 1)).widened(month.steps), month, 1);
        assert!(problem.is_err_and(|problem| problem.detail.starts_with("from 0001-01-01T00:00:00Z to ")));
    }
}
