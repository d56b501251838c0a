//! Reads shards of the speed view: positions, and the counters of one group key in every slice that counts.
//!
//! A shard is read by one read-only script, so its positions and counters belong together (R10). The script has to be told
//! its keys, so the reader names the slices that it knows from the last time; where the reply lists others, it asks again.
//! Counters of finished slices do not change any more and are kept.
//!
//! - `connection`: to Redis, and why there is none;
//! - `finished`: the cache of finished slices;
//! - `reply`: the script's answer.

mod connection;
mod finished;
mod reply;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use platform::settings::Settings;
use redis::Script;
use shared_logic::catalog::{Catalog, DefinitionHash, Metric};
use shared_logic::contracts::speed_view::{Counters, Reading, Shard, ShardKeys, UnreadableShard, script};
use shared_logic::group_key::GroupKey;
use shared_logic::log::PartitionId;
use shared_logic::measure::MeasureKind;

pub(crate) use connection::{Link, Unreachable};
use finished::{Finished, SliceId};

/// Shards that are read at once for one request.
const CONCURRENT_SHARDS: usize = 64;
/// How often one shard is asked for one request before it counts as restless: once to learn its slices, once to read them,
/// and again where slices were opened or dropped in between.
const ROUNDS: usize = 5;
/// Remembered lists of slices; beyond, all are forgotten and asked for again.
const LISTS: usize = 100_000;

/// The speed view, as readers see it.
pub(crate) struct SpeedView {
    pub(crate) link: Link,
    script: Script,
    finished: Finished,
    /// Per shard, the slices that it had when it was last read.
    lists: Mutex<HashMap<String, Vec<i64>>>,
}

/// What is asked of the shards.
pub(crate) struct Question<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) metric: &'a Metric,
    pub(crate) definition: &'a DefinitionHash,
    pub(crate) key: &'a GroupKey,
}

/// One shard as of one moment.
#[derive(Debug, Clone)]
pub(crate) struct ShardLook {
    /// Its positions.
    pub(crate) shard: Shard,
    /// The latest moment at which the log's end was asked and is by now at or below the cursor, microseconds.
    pub(crate) as_of_us: Option<i64>,
    /// Per slice that counts, the group key's counters.
    pub(crate) counters: Vec<Arc<Counters>>,
}

/// Why the speed view could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpeedError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("cannot read the shard of partition {partition} from redis: {reason}")]
    Refused { partition: PartitionId, reason: String },
    #[error("cannot read the shard of partition {partition}")]
    Unreadable { partition: PartitionId, source: UnreadableShard },
    #[error("the slices of partition {partition} changed {ROUNDS} times while they were read")]
    Restless { partition: PartitionId },
}

impl SpeedView {
    pub(crate) fn new(settings: &Settings) -> SpeedView {
        SpeedView {
            link: Link::new(settings.redis.clone()),
            script: Script::new(script::READ),
            finished: Finished::new(settings.serving.slice_memory.as_usize()),
            lists: Mutex::default(),
        }
    }

    /// Reads shards at once; `need` says from which offset on slices count. A missing shard is `None`.
    ///
    /// # Errors
    /// If Redis or one of the shards cannot be read. There is no half answer.
    pub(crate) async fn read(
        &self,
        question: &Question<'_>,
        need: &BTreeMap<PartitionId, i64>,
    ) -> Result<BTreeMap<PartitionId, Option<ShardLook>>, SpeedError> {
        let each = need.iter().map(|(id, from)| {
            async { Ok::<_, SpeedError>((id.clone(), self.read_one(question, id, *from).await?)) }.boxed()
        });
        stream::iter(each.collect::<Vec<_>>()).buffer_unordered(CONCURRENT_SHARDS).try_collect().await
    }

    /// Reads the positions of shards, without counters.
    ///
    /// # Errors
    /// As [`SpeedView::read`].
    pub(crate) async fn positions(
        &self,
        catalog: &Catalog,
        source: &str,
        ids: impl IntoIterator<Item = PartitionId>,
    ) -> Result<BTreeMap<PartitionId, Option<ShardLook>>, SpeedError> {
        let each = ids.into_iter().map(|id| async move {
            let keys = ShardKeys::new(&catalog.deployment, source, &id);
            let reading = self.ask(&id, &[keys.shard()], "", &[]).await?;
            Ok::<_, SpeedError>((id, reading.map(|reading| ShardLook::new(reading, Vec::new()))))
        });
        stream::iter(each).buffer_unordered(CONCURRENT_SHARDS).try_collect().await
    }

