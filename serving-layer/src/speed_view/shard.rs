//! One shard, read for several questions: the counters of each question's group keys in every slice that counts.
//!
//! Of slices that have ended, counters never change; of the newest one they change only together with the cursor. So what is held as
//! of a shard's positions is the answer. For the rest, a script reads positions and counters together. It has to be told the keys of
//! the counters, so it is asked for the slices that are known; if the shard has others by then, another round asks for those.

use std::sync::Arc;

use shared_logic::contracts::speed_view::{ChunkRange, Counters, Reading, ShardKeys, State, Wanted};
use shared_logic::log::PartitionId;
use storage::ShardClient;

use super::held::{Held, HeldCounters, HeldId};
use super::slices::{Slice, slices};
use super::{CountedKey, Question, SpeedError};
use crate::redis_link::RedisLink;

/// How many scripts one question may take: one to read its counters, and others if slices are opened or dropped in between, or if
/// the shard is opened again.
const ROUNDS: usize = 5;
/// About how many counters one script reads at most, so that Redis is free for others in between. What one question wants is
/// never divided.
const SCRIPT_COUNTERS: usize = 64;

/// How shards are read, and what was read of them before.
pub(super) struct Access {
    redis: Arc<RedisLink>,
    client: ShardClient,
    held: HeldCounters,
}

/// What a question gets of one shard.
#[derive(Debug, Clone)]
pub(super) struct ShardReading {
    /// The shard at the moment at which it was read.
    pub(super) state: Arc<State>,
    /// For each group key of the question its counters, per slice that counts.
    pub(super) counters: Vec<Vec<Arc<Counters>>>,
}

/// A question to one shard.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Where the answer belongs: the number of the question, and that of the shard among those that the question names.
    pub(super) place: Place,
    pub(super) question: &'a Question,
    /// The offset from which slices count.
    pub(super) from: i64,
}

/// The number of a question, and of one of its shards.
pub(super) type Place = (usize, usize);

/// Answers; `None` where there is no shard.
pub(super) type Answered = Vec<(Place, Option<ShardReading>)>;

/// A question, and what is held of the slices that it needs.
pub(super) struct Needs<'a> {
    asked: Asked<'a>,
    slices: Vec<Slice>,
    /// For each group key and slice the counters, if they are held as of the slice's end.
    held: Vec<Vec<Option<Arc<Counters>>>>,
}

/// A shard when a question was asked and when counters were read, and its slices then and now.
struct Moment<'a> {
    before: &'a State,
    now: &'a State,
    slices: &'a [Slice],
    listed: &'a [Slice],
}

/// One shard of a source.
pub(super) struct OneShard<'a> {
    access: &'a Access,
    id: &'a PartitionId,
    keys: &'a ShardKeys,
    /// The shard's key.
    name: Arc<str>,
}

impl Access {
    /// Reads nothing yet. `limit_bytes` bounds the counters that are kept.
    pub(super) fn new(redis: Arc<RedisLink>, limit_bytes: usize) -> Access {
        Access { redis, client: ShardClient::default(), held: HeldCounters::new(limit_bytes) }
    }

    /// The states of shards in their order; `None` where there is none.
    pub(super) async fn states(&self, shards: &[ShardKeys]) -> Result<Vec<Option<State>>, SpeedError> {
        let mut redis = self.redis.connection().await?;
        Ok(self.client.states(&mut redis, shards).await?)
    }

    /// How many bytes a shard takes of Redis.
    pub(super) async fn memory(&self, keys: &ShardKeys) -> Result<u64, SpeedError> {
        let mut redis = self.redis.connection().await?;
        Ok(self.client.memory(&mut redis, keys).await?)
    }

