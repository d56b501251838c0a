//! Looks at all that a replay needs: topics, archives, the active version's views and shards, and Redis.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use platform::kafka::{Bound, Topics};
use platform::redis::Connection;
use platform::settings::Settings;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::archive::{ColumnsOnly, Facts, LogFacts};
use shared_logic::contracts::speed_view::ShardKeys;
use shared_logic::log::PartitionId;
use shared_logic::version::{DeployedVersions, ReplayFrom, undecodable};
use storage::{ShardClient, Storage};
use tokio::time::Instant;

use super::prerequisites::{Seen, SeenArchive, SeenLog, SeenPartition, SeenRedis, SeenSource};

/// How long it is looked how fast the active version counts.
const MEASURED_FOR: Duration = Duration::from_secs(1);

/// What looks.
struct Look<'a> {
    catalog: &'a Catalog,
    active: &'a Catalog,
    storage: Storage,
    topics: Topics,
    shards: ShardClient,
    redis: Connection,
}

/// Looks at what the replay of a version needs.
///
/// # Errors
/// If its catalog cannot be used, or Kafka, Redis or the store cannot be asked.
pub(super) async fn look(
    settings: &Settings,
    versions: &DeployedVersions,
    version: &str,
    from: ReplayFrom,
) -> Result<Seen> {
    let catalog = versions.version(version);
    let catalog = catalog.with_context(|| match versions.unreadable().get(version) {
        Some(why) => format!("the catalog of version {version} cannot be used: {why}"),
        None => format!("version {version} is gone"),
    })?;
    let storage = Storage::new(&settings.store, &catalog.deployment)?;
    let (topics, redis) = (Topics::new(&settings.kafka)?, platform::redis::connect(&settings.redis).await?);
    let active = versions.active();
    let mut look = Look { catalog, active, storage, topics, shards: ShardClient::default(), redis };
    let mut seen = Seen {
        from,
        keeps_archive: catalog.deployment.keeps_archive,
        sources: Vec::new(),
        redis: look.room(settings).await?,
        per_second: None,
        has_shards: false,
    };
    // The shards of the active version.
    let mut active_shards = Vec::new();
    for source in catalog.sources.values() {
        let Some((mut of_source, ids)) = look.source(source).await? else { continue };
        let own_shards = keys(catalog, &source.name, &ids);
        for keys in &own_shards {
            seen.redis.own_bytes += look.shards.memory(&mut look.redis, keys).await?;
        }
        let own = look.shards.states(&mut look.redis, &own_shards).await?;
        seen.has_shards |= own.iter().any(Option::is_some);
        if let Some(log) = &mut of_source.log {
            for (partition, state) in log.partitions.iter_mut().zip(own) {
                // It goes on where it was.
                partition.begin = state.map(|state| state.shard.cursor).or(partition.begin);
            }
        }
        active_shards.extend(keys(active, &source.name, &ids));
        seen.sources.push(of_source);
    }
    for keys in &active_shards {
        seen.redis.shard_bytes += look.shards.memory(&mut look.redis, keys).await?;
    }
    seen.per_second = look.rate(&active_shards).await?;
    Ok(seen)
}

