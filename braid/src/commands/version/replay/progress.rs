//! How far the speed layer has come with a replay: its shards say it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use platform::kafka::{Bound, Topics};
use platform::redis::Connection;
use platform::settings::Settings;
use shared_logic::catalog::{Catalog, Deployment, Source};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::speed_view::{ShardKeys, State};
use shared_logic::log::PartitionId;
use storage::{Followed, ShardClient, Storage};
use tokio::time::Instant;

use crate::number::{duration, integer};

/// How often it is looked.
pub(super) const EVERY: Duration = Duration::from_millis(500);

/// Looks how far a version has come.
pub(super) struct Watch {
    deployment: Deployment,
    sources: Vec<(Source, Followed<Facts>)>,
    topics: Topics,
    shards: ShardClient,
    redis: Connection,
    /// Where each log ended when it was looked last.
    ends: BTreeMap<PartitionId, i64>,
    progress: Progress,
}

/// How far a version has come.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Progress {
    /// How many offsets it has counted.
    done: u64,
    /// How many are left.
    to_go: u64,
    /// What was done when it was looked first, and when that was.
    first: Option<(u64, Instant)>,
    /// How long after that it was looked last.
    after: Duration,
}

impl Watch {
    /// Nothing is looked at yet.
    ///
    /// # Errors
    /// If the settings of Kafka or the store are not usable, or Redis cannot be reached.
    pub(super) async fn new(settings: &Settings, catalog: &Catalog) -> Result<Watch> {
        let storage = Storage::new(&settings.store, &catalog.deployment)?;
        let is_counted = |source: &&Source| catalog.metrics_of(&source.name).next().is_some();
        let counted = catalog.sources.values().filter(is_counted);
        Ok(Watch {
            deployment: catalog.deployment.clone(),
            sources: counted.map(|source| (source.clone(), storage.follow_archive(&source.name))).collect(),
            topics: Topics::new(&settings.kafka)?,
            shards: ShardClient::default(),
            redis: platform::redis::connect(&settings.redis).await?,
            ends: BTreeMap::new(),
            progress: Progress { done: 0, to_go: 0, first: None, after: Duration::ZERO },
        })
    }

    /// What the last look has found.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Looks once. Returns whether everything is counted that the logs held when it was looked before.
    ///
    /// # Errors
    /// If Kafka, Redis or the store cannot be asked.
    pub(super) async fn look(&mut self) -> Result<bool> {
        let (mut done, mut to_go, mut ends, mut reached) = (0, 0, BTreeMap::new(), true);
        for (source, archive) in &mut self.sources {
            let facts = archive.newest().await?.map(|archive| archive.facts()).unwrap_or_default();
            // A topic that is gone has nothing more to count.
            let Some(topic) = self.topics.describe(&source.topic).await? else { continue };
            let numbers: Vec<i32> = (0..topic.partitions).collect();
            let ids: Vec<PartitionId> = numbers.iter().map(|number| facts.current(&topic.log, *number)).collect();
            let starts = self.topics.offsets(&source.topic, &numbers, Bound::Start).await?;
            let of_log = self.topics.offsets(&source.topic, &numbers, Bound::End).await?;
            let keys: Vec<ShardKeys> =
                ids.iter().map(|id| ShardKeys::new(&self.deployment, &source.name, id)).collect();
            let states = self.shards.states(&mut self.redis, &keys).await?;
            for ((number, id), state) in numbers.iter().zip(ids).zip(states) {
                let (start, end) = (starts.get(number).copied().unwrap_or(0), of_log.get(number).copied().unwrap_or(0));
                let begin = facts.partition(&id).map_or(start, |known| known.begin.max(start));
                let (counted, left) = counted(state.as_ref(), begin, end);
                done += counted;
                to_go += left;
                let before = self.ends.get(&id).copied();
                reached &= has_reached(state.as_ref(), before);
                ends.insert(id, end);
            }
        }
        self.ends = ends;
        self.progress.note(done, to_go, Instant::now());
        Ok(reached)
    }
}

/// How many offsets of a partition are counted, and how many are left, if it begins and ends there.
fn counted(state: Option<&State>, begin: i64, end: i64) -> (u64, u64) {
    let number = |offsets: i64| u64::try_from(offsets).unwrap_or(0);
    match state {
        Some(State { shard, begin: opened, .. }) => {
            let from = opened.unwrap_or_else(|| shard.slices.first().copied().unwrap_or(shard.cursor));
            (number(shard.cursor - from), number(end - shard.cursor))
        }
        None => (0, number(end - begin)),
    }
}

/// Whether a shard has counted up to where its log ended when it was looked `before`; not if it was not looked then.
fn has_reached(state: Option<&State>, before: Option<i64>) -> bool {
    match (state, before) {
        (Some(state), Some(end)) => state.shard.cursor >= end,
        _ => false,
    }
}

impl Progress {
    fn note(&mut self, done: u64, to_go: u64, now: Instant) {
        let (_, first) = *self.first.get_or_insert((done, now));
        (self.done, self.to_go, self.after) = (done, to_go, now - first);
    }

    /// How many a second, since it was looked first; `None` if nothing was counted since.
    fn per_second(&self) -> Option<f64> {
        let (first, _) = self.first?;
        let counted = self.done.checked_sub(first).filter(|counted| *counted > 0)?;
        Some(counted as f64 / self.after.as_secs_f64().max(f64::MIN_POSITIVE))
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} records counted, {} to go", integer(self.done), integer(self.to_go))?;
        if let Some(per_second) = self.per_second() {
            let left_ms = (self.to_go as f64 / per_second * 1_000.0).min(u64::MAX as f64) as u64;
            write!(f, ", {} a second, {} left", integer(per_second.round() as u64), duration(left_ms))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::speed_view::{Instance, Shard};

    use super::*;

    fn state(cursor: i64, begin: Option<i64>) -> State {
        let (definitions, instance) = (BTreeMap::new(), Instance::new(1));
        let shard = Shard { cursor, slices: vec![5], definitions, instance, witnesses: vec![None; 2], truncated: None };
        State { shard, as_of_us: None, begin }
    }

    #[test]
    fn what_is_counted_is_what_lies_between_begin_and_cursor() {
        assert_eq!(counted(Some(&state(30, Some(10))), 0, 100), (20, 70));
        assert_eq!(counted(Some(&state(30, None)), 0, 100), (25, 70), "an older build opened it");
        assert_eq!(counted(None, 10, 100), (0, 90), "it is not opened yet");
        assert_eq!(counted(Some(&state(30, Some(10))), 0, 29), (20, 0), "the end was asked for before");
    }

    #[test]
    fn the_end_is_reached_once_what_was_there_before_is_counted() {
        let state = state(30, None);
        assert!(has_reached(Some(&state), Some(30)) && !has_reached(Some(&state), Some(31)));
        assert!(!has_reached(Some(&state), None), "nobody knows where the log ended");
        assert!(!has_reached(None, Some(0)), "it may be opened anywhere");
    }

    #[test]
    fn the_rate_and_what_is_left_are_told_once_something_is_counted() {
        let mut progress = Progress { done: 0, to_go: 0, first: None, after: Duration::ZERO };
        let begun = Instant::now();
        progress.note(1_000, 9_000, begun);
        assert_eq!(progress.to_string(), "1,000 records counted, 9,000 to go");
        progress.note(3_000, 7_000, begun + Duration::from_secs(2));
        assert_eq!(progress.to_string(), "3,000 records counted, 7,000 to go, 1,000 a second, 7.0 s left");
    }
}
