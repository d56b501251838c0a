//! Whether the clock tells the time that says which windows have come.
//!
//! Where the machine that judges also counts, both have one clock. If it is set ahead, windows seem to have come, and to be whole, in which nothing
//! has happened yet: a condition such as "fewer than before" holds of them. Measured time, which is never set, shows it.

use std::time::Duration;

/// By how much a clock may gain on measured time from one look to the next; microseconds. Clocks that are corrected bit by bit gain far less.
const GAIN_MAX_US: i64 = 5_000_000;

/// What was seen of a clock.
#[derive(Debug, Clone, Default)]
pub struct ClockWatch {
    /// What it said last, microseconds since 1970, and when by measured time.
    last: Option<(i64, Duration)>,
    ahead: Option<Ahead>,
}

/// By how much it was set ahead, and when by measured time.
#[derive(Debug, Clone, Copy)]
struct Ahead {
    by_us: i64,
    at: Duration,
}

impl ClockWatch {
    /// Looks at the clock, which says `now_us`, microseconds since 1970. `measured` is the time since a moment that stays the same. Gives by how many
    /// microseconds the clock was set ahead, until it has run evenly for as long as `settles`, or was set back.
    pub fn look(&mut self, now_us: i64, measured: Duration, settles: Duration) -> Option<i64> {
        let gained_us = self.last.replace((now_us, measured)).map_or(0, |(before_us, before)| {
            let passed = measured.saturating_sub(before).as_micros();
            now_us.saturating_sub(before_us).saturating_sub(i64::try_from(passed).unwrap_or(i64::MAX))
        });
        if gained_us.saturating_abs() > GAIN_MAX_US {
            let by_us = self.ahead.map_or(0, |ahead| ahead.by_us).saturating_add(gained_us);
            self.ahead = (by_us > GAIN_MAX_US).then_some(Ahead { by_us, at: measured });
        }
        self.ahead = self.ahead.filter(|ahead| measured.saturating_sub(ahead.at) < settles);
        self.ahead.map(|ahead| ahead.by_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    /// What a watch gives that looks after so many seconds each time, at clocks that are off by so many seconds.
    fn looked(looks: &[(i64, i64)]) -> Vec<Option<i64>> {
        let mut watch = ClockWatch::default();
        let look = |(after, off): &(i64, i64)| {
            let measured = Duration::from_secs(after.unsigned_abs());
            let found = watch.look((1_000_000 + after + off) * 1_000_000, measured, Duration::from_secs(60));
            found.map(|by_us| by_us / 1_000_000)
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_clock_that_runs_evenly_is_believed_however_wrong_it_is() {
        assert_eq!(looked(&[(0, HOUR), (2, HOUR), (4, HOUR), (9_000, HOUR)]), [None; 4]);
        assert_eq!(looked(&[(0, 0), (2, 4), (4, 8), (6, 12)]), [None; 4], "it is corrected bit by bit");
    }

    #[test]
    fn a_clock_that_was_set_ahead_is_believed_once_it_has_run_evenly() {
        let found = looked(&[(0, 0), (2, HOUR), (4, HOUR), (61, HOUR), (62, HOUR), (64, HOUR)]);
        assert_eq!(found, [None, Some(HOUR), Some(HOUR), Some(HOUR), None, None]);
        let found = looked(&[(0, 0), (2, 100), (60, 300), (63, 300), (119, 300), (120, 300)]);
        assert_eq!(found, [None, Some(100), Some(300), Some(300), Some(300), None], "each time anew");
    }

    #[test]
    fn a_clock_that_was_set_back_is_believed() {
        assert_eq!(looked(&[(0, 0), (2, HOUR), (4, 0), (6, 0)]), [None, Some(HOUR), None, None]);
        assert_eq!(looked(&[(0, 0), (2, HOUR), (4, 60)]), [None, Some(HOUR), Some(60)], "not all of it");
        assert_eq!(looked(&[(0, 0), (2, -HOUR), (4, -HOUR)]), [None; 3]);
        assert_eq!(looked(&[(0, 0), (2, -HOUR), (4, 0)]), [None, None, Some(HOUR)], "nobody knows which was right");
    }
}
