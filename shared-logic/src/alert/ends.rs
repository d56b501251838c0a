//! Which windows are due to be judged, by their ends.

use crate::time::bucket_start;

/// The most windows that are judged one after the other when some were missed.
const MOST: i64 = 60;

/// The end of the newest window of which nothing is missing: everything that arrived before `as_of_us` is counted, and late events are
/// waited for as long as `lateness_us`.
pub fn newest_end(as_of_us: i64, lateness_us: i64, grain_us: i64) -> i64 {
    bucket_start(as_of_us - lateness_us, grain_us)
}

/// The ends of the windows to judge now, in order, if the one that ends at `last_us` was judged last and the newest ends at `newest_us`.
///
/// The newest is judged again and again, since late events may change it. Windows that were missed are judged as well, as many of
/// the last ones as `for_us` looks back on: how long a condition has held is known only if it was judged at every end. None is
/// judged that is older than the last.
pub fn due_ends(last_us: Option<i64>, newest_us: i64, grain_us: i64, for_us: i64) -> Vec<i64> {
    let Some(last_us) = last_us else { return vec![newest_us] };
    if newest_us <= last_us {
        return if newest_us == last_us { vec![newest_us] } else { Vec::new() };
    }
    let wanted = (for_us.div_euclid(grain_us) + 2).min(MOST);
    let missed = (newest_us - last_us) / grain_us;
    (0..missed.min(wanted)).rev().map(|back| newest_us - back * grain_us).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_everything_is_counted_and_late_events_were_waited_for() {
        assert_eq!(newest_end(129, 0, 60), 120);
        assert_eq!(newest_end(129, 10, 60), 60);
        assert_eq!(newest_end(130, 10, 60), 120);
        assert_eq!(newest_end(-1, 0, 60), -60);
    }

    #[test]
    fn the_newest_window_is_judged_again_and_missed_ones_in_order() {
        assert_eq!(due_ends(None, 120, 60, 600), [120]);
        assert_eq!(due_ends(Some(120), 120, 60, 0), [120]);
        assert_eq!(due_ends(Some(120), 60, 60, 0), [0_i64; 0], "never backwards");
        assert_eq!(due_ends(Some(60), 240, 60, 120), [120, 180, 240]);
        assert_eq!(due_ends(Some(0), 600, 60, 60), [480, 540, 600], "no more than the condition has to hold");
        assert_eq!(due_ends(Some(0), 60 * 100_000, 60, 60 * 10_000).len(), 60, "and never very many");
    }
}