    /// Reads the positions of a shard and those counters in one script; `None` if there is no shard.
    async fn counters(&self, keys: &ShardKeys, wanted: &[Wanted<'_>]) -> Result<Option<Reading>, SpeedError> {
        let mut redis = self.redis.connection().await?;
        Ok(self.client.read(&mut redis, keys, wanted).await?)
    }
}

impl<'a> OneShard<'a> {
    pub(super) fn new(access: &'a Access, id: &'a PartitionId, keys: &'a ShardKeys) -> OneShard<'a> {
        OneShard { access, id, keys, name: keys.shard().into() }
    }

    /// Answers those questions for which everything is held as of this state; gives what the others need.
    pub(super) fn answer_from_memory(
        &self,
        state: &Arc<State>,
        asked: Vec<Asked<'a>>,
        answered: &mut Answered,
    ) -> Vec<Needs<'a>> {
        let mut open = Vec::new();
        for asked in asked {
            let needs = self.needs(state, asked);
            if needs.wanted().next().is_some() {
                open.push(needs);
            } else {
                let counters = needs.held.into_iter().map(|of_key| of_key.into_iter().flatten().collect()).collect();
                answered.push((asked.place, Some(ShardReading { state: Arc::clone(state), counters })));
            }
        }
        open
    }

    /// Answers the others. Each answer comes from one script, and from what is held as of the same positions.
    ///
    /// # Errors
    /// If Redis does not answer, or the shard keeps changing.
    pub(super) async fn read(self, mut state: Arc<State>, mut open: Vec<Needs<'a>>) -> Result<Answered, SpeedError> {
        let mut answered = Vec::with_capacity(open.len());
        for _ in 0..ROUNDS {
            let (mut again, mut newest) = (Vec::new(), Arc::clone(&state));
            for group in grouped(open) {
                let wanted: Vec<Wanted<'_>> = group.iter().flat_map(|needs| needs.counters_of(&state)).collect();
                let Some(reading) = self.access.counters(self.keys, &wanted).await? else {
                    answered.extend(group.iter().map(|needs| (needs.asked.place, None)));
                    continue;
                };
                if reading.state != *newest {
                    newest = Arc::new(reading.state);
                }
                let mut read = reading.counters.into_iter();
                for needs in group {
                    let asked = needs.asked;
                    match self.answer(&state, &newest, needs, &mut read) {
                        Some(answer) => answered.push((asked.place, Some(answer))),
                        None => again.push(asked),
                    }
                }
            }
            if again.is_empty() {
                return Ok(answered);
            }
            state = newest;
            open = again.into_iter().map(|asked| self.needs(&state, asked)).collect();
        }
        Err(SpeedError::KeptChanging { partition: self.id.clone(), rounds: ROUNDS })
    }

