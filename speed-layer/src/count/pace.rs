//! How fast a version is counted that is not the active one and is far behind: a replay (K4).
//!
//! It reads, counts and writes as fast as it can, on processors and a Redis that it shares with the active version. So its loops rest after
//! each micro-batch, for a share of their time that depends on how far the active version's answers are behind. Which process counts that
//! version does not matter: its shards in Redis say it.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::now_us;
use platform::redis::Connection;
use platform::telemetry::error_text;
use shared_logic::contracts::speed_view::{ShardKeys, State};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::source::Shared;

/// How often it is asked how far the active version is behind.
const EVERY: Duration = Duration::from_secs(1);
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

/// What a replay must not slow down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Active {
    /// The active version does not count what this unit counts, or is what this unit counts for.
    NothingElse,
    /// Its answers are so far behind, at most; `None`: nobody knows.
    Behind(Option<Duration>),
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

    /// How long to rest after work that took so long.
    pub fn rest(self, took: Duration) -> Duration {
        took.saturating_mul(u32::from(100 - self.share)) / u32::from(self.share)
    }
}

/// Tells the loops of a source their pace, until `stop`.
pub async fn follow(shared: Arc<Shared>, mut redis: Connection, publish: watch::Sender<Pace>, stop: CancellationToken) {
    let (bound, most) = (shared.replays.replay_lag.get(), Pace::at_most(shared.replays.replay_share));
    let mut pace = most;
    loop {
        let now = match active(&shared, &mut redis).await {
            Active::NothingElse if is_active(&shared) => Pace::FULL,
            Active::NothingElse => most,
            Active::Behind(lag) => pace.next(lag, bound),
        };
        pace = if now == Pace::FULL { most } else { now };
        publish.send_if_modified(|known| std::mem::replace(known, now) != now);
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
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

fn is_active(shared: &Shared) -> bool {
    shared.versions.now().active_name() == shared.catalog.deployment.version
}

/// How far the active version is behind in the partitions that this unit counts.
async fn active(shared: &Shared, redis: &mut Connection) -> Active {
    let versions = shared.versions.now();
    let (active, source) = (versions.active(), &shared.metrics.source);
    let counts_it = active.metrics_of(&source.name).next().is_some()
        && active.sources.get(&source.name).is_some_and(|of_active| of_active.topic == source.topic);
    if is_active(shared) || !counts_it {
        return Active::NothingElse;
    }
    let counting = shared.counting.borrow().clone();
    let keys: Vec<ShardKeys> = counting.iter().map(|id| ShardKeys::new(&active.deployment, &source.name, id)).collect();
    if keys.is_empty() {
        return Active::NothingElse;
    }
    match shared.shards.states(redis, &keys).await {
        Ok(states) => Active::Behind(greatest(&states, now_us())),
        Err(error) => {
            debug!(error = error_text(&error), "cannot ask how far the active version is behind");
            Active::Behind(None)
        }
    }
}

/// How far the one of these shards is behind that is so most; `None` if that is not known of one of them. A truncated one counts nothing,
/// however slow others are (R12).
fn greatest(states: &[Option<State>], now_us: i64) -> Option<Duration> {
    let mut greatest = Duration::ZERO;
    for state in states {
        let state = state.as_ref()?;
        if state.shard.truncated.is_none() {
            let behind_us = now_us.saturating_sub(state.as_of_us?);
            greatest = greatest.max(Duration::from_micros(u64::try_from(behind_us).unwrap_or(0)));
        }
    }
    Some(greatest)
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::speed_view::{Instance, Shard};

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

    #[test]
    fn the_partition_that_is_farthest_behind_counts_and_a_truncated_one_does_not() {
        let state = |as_of_us, truncated| {
            let (definitions, instance) = (std::collections::BTreeMap::new(), Instance::new(1));
            let shard =
                Shard { cursor: 0, slices: vec![0], definitions, instance, witnesses: vec![None; 2], truncated };
            Some(State { shard, as_of_us, begin: None })
        };
        let second = 1_000_000;
        let lag = |states: &[Option<State>]| greatest(states, 10 * second);
        assert_eq!(lag(&[state(Some(9 * second), None), state(Some(7 * second), None)]), Some(Duration::from_secs(3)));
        assert_eq!(lag(&[state(Some(11 * second), None)]), Some(Duration::ZERO), "a clock that is ahead");
        assert_eq!(lag(&[state(Some(9 * second), None), None]), None, "it has no shard yet");
        assert_eq!(lag(&[state(Some(9 * second), None), state(None, None)]), None);
        assert_eq!(lag(&[state(Some(9 * second), None), state(None, Some(5))]), Some(Duration::from_secs(1)));
    }
}
