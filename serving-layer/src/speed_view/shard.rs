//! Reads one shard for several questions: its positions, and the counters of each question's group key in every slice that counts.
//!
//! The script has to be told the keys of the counters, so the first round names the instance and the slices that the shard had
//! the last time. If the reply names others, another round asks for those. Of slices that have ended, counters never change; of
//! the newest one they change only together with the cursor, so the script is told where the cursor was when they were read.

use std::sync::Arc;

use shared_logic::catalog::Deployment;
use shared_logic::contracts::speed_view::{Counters, Reading, Shard, ShardKeys, Wanted};
use shared_logic::log::PartitionId;
use storage::ShardClient;

use super::held::{Held, HeldCounters, SliceId};
use super::slices::{KnownShards, Slice, slices};
use super::{Question, SpeedError};
use crate::redis_link::RedisLink;

/// How many rounds one shard may take: one to learn its slices, one to read them, and others if slices are opened or dropped in
/// between, or if the shard is opened again.
const ROUNDS: usize = 5;
/// About how many counters one script reads at most, so that Redis is free for others in between. What one question wants is
/// never divided.
const SCRIPT_COUNTERS: usize = 64;

/// Reads shards.
pub(super) struct ShardReader {
    redis: Arc<RedisLink>,
    deployment: Deployment,
    client: ShardClient,
    held: HeldCounters,
    known: KnownShards,
}

/// One shard at one moment.
pub(super) struct ShardReading {
    /// Its positions.
    pub(super) shard: Shard,
    /// The latest moment at which Kafka gave an end offset that the cursor has reached since; microseconds since 1970.
    pub(super) as_of_us: Option<i64>,
    /// The group key's counters, per slice that counts.
    pub(super) counters: Vec<Arc<Counters>>,
}

/// A question to one shard.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Its number among the questions of a look.
    pub(super) number: usize,
    pub(super) question: &'a Question,
    /// The offset from which slices count.
    pub(super) from: i64,
}

/// What a question needs of the slices that are known.
struct Needs<'a> {
    asked: Asked<'a>,
    /// By the begin of the slice: what is held and does not change any more.
    found: Vec<(i64, Held)>,
    /// What the script is asked for: the begin of the slice, and what is held of it.
    wanted: Vec<(i64, Option<Held>)>,
}

impl ShardReader {
    /// Reads nothing yet. `limit_bytes` bounds the counters that are kept.
    pub(super) fn new(redis: Arc<RedisLink>, deployment: Deployment, limit_bytes: usize) -> ShardReader {
        ShardReader {
            redis,
            deployment,
            client: ShardClient::default(),
            held: HeldCounters::new(limit_bytes),
            known: KnownShards::default(),
        }
    }

    pub(super) fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The shard's positions, without counters; `None` if there is no shard.
    pub(super) async fn positions(&self, keys: &ShardKeys) -> Result<Option<ShardReading>, SpeedError> {
        let reading = self.run(keys, &[]).await?;
        Ok(reading.map(|Reading { shard, as_of_us, .. }| ShardReading { shard, as_of_us, counters: Vec::new() }))
    }

    /// Answers those questions about one shard, by their numbers; `None` if there is no shard. Each answer comes from one script.
    pub(super) async fn read(
        &self,
        source: &str,
        id: &PartitionId,
        mut open: Vec<Asked<'_>>,
    ) -> Result<Vec<(usize, Option<ShardReading>)>, SpeedError> {
        let keys = ShardKeys::new(&self.deployment, source, id);
        let name: Arc<str> = keys.shard().into();
        let mut answered = Vec::with_capacity(open.len());
        for _ in 0..ROUNDS {
            let known = self.known.get(&keys);
            let needs = open.into_iter().map(|asked| self.needs(&name, known.as_deref(), asked));
            let mut again = Vec::new();
            for group in grouped(needs) {
                let reading = self.run(&keys, &wanted(known.as_deref(), &group)).await?;
                match reading {
                    Some(mut reading) => {
                        let mut counters = std::mem::take(&mut reading.counters).into_iter();
                        for needs in group {
                            let (asked, read) = (needs.asked, counters.by_ref().take(needs.wanted.len()));
                            match self.answer(&name, known.as_deref(), needs, &reading, read.collect()) {
                                Some(answer) => answered.push((asked.number, Some(answer))),
                                None => again.push(asked),
                            }
                        }
                        self.known.set(&keys, &Arc::new(reading.shard));
                    }
                    None => {
                        self.known.remove(&keys);
                        answered.extend(group.iter().map(|needs| (needs.asked.number, None)));
                    }
                }
            }
            if again.is_empty() {
                return Ok(answered);
            }
            open = again;
        }
        Err(SpeedError::KeptChanging { partition: id.clone(), rounds: ROUNDS })
    }