    /// What a question needs of the shard as it is in this state.
    fn needs(&self, state: &State, asked: Asked<'a>) -> Needs<'a> {
        let slices: Vec<Slice> = slices(&state.shard, asked.from).collect();
        let (instance, chunks) = (state.shard.instance, asked.question.chunks);
        let keys = asked.question.keys.iter();
        let held = keys.map(|key| self.access.held.get(&self.held_id(key), instance, &slices, chunks)).collect();
        Needs { asked, slices, held }
    }

    /// The answer to a question, if what is held as of the state `before` and what was `read` in the state `now` are the counters of
    /// all slices that the shard has now. Where a slice ends is what the newer state says. A slice that was dropped meanwhile is not
    /// listed and does not count.
    fn answer(
        &self,
        before: &State,
        now: &Arc<State>,
        needs: Needs<'_>,
        read: &mut impl Iterator<Item = Counters>,
    ) -> Option<ShardReading> {
        let Asked { question, from, .. } = needs.asked;
        let listed: Vec<Slice> = slices(&now.shard, from).collect();
        let moment = Moment { before, now, slices: &needs.slices, listed: &listed };
        // All that was read for this question is taken, whether or not it can be used, so that the next one gets its own.
        let of_keys = question.keys.iter().zip(needs.held);
        let of_keys = of_keys.map(|(key, held)| self.of_key((key, question.chunks), &moment, held, read));
        let of_keys: Vec<Option<Vec<Arc<Counters>>>> = of_keys.collect();
        Some(ShardReading { state: Arc::clone(now), counters: of_keys.into_iter().collect::<Option<_>>()? })
    }

    /// The counters of one key in all slices that are listed now: those that are held, and what was read of the others. `None` if that is
    /// not all.
    fn of_key(
        &self,
        (key, chunks): (&Arc<CountedKey>, ChunkRange),
        moment: &Moment<'_>,
        held: Vec<Option<Arc<Counters>>>,
        read: &mut impl Iterator<Item = Counters>,
    ) -> Option<Vec<Arc<Counters>>> {
        let Moment { before, now, slices, listed } = moment;
        // Where a slice ends now, and its counters as of there.
        let (mut known, mut fresh) = (Vec::with_capacity(listed.len()), Vec::new());
        for (slice, held) in slices.iter().zip(held) {
            let end = listed.iter().find(|listed| listed.begin == slice.begin).map(|listed| listed.upto);
            match (held, end) {
                (Some(counters), _) => known.push((*slice, counters)),
                (None, end) => {
                    let counters = Arc::new(read.next()?);
                    let Some(upto) = end else { continue };
                    known.push((Slice { begin: slice.begin, upto }, Arc::clone(&counters)));
                    let (instance, begin) = (now.shard.instance, slice.begin);
                    fresh.push(Held { instance, begin, upto, chunks, counters });
                }
            }
        }
        // Otherwise they belong to an earlier shard of the partition.
        if before.shard.instance != now.shard.instance {
            return None;
        }
        // If the definition was counted in all of a slice, its counters follow from the log.
        let since = now.shard.definitions.get(&key.definition);
        fresh.retain(|held| since.is_some_and(|since| *since <= held.begin));
        self.access.held.keep(self.held_id(key), &now.shard, fresh);
        let counters = listed.iter().map(|listed| {
            let found = known.iter().find(|(slice, _)| slice == listed);
            found.map(|(_, counters)| Arc::clone(counters))
        });
        counters.collect()
    }

    fn held_id(&self, key: &Arc<CountedKey>) -> HeldId {
        HeldId { shard: Arc::clone(&self.name), key: Arc::clone(key) }
    }
}

impl<'a> Needs<'a> {
    /// The keys and the begins of the slices whose counters have to be read.
    fn wanted(&self) -> impl Iterator<Item = (&'a CountedKey, i64)> {
        let of_keys = self.asked.question.keys.iter().zip(&self.held);
        of_keys.flat_map(|(key, held)| {
            let open = self.slices.iter().zip(held).filter(|(_, held)| held.is_none());
            open.map(|(slice, _)| (key.as_ref(), slice.begin))
        })
    }

    /// How the script is asked for them, where the shard was last seen in this state.
    fn counters_of(&self, state: &State) -> impl Iterator<Item = Wanted<'a>> {
        let (question, instance) = (self.asked.question, state.shard.instance);
        self.wanted().map(move |(key, slice)| Wanted {
            instance,
            slice,
            definition: &key.definition,
            kinds: &question.kinds,
            key: &key.key,
            chunks: question.chunks,
        })
    }
}

/// Divides questions so that one script reads about [`SCRIPT_COUNTERS`] at most.
fn grouped(all: Vec<Needs<'_>>) -> Vec<Vec<Needs<'_>>> {
    let (mut groups, mut counters): (Vec<Vec<Needs<'_>>>, usize) = (Vec::new(), 0);
    for needs in all {
        let more = needs.wanted().count();
        if groups.is_empty() || counters + more > SCRIPT_COUNTERS {
            groups.push(Vec::new());
            counters = 0;
        }
        counters += more;
        groups.last_mut().expect("it was begun").push(needs);
    }
    groups
}
