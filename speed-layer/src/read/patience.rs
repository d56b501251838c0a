//! How long a reading thread still waits for the loop of one partition while others starve.
//!
//! To pause a partition costs what of it was fetched and not read, so a loop that is late once is waited for. But a loop that is
//! always late would hold the others of its thread to its own pace. So the thread has a patience with each loop: waiting for it uses
//! that up, and it comes back more slowly. Once there is none, the partition is paused instead, whenever others starve.

use std::time::Duration;

/// The most that there is: longer than a loop takes to count a large micro-batch in which every event has a counter of its own.
const FULL: Duration = Duration::from_secs(1);
/// So many times longer than it lasts it takes to come back. A loop that is always late holds up others for a ninth of the time.
const COMES_BACK: u32 = 8;

/// How long a loop is still waited for while others starve.
#[derive(Debug, PartialEq)]
pub(super) struct Patience {
    left: Duration,
}

impl Patience {
    /// With a loop that has not been waited for.
    pub(super) fn full() -> Patience {
        Patience { left: FULL }
    }

    /// Time has passed in which the thread waited for the loop, and others starved.
    pub(super) fn wait(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// Time has passed in which no other partition had to wait for the loop.
    pub(super) fn rest(&mut self, time: Duration) {
        self.left = FULL.min(self.left.saturating_add(time / COMES_BACK));
    }

    /// Whether the loop is not waited for any more.
    pub(super) fn is_used_up(&self) -> bool {
        self.left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_loop_that_is_late_once_is_waited_for_and_one_that_takes_nothing_is_not_for_ever() {
        let mut patience = Patience::full();
        patience.wait(FULL - MS);
        assert!(!patience.is_used_up());
        patience.rest(FULL * COMES_BACK);
        assert_eq!(patience, Patience::full());
        patience.rest(Duration::MAX);
        assert_eq!(patience, Patience::full(), "it does not grow beyond that");
        patience.wait(FULL);
        assert!(patience.is_used_up());
        patience.wait(MS);
        assert!(patience.is_used_up(), "there is no less than none");
    }

    /// Loops that take something every so often, while what they take is read in 10 ms: for how much of a minute others wait for them.
    #[test]
    fn a_loop_that_is_always_late_holds_up_others_for_a_ninth_of_the_time_at_most() {
        for late in [MS, 20 * MS, 100 * MS, 490 * MS, 900 * MS, 5_000 * MS] {
            let (mut patience, mut waited, mut passed) = (Patience::full(), Duration::ZERO, Duration::ZERO);
            while passed < 60_000 * MS {
                patience.rest(10 * MS);
                let waits = late.min(patience.left);
                patience.wait(waits);
                // Its partition is paused until it has taken something.
                patience.rest(late - waits);
                waited += waits;
                passed += 10 * MS + late;
            }
            assert!(waited <= FULL + passed / (COMES_BACK + 1), "{late:?}: {waited:?} of {passed:?}");
        }
    }
}
