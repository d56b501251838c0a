//! What a reconcile asks of the shards of one source: new slices (R3), which shards there are by now (R13), how far
//! closed logs were counted (R6), which logs lost their tail (R12), and what is counted.
//!
//! - `said`: what they had counted of the offsets that a reconcile takes over.

mod said;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use platform::redis::{Connection, RedisError};
use platform::settings;
use shared_logic::catalog::{DefinitionHash, Deployment};
use shared_logic::contracts::archive::{Facts, LogFacts};
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Shard, ShardKeys};
use shared_logic::cut;
use shared_logic::log::{PartitionId, Position, Witness};
use storage::{Archive, ShardClient, ShardError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::error::{MetricError, SourceError};
use super::slices::{self, Slices};

pub(super) use self::said::NotSaid;

/// The shards of one source, for the duration of one reconcile.
pub(super) struct Shards<'a> {
    deployment: &'a Deployment,
    /// Other versions of the deployment that count the same records (R6).
    pub(super) others: Vec<Deployment>,
    source: &'a str,
    client: ShardClient,
    redis: Connection,
    /// The closed logs that this reconcile has settled.
    settled: BTreeSet<String>,
    /// The incarnations that lost their tail and that this reconcile has settled.
    judged: BTreeSet<PartitionId>,
}

