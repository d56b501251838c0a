//! How often a question is asked.
//!
//! Questions are asked at common moments, so that those about one source share a look at its shards. A question that takes long is asked less
//! often: at most a quarter of the time.

use std::time::Duration;

use tokio::time::Instant;

/// How many times as long as it took a question rests.
const REST: u32 = 3;

/// The common moments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    first: Instant,
    every: Duration,
}

impl Pace {
    /// A moment `every` so often, from `first` on.
    pub(super) fn new(first: Instant, every: Duration) -> Pace {
        Pace { first, every }
    }

    /// When a question is asked again that was asked at `begun` and answered at `ended`.
    pub(super) fn next(&self, begun: Instant, ended: Instant) -> Instant {
        let rested = ended + ended.saturating_duration_since(begun) * REST;
        let due = rested.max(begun + self.every).saturating_duration_since(self.first).as_nanos();
        let every = self.every.as_nanos().max(1);
        // A process does not run for the 584 years that fit.
        self.first + Duration::from_nanos(u64::try_from(due / every * every).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_asked_at_common_moments_and_slow_ones_less_often() {
        let first = Instant::now();
        let pace = Pace::new(first, Duration::from_millis(250));
        let next = |begun: u64, took: u64| {
            let begun = first + Duration::from_millis(begun);
            pace.next(begun, begun + Duration::from_millis(took)).duration_since(first).as_millis()
        };
        assert_eq!((next(0, 1), next(3, 40), next(249, 0)), (250, 250, 250));
        assert_eq!((next(250, 1), next(251, 60)), (500, 500));
        assert_eq!(next(500, 125), 1_000, "twice as long as may be: every second time");
        assert_eq!(next(500, 2_000), 8_500);
    }

    #[test]
    fn any_time_between_is_kept() {
        let first = Instant::now();
        let pace = Pace::new(first, Duration::from_nanos(1));
        let day = first + Duration::from_secs(86_400);
        assert_eq!(pace.next(day, day), day + Duration::from_nanos(1));
    }
}
