//! Which part of a range a view holds: days that are older than its first one are retired (`retain`).

use super::{Gap, Why};
use crate::contracts::batch_view::Note;
use crate::time::DAY_US;

/// A range of event time as a view can answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRange {
    /// From where on it is answered; `None`: from the first event on.
    pub from_us: Option<i64>,
    /// What it asks for that is not held.
    pub gap: Option<Gap>,
}

/// Which part of the range from `from_us` to `to_us` that view holds. `at_or_after` gives the first begin of a step from an instant on.
///
/// A range without a start begins with the first whole step that is held, so that what it says is complete. One that asks for earlier
/// events by name gets what there is, with a gap.
pub fn held(
    view: Option<&Note>,
    (from_us, to_us): (Option<i64>, Option<i64>),
    at_or_after: impl FnOnce(i64) -> i64,
) -> HeldRange {
    let Some(before) = view.and_then(|note| note.retired_before) else { return HeldRange { from_us, gap: None } };
    let first_us = before.saturating_mul(DAY_US);
    let first_step = at_or_after(first_us);
    let is_open = from_us.is_none() && to_us.is_none_or(|to_us| first_step < to_us);
    if is_open {
        return HeldRange { from_us: Some(first_step), gap: None };
    }
    let asks_for_more = from_us.is_none_or(|from_us| from_us < first_us);
    HeldRange { from_us, gap: asks_for_more.then_some(Gap { partition: None, why: Why::Retired { before } }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::batch_view::Asked;
    use crate::log::Offsets;
    use crate::time::{HOUR_US, bucket_start};

    const DAY: i64 = 100;

    fn note(retired_before: Option<i64>) -> Note {
        let definition = "0000000000000001".parse().expect("16 digits");
        let (cut, asked) = (Offsets::default(), Asked::default());
        Note { definition, cut, archive_version: 1, retired_before, committed_at_us: 0, asked }
    }

    fn asked(from_us: Option<i64>, to_us: Option<i64>, step_us: i64) -> (Option<i64>, bool) {
        let at_or_after = |instant_us: i64| bucket_start(instant_us + step_us - 1, step_us);
        let HeldRange { from_us, gap } = held(Some(&note(Some(DAY))), (from_us, to_us), at_or_after);
        (from_us, gap.is_some())
    }

    #[test]
    fn a_range_without_a_start_begins_with_the_first_day_that_is_held() {
        let first = DAY * DAY_US;
        assert_eq!(asked(None, None, HOUR_US), (Some(first), false));
        assert_eq!(asked(None, Some(first + 1), HOUR_US), (Some(first), false));
        assert_eq!(asked(None, Some(first), HOUR_US), (None, true), "it ends before that");
        assert_eq!(asked(None, None, 7 * DAY_US), (Some(105 * DAY_US), false), "the first whole week");
        assert_eq!(asked(None, Some(104 * DAY_US), 7 * DAY_US), (None, true));
    }

    #[test]
    fn a_range_that_names_an_earlier_start_has_a_gap() {
        let first = DAY * DAY_US;
        assert_eq!(asked(Some(first), None, HOUR_US), (Some(first), false));
        assert_eq!(asked(Some(first - 1), None, HOUR_US), (Some(first - 1), true));
        assert_eq!(asked(Some(first - 2), Some(first - 1), HOUR_US), (Some(first - 2), true));
    }

    #[test]
    fn a_view_that_holds_every_day_holds_every_range() {
        for view in [None, Some(&note(None))] {
            let expected = HeldRange { from_us: None, gap: None };
            assert_eq!(held(view, (None, Some(5)), |instant_us| instant_us), expected);
        }
    }
}
