//! How fast a version is counted that is not the active one and is far behind: a replay (K4).
//!
//! It reads, counts and writes as fast as it can, on processors and a Redis that it shares with the active version. So its loops rest after
//! each micro-batch, for a share of their time that depends on how far the active version's answers are behind.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A replay goes on however far the active version is behind: it could be so for another reason, and for ever.
const LEAST: u8 = 2;
/// By how much the share grows each time that the active version is not behind.
const STEP: u8 = 5;

/// The share of its time that a loop counts, in percent, while it is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    share: u8,
    most: u8,
}

impl Pace {
    /// All of its time.
    pub const FULL: Pace = Pace { share: 100, most: 100 };

    /// At most that many percent, from 1 to 100, and as many to begin with.
    pub fn at_most(percent: u8) -> Pace {
        let most = percent.clamp(1, 100);
        Pace { share: most, most }
    }

    /// The next one, a second later. `lag` is how far the active version's answers are behind; who does not know that fears the worst.
    #[must_use]
    pub fn next(self, lag: Option<Duration>, bound: Duration) -> Pace {
        let share = match lag {
            Some(lag) if lag <= bound => self.share.saturating_add(STEP),
            _ => self.share / 2,
        };
        Pace { share: share.clamp(LEAST.min(self.most), self.most), ..self }
    }

    /// The share of its time, from 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.share) / 100.0
    }

    /// How long to rest after work that took so long.
    pub fn rest(self, took: Duration) -> Duration {
        took.saturating_mul(u32::from(100 - self.share)) / u32::from(self.share)
    }
}

/// Rests after work that took so long, as the pace says. It ends early if that becomes faster, and at `stop`.
pub async fn rest(took: Duration, mut pace: watch::Receiver<Pace>, stop: &CancellationToken) {
    let begun = Instant::now();
    loop {
        let left = pace.borrow_and_update().rest(took).saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(left) => return,
            changed = pace.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(2);

    fn after(mut pace: Pace, lags: &[Option<Duration>]) -> u8 {
        for lag in lags {
            pace = pace.next(*lag, BOUND);
        }
        pace.share
    }

    #[test]
    fn a_replay_goes_slower_at_once_and_faster_little_by_little() {
        let (behind, well) = (Some(BOUND + Duration::from_millis(1)), Some(BOUND));
        let begin = Pace::at_most(50);
        assert_eq!(begin.share, 50);
        assert_eq!(after(begin, &[behind]), 25);
        assert_eq!(after(begin, &[behind, behind, well]), 17);
        assert_eq!(after(begin, &[behind, well, well, well, well, well, well]), 50, "never more than what is set");
        assert_eq!(after(begin, &[None]), 25, "who cannot ask fears the worst");
        assert_eq!(after(begin, &[behind; 20]), 2, "it goes on all the same");
        assert_eq!(after(Pace::at_most(1), &[behind, well]), 1);
        assert_eq!(after(Pace::at_most(100), &[well, behind]), 50);
    }

    #[test]
    fn a_loop_rests_for_what_is_not_its_share() {
        let (second, rest) = (Duration::from_secs(1), |percent| Pace::at_most(percent).rest(Duration::from_secs(1)));
        assert_eq!((rest(50), rest(25), rest(2)), (second, 3 * second, 49 * second));
        assert_eq!((rest(100), Pace::FULL.rest(second)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(rest(0), 99 * second, "it never stands still");
    }

    #[tokio::test]
    async fn a_rest_ends_when_the_version_becomes_the_active_one() {
        let (publish, pace) = watch::channel(Pace::at_most(2));
        let stop = CancellationToken::new();
        let resting = rest(Duration::from_secs(3_600), pace.clone(), &stop);
        let promoted = async {
            tokio::task::yield_now().await;
            publish.send_replace(Pace::FULL);
        };
        let within = tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(resting, promoted) });
        within.await.expect("it ends");
        publish.send_replace(Pace::at_most(2));
        stop.cancel();
        let resting = rest(Duration::from_secs(3_600), pace, &stop);
        tokio::time::timeout(Duration::from_secs(10), resting).await.expect("it is stopped");
    }
}
