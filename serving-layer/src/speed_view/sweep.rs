//! All group keys of a pattern in the shards of a source, each shard as of one position.
//!
//! A look reads the counters of keys that are known. Here they are not, so all counters of a definition are read, in steps, after Redis
//! has said that they are not too many (`serving.sweep_max`). What is no key of the pattern, or lies in no bucket of the range, is let
//! go at once. See decision 0071.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use platform::{clock, task};
use shared_logic::catalog::{DefinitionHash, Deployment};
use shared_logic::complete::{self, Standing};
use shared_logic::contracts::speed_view::script::UnknownReply;
use shared_logic::contracts::speed_view::{ChunkRange, ShardKeys, State, scanned};
use shared_logic::group_key::KeyPattern;
use shared_logic::log::PartitionId;
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::time::TimeRange;
use storage::{ShardClient, ShardError, Sweep, SweptFields, Wish};
use tokio::sync::Semaphore;

use super::looked::Judged;
use super::{ShardReadings, SpeedError};
use crate::redis_link::RedisLink;

/// How many requests of a version read all counters at the same time; others wait.
const AT_ONCE: usize = 4;
/// How many shards each of them reads at the same time.
const SHARDS_AT_ONCE: usize = 8;

/// Which keys are looked for, and of when.
#[derive(Clone)]
pub(crate) struct KeysQuestion {
    pub(crate) standing: Arc<Standing>,
    pub(crate) definition: DefinitionHash,
    /// The measures of that definition, in order.
    pub(crate) kinds: Arc<[MeasureKind]>,
    pub(crate) grain_us: i64,
    pub(crate) pattern: Arc<KeyPattern>,
    /// Only keys whose texts lie behind this one.
    pub(crate) after: Option<Arc<str>>,
    pub(crate) range: TimeRange,
}

/// What the shards say of all these keys.
#[derive(Debug)]
pub(crate) struct SweptKeys {
    /// When everything was read, microseconds since 1970: a moment after the request came.
    pub(crate) at_us: i64,
    pub(crate) judged: Judged,
    /// By the key's text, one value per measure. Of each key, something was counted in the range.
    pub(crate) keys: ByKey,
}

/// Merged values by the text of their key.
pub(crate) type ByKey = BTreeMap<String, Vec<Value>>;

/// Reads all counters of shards.
pub(super) struct Sweeper {
    redis: Arc<RedisLink>,
    client: ShardClient,
    deployment: Deployment,
    most: u64,
    turns: Semaphore,
}

/// One shard that is to be read.
struct Asked {
    id: PartitionId,
    keys: ShardKeys,
    /// The offset from which slices count.
    from: i64,
}

impl Sweeper {
    /// Reads at most so many counters for one request.
    pub(super) fn new(redis: Arc<RedisLink>, deployment: Deployment, most: usize) -> Sweeper {
        let turns = Semaphore::new(AT_ONCE);
        Sweeper { redis, client: ShardClient::default(), deployment, most: most as u64, turns }
    }

    /// Reads the keys that the question means.
    ///
    /// # Errors
    /// If Redis or a shard cannot be read, there are too many counters, or they change faster than they are read.
    pub(super) async fn sweep(&self, source: &str, question: KeysQuestion) -> Result<SweptKeys, SpeedError> {
        let _turn = self.turns.acquire().await;
        let asked = question.standing.counted_from().iter().map(|(id, from)| Asked {
            id: id.clone(),
            keys: ShardKeys::new(&self.deployment, source, id),
            from: *from,
        });
        let asked: Vec<Asked> = asked.collect();
        self.are_few(&question, &asked).await?;
        let question = Arc::new(question);
        let shards = asked.into_iter().map(|asked| self.shard(Arc::clone(&question), asked).boxed());
        let shards: Vec<_> = shards.collect();
        let mut shards = stream::iter(shards).buffer_unordered(SHARDS_AT_ONCE);
        let (mut readings, mut keys) = (ShardReadings::default(), ByKey::new());
        while let Some((id, state, of_shard)) = shards.try_next().await? {
            readings.add(id, state);
            for (key, values) in of_shard {
                add(&mut keys, key, &question.kinds, values.into_iter().enumerate());
            }
        }
        let standing = &question.standing;
        let judged = Judged {
            verdict: standing.judge(&readings.shards, |id| readings.begin(id)),
            as_of_us: standing.as_of_us(&readings.shards, |id| readings.as_of_us(id)),
        };
        Ok(SweptKeys { at_us: clock::now_us(), judged, keys })
    }