    /// What a question needs of a shard that was like this when it was last read.
    fn needs<'a>(&self, name: &Arc<str>, known: Option<&Shard>, asked: Asked<'a>) -> Needs<'a> {
        let mut needs = Needs { asked, found: Vec::new(), wanted: Vec::new() };
        for (shard, slice) in
            known.into_iter().flat_map(|shard| slices(shard, asked.from).map(move |slice| (shard, slice)))
        {
            let held = self.held.get(&slice_id(name, shard, slice, asked.question), asked.question.chunks);
            match held {
                Some(held) if !slice.is_newest && held.upto == slice.upto => needs.found.push((slice.begin, held)),
                held => needs.wanted.push((slice.begin, held.filter(|_| slice.is_newest))),
            }
        }
        needs
    }

    /// Reads the positions and those counters in one script; `None` if there is no shard.
    async fn run(&self, keys: &ShardKeys, wanted: &[Wanted<'_>]) -> Result<Option<Reading>, SpeedError> {
        let mut redis = self.redis.connection().await?;
        Ok(self.client.read(&mut redis, keys, wanted).await?)
    }

    /// The answer to a question, if what is held and what was `read` are the counters of all slices that the shard has now. Where a
    /// slice ends is what this reading says. A slice that was dropped meanwhile is not listed and does not count.
    fn answer(
        &self,
        name: &Arc<str>,
        known: Option<&Shard>,
        needs: Needs<'_>,
        reading: &Reading,
        read: Vec<Option<Counters>>,
    ) -> Option<ShardReading> {
        let (Asked { question, from, .. }, shard) = (needs.asked, &reading.shard);
        let mut held = Vec::new();
        // Otherwise they belong to an earlier shard of the partition.
        if known.is_some_and(|known| known.instance == shard.instance) {
            held = needs.found;
            for ((begin, before), counters) in needs.wanted.into_iter().zip(read) {
                let slice = slices(shard, from).find(|slice| slice.begin == begin);
                let now = match (slice, counters) {
                    (Some(slice), Some(counters)) => Some(self.keep(name, shard, slice, question, counters)),
                    (None, Some(_)) => None,
                    (_, None) => before,
                };
                held.extend(now.map(|now| (begin, now)));
            }
        }
        let counters = slices(shard, from).map(|slice| {
            let now = held.iter().find(|(begin, held)| *begin == slice.begin && held.upto == slice.upto);
            now.map(|(_, held)| Arc::clone(&held.counters))
        });
        let counters = counters.collect::<Option<_>>()?;
        Some(ShardReading { shard: shard.clone(), as_of_us: reading.as_of_us, counters })
    }

    /// Keeps counters that were read, if the definition was counted in all of the slice: then they follow from the log.
    fn keep(&self, name: &Arc<str>, shard: &Shard, slice: Slice, question: &Question, counters: Counters) -> Held {
        let now = Held { upto: slice.upto, chunks: question.chunks, counters: Arc::new(counters) };
        if shard.definitions.get(&question.definition).is_some_and(|since| *since <= slice.begin) {
            self.held.keep(slice_id(name, shard, slice, question), now.clone());
        }
        now
    }
}

/// Divides questions so that one script reads about [`SCRIPT_COUNTERS`] at most.
fn grouped<'a>(all: impl Iterator<Item = Needs<'a>>) -> Vec<Vec<Needs<'a>>> {
    let (mut groups, mut counters): (Vec<Vec<Needs<'a>>>, usize) = (Vec::new(), 0);
    for needs in all {
        let more = needs.wanted.len();
        if groups.is_empty() || counters + more > SCRIPT_COUNTERS {
            groups.push(Vec::new());
            counters = 0;
        }
        counters += more;
        groups.last_mut().expect("it was begun").push(needs);
    }
    groups
}

/// What the script is asked for a group of questions.
fn wanted<'a>(known: Option<&Shard>, group: &'a [Needs<'_>]) -> Vec<Wanted<'a>> {
    let Some(known) = known else { return Vec::new() };
    let each = group.iter().flat_map(|needs| {
        let question = needs.asked.question;
        needs.wanted.iter().map(move |(slice, held)| Wanted {
            instance: known.instance,
            slice: *slice,
            definition: &question.definition,
            kinds: &question.kinds,
            key: &question.key,
            chunks: question.chunks,
            held: held.as_ref().map(|held| held.upto),
        })
    });
    each.collect()
}

fn slice_id(name: &Arc<str>, shard: &Shard, slice: Slice, question: &Question) -> SliceId {
    SliceId {
        shard: Arc::clone(name),
        instance: shard.instance,
        begin: slice.begin,
        definition: question.definition.clone(),
        key: question.key.clone(),
    }
}