    async fn read_one(
        &self,
        question: &Question<'_>,
        id: &PartitionId,
        from: i64,
    ) -> Result<Option<ShardLook>, SpeedError> {
        let keys = ShardKeys::new(&question.catalog.deployment, &question.metric.source, id);
        let kinds: Vec<MeasureKind> = question.metric.measures.iter().map(|measure| measure.kind).collect();
        let slice_id = |begin, end| SliceId {
            shard: keys.shard(),
            begin,
            end,
            definition: question.definition,
            key: question.key,
        };
        let mut known = self.list(&keys);
        for _ in 0..ROUNDS {
            let mut found: HashMap<(i64, Option<i64>), Arc<Counters>> = HashMap::new();
            let mut wanted = Vec::new();
            for (begin, end) in spans(&known).filter(|(begin, _)| *begin >= from) {
                match end.and_then(|end| self.finished.get(&slice_id(begin, end))) {
                    Some(kept) => drop(found.insert((begin, end), kept)),
                    None => wanted.push(begin),
                }
            }
            let mut names = vec![keys.shard()];
            names.extend(wanted.iter().map(|begin| keys.counters(*begin, question.definition)));
            let Some(mut reading) = self.ask(id, &names, question.key.as_str(), &kinds).await? else {
                self.lists().remove(&keys.shard());
                return Ok(None);
            };
            let listed: Vec<(i64, Option<i64>)> =
                spans(&reading.shard.slices).filter(|(begin, _)| *begin >= from).collect();
            let since = reading.shard.definitions.get(question.definition).copied();
            for (begin, counters) in wanted.into_iter().zip(reading.counters.drain(..)) {
                // Its end is what this very reply says; one that was dropped meanwhile is in no list and does not count.
                let Some(span) = listed.iter().find(|span| span.0 == begin) else { continue };
                let counters = Arc::new(counters);
                if let Some(end) = span.1.filter(|_| since.is_some_and(|since| since <= begin)) {
                    self.finished.keep(&slice_id(begin, end), &counters);
                }
                found.insert(*span, counters);
            }
            let counters: Option<Vec<_>> = listed.iter().map(|span| found.remove(span)).collect();
            known = reading.shard.slices.clone();
            self.remember(&keys, &known);
            if let Some(counters) = counters {
                return Ok(Some(ShardLook::new(reading, counters)));
            }
        }
        Err(SpeedError::Restless { partition: id.clone() })
    }

    /// Runs the script once.
    async fn ask(
        &self,
        id: &PartitionId,
        keys: &[String],
        group_key: &str,
        kinds: &[MeasureKind],
    ) -> Result<Option<Reading>, SpeedError> {
        let mut connection = self.link.connection().await?;
        let mut invocation = self.script.prepare_invoke();
        for key in keys {
            invocation.key(key.as_str());
        }
        let answer = invocation.arg(group_key).invoke_async(&mut connection).await;
        let answer =
            answer.map_err(|error| SpeedError::Refused { partition: id.clone(), reason: error.to_string() })?;
        reply::reading(answer, kinds).map_err(|source| SpeedError::Unreadable { partition: id.clone(), source })
    }

    fn list(&self, keys: &ShardKeys) -> Vec<i64> {
        self.lists().get(&keys.shard()).cloned().unwrap_or_default()
    }

    fn remember(&self, keys: &ShardKeys, slices: &[i64]) {
        let mut lists = self.lists();
        if lists.len() >= LISTS {
            lists.clear();
        }
        lists.insert(keys.shard(), slices.to_vec());
    }

    fn lists(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<i64>>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShardLook {
    fn new(reading: Reading, counters: Vec<Arc<Counters>>) -> ShardLook {
        ShardLook { shard: reading.shard, as_of_us: reading.as_of_us, counters }
    }
}

/// Begins with their ends; the last slice has none.
fn spans(slices: &[i64]) -> impl Iterator<Item = (i64, Option<i64>)> {
    let ends = slices.iter().skip(1).copied().map(Some).chain([None]);
    slices.iter().copied().zip(ends)
}