    /// Asks how many counters there are, before any is read.
    async fn are_few(&self, question: &KeysQuestion, asked: &[Asked]) -> Result<(), SpeedError> {
        let mut redis = self.redis.connection().await?;
        let keys: Vec<ShardKeys> = asked.iter().map(|asked| asked.keys.clone()).collect();
        let states = self.client.states(&mut redis, &keys).await?;
        let shards = asked.iter().zip(&states);
        let shards = shards.filter_map(|(asked, state)| Some((&asked.keys, state.as_ref()?, asked.from)));
        let shards: Vec<(&ShardKeys, &State, i64)> = shards.collect();
        let found = self.client.count_fields(&mut redis, &question.definition, &shards).await?;
        if found > self.most { Err(SpeedError::TooMany { found, most: self.most }) } else { Ok(()) }
    }

    async fn shard(
        &self,
        question: Arc<KeysQuestion>,
        Asked { id, keys, from }: Asked,
    ) -> Result<(PartitionId, Option<State>, ByKey), SpeedError> {
        let mut redis = self.redis.connection().await?;
        let chunks = ChunkRange::of(question.range, question.grain_us, &question.kinds);
        let is_wanted = |field: &str| question.means(field, chunks);
        let wish = Wish { definition: &question.definition, from, is_wanted: &is_wanted };
        let (state, slices) = match self.client.read_in_steps(&mut redis, &keys, wish).await? {
            Sweep::NoShard => return Ok((id, None, ByKey::new())),
            Sweep::Overtaken => return Err(SpeedError::Overtaken { partition: id }),
            Sweep::Of(state, slices) => (state, slices),
        };
        // R12: of such a shard nothing counts.
        let slices = if complete::counts(&state.shard) { slices } else { BTreeMap::new() };
        let merged = task::blocking(move || question.merged(slices)).await;
        let merged = merged.map_err(|source| ShardError::unreadable(&keys, source))?;
        Ok((id, Some(state), merged))
    }
}

impl KeysQuestion {
    /// Whether a field of counters may say something of a key that is meant.
    fn means(&self, field: &str, chunks: ChunkRange) -> bool {
        let key = if field.starts_with('[') {
            field
        } else {
            let Some((chunk, key)) = field.split_once(':') else { return true };
            if chunk.parse().is_ok_and(|chunk: i64| chunk < chunks.first || chunk > chunks.last) {
                return false;
            }
            key
        };
        self.pattern.matches(key) && self.after.as_deref().is_none_or(|after| key > after)
    }

    /// The fields of a shard's slices, merged by key.
    fn merged(&self, slices: BTreeMap<i64, SweptFields>) -> Result<ByKey, UnknownReply> {
        let mut keys = ByKey::new();
        for fields in slices.into_values() {
            for (name, field) in fields {
                let (key, counters) = scanned(&name, &field, &self.kinds)?;
                let in_range = counters.into_iter().filter(|(bucket, ..)| {
                    let at = bucket.checked_mul(self.grain_us);
                    at.is_some_and(|at| self.range.contains(at))
                });
                let mut in_range = in_range.map(|(_, measure, value)| (measure, value)).peekable();
                if in_range.peek().is_some() {
                    add(&mut keys, key.to_owned(), &self.kinds, in_range);
                }
            }
        }
        Ok(keys)
    }
}

/// Merges values into those of a key.
fn add(keys: &mut ByKey, key: String, kinds: &[MeasureKind], values: impl Iterator<Item = (usize, Value)>) {
    let sums = keys.entry(key).or_insert_with(|| kinds.iter().map(|kind| kind.identity()).collect());
    for (measure, value) in values {
        let sum = &mut sums[measure];
        *sum = kinds[measure].merge(sum.clone(), value);
    }
}
