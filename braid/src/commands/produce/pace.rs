//! When the next record is due, and which time it carries.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The times of a stream of records.
///
/// With a given start, time is virtual: it advances by one interval with each record, or not at all at full speed, so that it
/// depends only on the number of records. Without one, it is the clock's time.
#[derive(Debug)]
pub(super) struct Pace {
    events_per_second: f64,
    began: Instant,
    begin_us: Option<i64>,
    clock: fn() -> i64,
    taken: u64,
}

impl Pace {
    /// A pace that begins now, with so many records a second; 0 means no pause between them.
    pub(super) fn new(events_per_second: f64, begin_us: Option<i64>, clock: fn() -> i64) -> Pace {
        Pace { events_per_second, began: Instant::now(), begin_us, clock, taken: 0 }
    }

    /// Waits until the next record is due and returns its time in microseconds since 1970.
    ///
    /// A record is not lost if the future is dropped.
    pub(super) async fn next(&mut self) -> i64 {
        let after = self.due();
        if !after.is_zero() {
            sleep_until(self.began + after).await;
        }
        self.taken += 1;
        match self.begin_us {
            Some(begin_us) => begin_us.saturating_add(i64::try_from(after.as_micros()).unwrap_or(i64::MAX)),
            None => (self.clock)(),
        }
    }

    fn due(&self) -> Duration {
        if self.events_per_second == 0.0 {
            return Duration::ZERO;
        }
        // The limit is 30 years, because a duration made of floats may not be infinite.
        Duration::from_secs_f64((self.taken as f64 / self.events_per_second).min(1e9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK_US: i64 = 42;

    #[tokio::test]
    async fn given_time_goes_on_by_the_rate_alone() {
        let mut pace = Pace::new(1_000.0, Some(5), || CLOCK_US);
        let times = [pace.next().await, pace.next().await, pace.next().await];
        assert_eq!(times, [5, 1_005, 2_005]);
        let mut at_once = Pace::new(0.0, Some(5), || CLOCK_US);
        assert_eq!([at_once.next().await, at_once.next().await], [5, 5]);
    }

    #[tokio::test]
    async fn otherwise_the_clock_is_asked() {
        assert_eq!(Pace::new(0.0, None, || CLOCK_US).next().await, CLOCK_US);
    }
}