impl Shards<'_> {
    /// Connects to Redis.
    ///
    /// # Errors
    /// If Redis cannot be reached.
    pub(super) async fn connect<'a>(
        settings: &settings::Redis,
        deployment: &'a Deployment,
        source: &'a str,
    ) -> Result<Shards<'a>, RedisError> {
        let redis = platform::redis::connect(settings).await?;
        let (settled, judged) = (BTreeSet::new(), BTreeSet::new());
        let others = Vec::new();
        Ok(Shards { deployment, others, source, client: ShardClient::default(), redis, settled, judged })
    }

    /// The name of the source.
    pub(super) fn source(&self) -> &str {
        self.source
    }

    /// R3: rotates every shard of the source's open logs. `max_slices` is how many slices a shard may have. R12: a
    /// shard that is marked as truncated has no slice that counts, and the archive records it.
    ///
    /// # Errors
    /// If Redis does not answer, or the archive cannot be written.
    pub(super) async fn rotate(&mut self, archive: &mut Archive, max_slices: usize) -> Result<Slices, SourceError> {
        let (mut rotated, mut truncated, facts) = (Slices::new(), Vec::new(), archive.facts());
        for id in open_partitions(&facts) {
            let keys = self.keys(&id);
            match self.client.rotate(&mut self.redis, &keys, max_slices).await? {
                Reply::Done(shard) => {
                    if shard.last_slice() != shard.cursor {
                        let slices = shard.slices.len();
                        warn!(%id, slices, "too many slices: there is no new one until the speed layer drops some");
                    }
                    truncated.extend(shard.truncated.map(|_| id.clone()));
                    rotated.insert(id, slices_of(&shard));
                }
                Reply::Refused(_) => info!(%id, "there is no shard to rotate; taking what is archived"),
            }
        }
        if !truncated.is_empty() {
            tell(archive, &truncated).await?;
        }
        Ok(rotated)
    }

    /// R13: asks again for the shards of open logs that `rotated` does not name, and adds the slices of those that
    /// exist by now. Returns whether there are any.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub(super) async fn opened_meanwhile(&mut self, facts: &Facts, rotated: &mut Slices) -> Result<bool, ShardError> {
        let known = rotated.len();
        let missing: Vec<PartitionId> = open_partitions(facts).filter(|id| !rotated.contains_key(id)).collect();
        for id in missing {
            let keys = self.keys(&id);
            if let Some(shard) = self.client.positions(&mut self.redis, &keys).await? {
                info!(%id, "the shard was opened meanwhile; planning anew with its slices");
                rotated.insert(id, slices_of(&shard));
            }
        }
        Ok(rotated.len() > known)
    }

    /// Waits until every shard of an open log counts that definition, not beyond `deadline` and not after `stop`.
    /// Returns the first partition whose shard does not. Partitions without a shard are not waited for.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub(super) async fn wait_until_counted(
        &mut self,
        definition: &DefinitionHash,
        facts: &Facts,
        (poll, deadline): (Duration, Instant),
        stop: &CancellationToken,
    ) -> Result<Option<PartitionId>, ShardError> {
        loop {
            let uncounted = self.uncounted(definition, facts).await?;
            if uncounted.is_none() || Instant::now() >= deadline || stop.is_cancelled() {
                return Ok(uncounted);
            }
            tokio::select! {
                () = tokio::time::sleep(poll) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn uncounted(
        &mut self,
        definition: &DefinitionHash,
        facts: &Facts,
    ) -> Result<Option<PartitionId>, ShardError> {
        for id in open_partitions(facts) {
            let keys = self.keys(&id);
            let shard = self.client.positions(&mut self.redis, &keys).await?;
            if shard.is_some_and(|shard| !shard.definitions.contains_key(definition)) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// R6: settles the closed logs. Before a cut reaches the end of a closed log, the archive has to know what the
    /// speed layer counted beyond that end: those records had arrived, and no answer counts them from this cut on, so
    /// they are noted as lost.
    ///
    /// # Errors
    /// If Redis does not answer, or the archive cannot be written.
    pub(super) async fn settle(&mut self, archive: &mut Archive) -> Result<(), MetricError> {
        // A change of the facts may bring newer facts with it, and with them more closed logs.
        loop {
            let facts = archive.facts();
            let closed = facts
                .logs
                .iter()
                .filter(|log| log.closed && !log.is_over(&self.deployment.version))
                .map(|log| log.log.clone());
            let unsettled: Vec<String> = closed.filter(|log| !self.settled.contains(log)).collect();
            if unsettled.is_empty() {
                return Ok(());
            }
            let mut cursors = BTreeMap::new();
            for (id, end) in facts.closed_partitions().filter(|(id, _)| unsettled.contains(&id.log)) {
                let counted = self.of_all_versions(&id).await?.iter().map(|shard| shard.cursor).max();
                let Some(cursor) = counted else { continue };
                if cursor > end {
                    error!(%id, from = end, to = cursor, "the log ended before everything that speed had counted was archived: answers have a gap until `braid lost accept`");
                }
                cursors.insert(id, cursor);
            }
            archive.change("SETTLE", |facts| unsettled.iter().for_each(|log| facts.settle(log, &cursors))).await?;
            self.settled.extend(unsettled);
        }
    }

    /// R6: which of these logs are gone from Redis: no shard of any of their partitions is there, and no counters.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub(super) async fn gone(&mut self, logs: impl Iterator<Item = &LogFacts>) -> Result<Vec<String>, ShardError> {
        let mut gone = Vec::new();
        'logs: for log in logs {
            for id in log.ids() {
                let keys = self.keys(&id);
                if !self.client.is_gone(&mut self.redis, &keys).await? {
                    continue 'logs;
                }
            }
            gone.push(log.log.clone());
        }
        Ok(gone)
    }

    /// R12: settles the incarnations that lost their tail. What their shards had counted, and neither the archive nor
    /// what the log holds now has, is noted as lost. Where the archive has not read that far, the next reconcile
    /// judges.
    ///
    /// # Errors
    /// If Redis does not answer, or the archive cannot be read or written.
    pub(super) async fn settle_truncated(&mut self, archive: &mut Archive) -> Result<(), MetricError> {
        let facts = archive.facts();
        let truncated = facts.truncated_partitions().map(|(id, _)| id).filter(|id| !self.judged.contains(id));
        for id in truncated.collect::<Vec<_>>() {
            let (mut lost, mut is_judged) = (None, true);
            for shard in self.of_all_versions(&id).await? {
                match judge(archive, &id, &shard).await? {
                    Judged::NotYet => is_judged = false,
                    Judged::Lost(from, to) => {
                        let (first, last) = lost.unwrap_or((from, to));
                        lost = Some((from.min(first), to.max(last)));
                    }
                    Judged::Archived => {}
                }
            }
            if !is_judged {
                continue;
            }
            if let Some((from, to)) = lost {
                error!(%id, from, to, "speed had counted records that the log lost before they were archived: answers have a gap until `braid lost accept`");
            }
            archive.change("SETTLE", |facts| facts.settle_truncated(&id, lost)).await?;
            self.judged.insert(id);
        }
        Ok(())
    }

    /// The shards of a partition: this version's, and those of the others that count it.
    async fn of_all_versions(&mut self, id: &PartitionId) -> Result<Vec<Shard>, ShardError> {
        let others = self.others.iter().map(|deployment| ShardKeys::new(deployment, self.source, id));
        let all: Vec<ShardKeys> = std::iter::once(self.keys(id)).chain(others).collect();
        let mut shards = Vec::new();
        for keys in all {
            shards.extend(self.client.positions(&mut self.redis, &keys).await?);
        }
        Ok(shards)
    }

    fn keys(&self, id: &PartitionId) -> ShardKeys {
        ShardKeys::new(self.deployment, self.source, id)
    }
}

/// Where the records are that the shard of an incarnation without its tail had counted.
enum Judged {
    /// The archive holds them.
    Archived,
    /// Some of them, between these offsets, are lost.
    Lost(i64, i64),
    /// The archive of the newest incarnation may still reach them.
    NotYet,
}

/// R12: compares a shard with what is archived of all incarnations of its partition.
async fn judge(archive: &Archive, id: &PartitionId, shard: &Shard) -> Result<Judged, MetricError> {
    let wanted: Vec<Witness> = shard.positions().filter_map(|position| position.witness).collect();
    let archived = slices::archived_in_any(archive, id, &wanted).await?;
    let Some((from, to)) = cut::lost_with_tail(shard, |witness| archived.contains(witness)) else {
        return Ok(Judged::Archived);
    };
    let facts = archive.facts();
    let current = facts.current(id.topic(), id.partition);
    let next = facts.partition(&current).map_or(i64::MAX, |known| known.next);
    // A worker that read on before it learnt of the new incarnation has counted what that one holds.
    let may_come = shard.truncated.is_none() && !facts.is_ended(&current) && next < shard.cursor;
    Ok(if may_come { Judged::NotYet } else { Judged::Lost(from, to) })
}

/// R12: records in the archive that the logs of these partitions lost their tail. If the archiver has not found a
/// difference itself, the next incarnation begins at the archive's next offset.
async fn tell(archive: &mut Archive, truncated: &[PartitionId]) -> Result<(), SourceError> {
    let close = |facts: &mut Facts| {
        for id in truncated {
            let known = facts.partition(id).map(|known| (known.next, known.witness));
            if let Some(next) = known.and_then(|(at, before)| facts.lose_tail(id, at, before)) {
                error!(%id, %next, "a shard says that the log lost its tail; the partition continues as another incarnation");
            }
        }
    };
    Ok(archive.change("LOST TAIL", close).await?)
}

/// The begins of a shard's slices; none if it is marked as truncated.
fn slices_of(shard: &Shard) -> Vec<Position> {
    let count = if shard.truncated.is_some() { 0 } else { shard.slices.len() };
    shard.positions().take(count).collect()
}

/// Slices as if every partition that has not ended had a shard without any: then no cut of these moves.
pub(super) fn of_open_partitions(facts: &Facts) -> Slices {
    open_partitions(facts).map(|id| (id, Vec::new())).collect()
}

/// The partitions that have not ended.
fn open_partitions(facts: &Facts) -> impl Iterator<Item = PartitionId> {
    facts.partitions().map(|(id, _)| id).filter(move |id| !facts.is_ended(id))
}
