//! How much of what a reconcile finds is kept to be compared with what speed had said: so many buckets that it hardly ever has more,
//! and so few that memory does not grow with the number of events.

use shared_logic::drift::Found;
use shared_logic::measure::MeasureKind;

/// How many buckets are compared at most: as many minutes as ten weeks have. Each takes some hundred bytes.
pub(super) const BUCKETS_MAX: usize = 100_000;

/// Adds what was found of other events of a day, unless the day has more buckets than are compared already. Then nothing is compared,
/// and what is kept must not grow with the number of events.
pub(super) fn add(found: &mut Found, kinds: &[MeasureKind], others: Found) {
    if found.buckets() <= BUCKETS_MAX {
        found.add(kinds, others);
    }
}

/// Forgets what was found of a day if the days before it, with so many buckets, have more than are compared. Returns how many there are
/// with this day.
pub(super) fn with_day(before: usize, found: &mut Found) -> usize {
    if before > BUCKETS_MAX {
        *found = Found::default();
    }
    before + found.buckets()
}

#[cfg(test)]
mod tests {
    use shared_logic::plan::{Total, Totals};

    use super::*;

    const KINDS: [MeasureKind; 1] = [MeasureKind::Count];

    /// An event in each of so many buckets, from that one on.
    fn found(from: usize, count: usize) -> Found {
        let mut seen = Totals::default();
        (from..from + count).for_each(|bucket| seen.add_total(&KINDS, bucket as i64, Total::nothing(&KINDS)));
        Found { seen, ..Found::default() }
    }

    #[test]
    fn what_is_found_of_a_day_does_not_grow_beyond_what_is_compared() {
        let mut day = Found::default();
        add(&mut day, &KINDS, found(0, BUCKETS_MAX));
        add(&mut day, &KINDS, found(BUCKETS_MAX, 5));
        assert_eq!(day.buckets(), BUCKETS_MAX + 5, "the last that was added before there were too many");
        add(&mut day, &KINDS, found(BUCKETS_MAX + 5, 5));
        assert_eq!(day.buckets(), BUCKETS_MAX + 5);
    }

    #[test]
    fn of_many_days_no_more_is_kept_than_it_takes_to_know_that_they_are_not_compared() {
        let (mut buckets, mut kept) = (0, 0);
        for day in 0..100 {
            let mut found = found(day, BUCKETS_MAX / 10);
            buckets = with_day(buckets, &mut found);
            kept += found.buckets();
        }
        assert_eq!((buckets, kept), (11 * (BUCKETS_MAX / 10), 11 * (BUCKETS_MAX / 10)));
        assert!(kept > BUCKETS_MAX, "so nothing is compared");
    }
}