impl Look<'_> {
    /// What is seen of a source, and the partitions of its log; `None` if the replay does not read it.
    async fn source(&self, source: &Source) -> Result<Option<(SeenSource, Vec<PartitionId>)>> {
        let deployment = &self.catalog.deployment;
        let is_own = |stream: &str| deployment.generation(stream) == deployment.version;
        let is_counted = self.catalog.metrics_of(&source.name).next().is_some();
        let own = self.catalog.streams_of(&source.name).filter(|stream| is_own(&stream.name));
        let own_streams: Vec<String> = own.map(|stream| stream.name.clone()).collect();
        // A stream of the version's own begins with it.
        if is_own(&source.name) || (!is_counted && own_streams.is_empty()) {
            return Ok(None);
        }
        let facts = self.storage.archive(&source.name).await?.map(|archive| archive.facts());
        let (log, ids) = self.log(source, facts.as_ref()).await?;
        let archive = facts.map(|facts| archive(&facts, source));
        let (name, topic) = (source.name.clone(), source.topic.clone());
        Ok(Some((SeenSource { name, topic, own_streams, is_counted, log, archive }, ids)))
    }

    /// The topic as it is, and its partitions.
    async fn log(&self, source: &Source, facts: Option<&Facts>) -> Result<(Option<SeenLog>, Vec<PartitionId>)> {
        let Some(topic) = self.topics.describe(&source.topic).await? else { return Ok((None, Vec::new())) };
        let numbers: Vec<i32> = (0..topic.partitions).collect();
        let starts = self.topics.offsets(&source.topic, &numbers, Bound::Start).await?;
        let ends = self.topics.offsets(&source.topic, &numbers, Bound::End).await?;
        let of = |offsets: &BTreeMap<i32, i64>, number: &i32| offsets.get(number).copied().unwrap_or(0);
        let id = |number: &i32| match facts {
            Some(facts) => facts.current(&topic.log, *number),
            None => PartitionId::new(topic.log.as_str(), *number),
        };
        let ids: Vec<PartitionId> = numbers.iter().map(id).collect();
        let partition = |(number, id): (&i32, &PartitionId)| {
            let known = facts.and_then(|facts| facts.partition(id));
            SeenPartition {
                start: of(&starts, number),
                end: of(&ends, number),
                begin: known.map(|known| known.begin),
                erased_below: known.and_then(|known| known.erased_below),
            }
        };
        let partitions = numbers.iter().zip(&ids).map(partition).collect();
        let is_compacted = self.topics.is_compacted(&source.topic).await?;
        Ok((Some(SeenLog { is_compacted, partitions }), ids))
    }

    /// How many records the active version counts a second; `None` if none arrive.
    async fn rate(&mut self, shards: &[ShardKeys]) -> Result<Option<f64>> {
        let (before, begun) = (self.cursors(shards).await?, Instant::now());
        tokio::time::sleep(MEASURED_FOR).await;
        let after = self.cursors(shards).await?;
        let counted = after.saturating_sub(before);
        Ok((counted > 0).then(|| counted as f64 / begun.elapsed().as_secs_f64()))
    }

    /// The cursors of those shards together.
    async fn cursors(&mut self, shards: &[ShardKeys]) -> Result<i64> {
        let states = self.shards.states(&mut self.redis, shards).await?;
        Ok(states.into_iter().flatten().map(|state| state.shard.cursor).sum())
    }

    /// What Redis has, and what the version's metrics take in the active version's views.
    async fn room(&mut self, settings: &Settings) -> Result<SeenRedis> {
        let views = Storage::new(&settings.store, &self.active.deployment)?;
        let mut seen = SeenRedis::default();
        for metric in self.catalog.metrics.keys() {
            if !self.active.metrics.contains_key(metric) {
                seen.unknown.push(metric.clone());
            } else if let Some(view) = views.batch_view(metric).await? {
                seen.rows += view.files().await?.iter().map(|file| file.rows).sum::<u64>();
            }
        }
        let memory = platform::redis::memory(&mut self.redis).await?;
        (seen.used, seen.most, seen.unasked) = (memory.used, memory.most, memory.unasked);
        Ok(seen)
    }
}

/// The keys of a version's shards of these partitions.
fn keys(catalog: &Catalog, source: &str, ids: &[PartitionId]) -> Vec<ShardKeys> {
    ids.iter().map(|id| ShardKeys::new(&catalog.deployment, source, id)).collect()
}

/// What an archive says.
fn archive(facts: &Facts, source: &Source) -> SeenArchive {
    let has_ended = |log: &&LogFacts| log.closed || log.partitions.values().any(|partition| partition.closed);
    let lost = facts.entries().flat_map(|(_, _, partition)| &partition.lost).filter(|lost| !lost.accepted);
    let records = |(id, range): (PartitionId, ColumnsOnly)| format!("[{}, {}) of {id}", range.from, range.to);
    SeenArchive {
        closed: facts.logs.iter().filter(has_ended).count(),
        lost: lost.count(),
        undecodable: undecodable(facts, source).map(records),
        is_retired: facts.retired_before.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::archive::Lost;

    use super::*;

    #[test]
    fn what_has_ended_and_what_was_lost_is_seen_in_the_facts() {
        let catalog = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n";
        let catalog = Catalog::parse(catalog).expect("a valid catalog");
        let (mut facts, old) = (Facts::default(), PartitionId::new("old", 0));
        facts.begin(&PartitionId::new("log", 0), 0);
        facts.begin(&old, 0);
        let seen = archive(&facts, &catalog.sources["s"]);
        assert_eq!(seen, SeenArchive::default());
        facts.see_end(&old, 7);
        facts.close("old");
        let partition = facts.log_mut("log").partitions.get_mut(&0).expect("begun");
        partition.lost.push(Lost { from: 1, to: 2, accepted: true });
        let seen = archive(&facts, &catalog.sources["s"]);
        assert_eq!((seen.closed, seen.lost, seen.is_retired), (1, 1, false), "what is accepted is no loss");
    }
}
