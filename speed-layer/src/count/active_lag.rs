//! How far the active version is behind, for the loops that count another one (K4). Which process counts that version does not matter: its
//! shards in Redis say it. This is a task of the source beside its counting loops.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use platform::clock::now_us;
use platform::redis::Connection;
use platform::telemetry::error_text;
use shared_logic::contracts::speed_view::{ShardKeys, State};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::pace::Pace;
use super::source::Shared;

/// How often it is asked how far the active version is behind.
const EVERY: Duration = Duration::from_secs(1);

/// What a replay must not slow down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Active {
    /// The active version does not count what this unit counts, or is what this unit counts for.
    NothingElse,
    /// Its answers are so far behind, at most; `None`: nobody knows.
    Behind(Option<Duration>),
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
        note(&shared, now);
        publish.send_if_modified(|known| std::mem::replace(known, now) != now);
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn note(shared: &Shared, pace: Pace) {
    let (source, version) = (&shared.metrics.source.name, &shared.catalog.deployment.version);
    let labels = [("source", source.clone()), ("version", version.clone())];
    gauge!("braid_speed_replay_share", &labels).set(pace.share());
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
    use std::collections::BTreeMap;

    use shared_logic::contracts::speed_view::{Instance, Shard};

    use super::*;

    #[test]
    fn the_partition_that_is_farthest_behind_counts_and_a_truncated_one_does_not() {
        let state = |as_of_us, truncated| {
            let (definitions, instance) = (BTreeMap::new(), Instance::new(1));
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
