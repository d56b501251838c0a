//! R10: all counters of a shard, read in steps, as they were at one position.
//!
//! A shard may have millions of fields, and Redis does nothing else while it reads some. So slices are scanned some fields at a time.
//! What a slice that has ended holds never changes. The newest slice changes with every micro-batch, so before a reader looks where
//! the shard stands, it asks workers to note what they write (`apply.lua` does, for half a minute). When it has scanned everything, it
//! looks again, and puts the notes that lead from the first position to the second one over what it has read. That is what the slices
//! held at the second position.
//!
//! Where the cursor has not moved, nothing has changed, and no notes are needed. A Redis that takes no writes has no moving cursors,
//! either, so a request that it refuses does no harm.
//!
//! All of that holds within one life of the data. A server that was started again, or a replica that took its place, may have gone back, and be
//! at the same cursor again by the end. So both looks also ask for the name of that life. In a cluster, the keys of a shard move one after the other
//! when its slot does: counters may be scanned on two servers while the shard stays where it is. So the server is asked that has all of these keys;
//! while none has, the question is refused.

use std::collections::{BTreeMap, HashMap};

use platform::redis::Connection;
use redis::Pipeline;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::speed_view::{Changes, ShardKeys, State};

use super::{ShardClient, ShardError, call, refused};

/// How long workers note what they write after they were asked, in milliseconds.
const NOTED_MS: usize = 30_000;
/// How many items of notes one step reads. An item is at most as large as an argument of the apply script.
const ITEMS_AT_ONCE: isize = 8;
/// How often a shard is read from the start, if it was opened again meanwhile, or changes were not noted.
const ROUNDS: usize = 3;
/// Of how many counters one round trip asks how many fields they have.
const LENGTHS_AT_ONCE: usize = 256;

/// The fields of a slice that were wanted, and what they hold.
pub type SweptFields = HashMap<String, Vec<u8>>;

/// What is read of a shard.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// What is counted.
    pub definition: &'a DefinitionHash,
    /// The offset from which slices count.
    pub from: i64,
    /// Whether a field is wanted, by its name.
    pub is_wanted: &'a (dyn Fn(&str) -> bool + Sync),
}

/// What a sweep came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Sweep {
    /// There is no shard.
    NoShard,
    /// The counters of every slice that counts, by its begin, as they were in this state.
    Of(State, BTreeMap<i64, SweptFields>),
    /// Whenever it was read, counters had changed of which no note was there.
    Overtaken,
}

/// Where the notes stood when a sweep began.
struct Notes {
    items: isize,
    first: Vec<Vec<u8>>,
}

impl ShardClient {
    /// How many fields the slices of these shards have that count, for one definition. `shards` are their states, and the offset from
    /// which slices count.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn count_fields(
        &self,
        redis: &mut Connection,
        definition: &DefinitionHash,
        shards: &[(&ShardKeys, &State, i64)],
    ) -> Result<u64, ShardError> {
        let Some((first, ..)) = shards.first() else { return Ok(0) };
        let counters = shards.iter().flat_map(|(keys, State { shard, .. }, from)| {
            let slices = shard.slices.iter().filter(move |begin| *begin >= from);
            slices.map(|begin| keys.counters(shard.instance, *begin, definition))
        });
        let counters: Vec<String> = counters.collect();
        let mut fields = 0;
        for counters in counters.chunks(LENGTHS_AT_ONCE) {
            let mut look = Pipeline::with_capacity(counters.len());
            for key in counters {
                look.cmd("HLEN").arg(key);
            }
            let lengths: Vec<u64> =
                look.query_async(redis).await.map_err(|source| refused(first, "measure the counters of", source))?;
            fields += lengths.iter().sum::<u64>();
        }
        Ok(fields)
    }

    /// R10: the wanted fields of every slice that counts, as of one position of the shard after this call, read in bounded steps.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn read_in_steps(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        wish: Wish<'_>,
    ) -> Result<Sweep, ShardError> {
        for _ in 0..ROUNDS {
            let life = self.life(redis, keys, &[]).await?;
            let notes = self.ask_for_notes(redis, keys).await?;
            let Some(before) = self.state(redis, keys).await? else { return Ok(Sweep::NoShard) };
            let begins = before.shard.slices.iter().filter(|begin| **begin >= wish.from);
            let counters = begins.map(|begin| keys.counters(before.shard.instance, *begin, wish.definition));
            let counters: Vec<String> = counters.collect();
            if life != self.life(redis, keys, &counters).await? {
                continue;
            }
            let mut slices = BTreeMap::new();
            for begin in before.shard.slices.iter().filter(|begin| **begin >= wish.from) {
                let owner = (before.shard.instance, *begin);
                slices.insert(*begin, self.read_slice(redis, keys, owner, wish).await?);
            }
            let Some(after) = self.state(redis, keys).await? else { return Ok(Sweep::NoShard) };
            if before.shard.instance != after.shard.instance {
                continue;
            }
            let (from, to) = (before.shard.cursor, after.shard.cursor);
            let mut changes = Changes::between(after.shard.instance, wish.definition, from, to);
            if from != to && !self.overlay(redis, keys, wish, &notes, &mut changes, &mut slices).await? {
                continue;
            }
            if life != self.life(redis, keys, &counters).await? {
                continue;
            }
            let counts = |begin: &i64| *begin >= wish.from && after.shard.slices.contains(begin);
            slices.retain(|begin, _| counts(begin));
            return Ok(Sweep::Of(after, slices));
        }
        Ok(Sweep::Overtaken)
    }

    async fn state(&self, redis: &mut Connection, keys: &ShardKeys) -> Result<Option<State>, ShardError> {
        let mut states = self.states(redis, std::slice::from_ref(keys)).await?;
        Ok(states.pop().flatten())
    }

    /// R10: names one life of the data on the server that holds the shard and those counters of it. If it is another one after several steps
    /// than before, a step may have read what is older than another has read, or have gone on where another server has other fields.
    ///
    /// # Errors
    /// [`ShardError`]; back-pressure while a slot moves and no server has all of these keys.
    pub async fn life(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        counters: &[String],
    ) -> Result<String, ShardError> {
        call(redis, keys, "look at the server of", &self.scripts.life, counters, &[]).await
    }

    /// Asks workers to note what they write, and looks where the notes stand. A Redis that takes no writes refuses the request.
    async fn ask_for_notes(&self, redis: &mut Connection, keys: &ShardKeys) -> Result<Notes, ShardError> {
        let mut asked = redis::pipe();
        asked.cmd("SET").arg(keys.sweep()).arg(0).arg("NX").arg("PX").arg(NOTED_MS);
        asked.cmd("PEXPIRE").arg(keys.sweep()).arg(NOTED_MS);
        // What Redis refuses is found when the cursor has moved and there are no notes.
        let _: Result<(), _> = asked.ignore_errors().ignore().query_async(redis).await;
        let mut look = redis::pipe();
        look.cmd("LLEN").arg(keys.changes()).cmd("LRANGE").arg(keys.changes()).arg(0).arg(0);
        let (items, first) =
            look.query_async(redis).await.map_err(|source| refused(keys, "look for changes of", source))?;
        Ok(Notes { items, first })
    }

    async fn read_slice(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        owner: super::Owner,
        wish: Wish<'_>,
    ) -> Result<SweptFields, ShardError> {
        let (mut fields, mut scan) = (SweptFields::new(), self.scan(keys, owner, wish.definition));
        while let Some(found) = scan.next(redis).await? {
            // A field that comes again is the same, or newer.
            fields.extend(found.into_iter().filter(|(name, _)| (wish.is_wanted)(name)));
        }
        Ok(fields)
    }

    /// Puts what was noted since the sweep began over what it has read. Returns whether the notes lead all the way.
    async fn overlay(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        wish: Wish<'_>,
        notes: &Notes,
        changes: &mut Changes,
        slices: &mut BTreeMap<i64, SweptFields>,
    ) -> Result<bool, ShardError> {
        let (mut at, mut first, mut is_end) = (notes.items, notes.first.clone(), false);
        while !is_end {
            let items = items(redis, keys, at, at + ITEMS_AT_ONCE - 1).await?;
            // All that leads to the second position was there before this step. So where the list ends now, later notes are of no
            // interest, and the next items may be no head: they are never read.
            is_end = items.len() < ITEMS_AT_ONCE.unsigned_abs();
            at += ITEMS_AT_ONCE;
            if first.is_empty() {
                first.extend(items.first().cloned());
            }
            for item in items {
                // The list was removed and begun again: its items are others.
                let Ok(change) = changes.take(&item) else { return Ok(false) };
                let Some(change) = change else { continue };
                let wanted = change.fields.into_iter().filter(|(name, _)| (wish.is_wanted)(name));
                slices.entry(change.slice).or_default().extend(wanted);
            }
        }
        // Items are only appended, until the whole list is removed.
        Ok(changes.are_whole() && items(redis, keys, 0, 0).await? == first)
    }
}

async fn items(redis: &mut Connection, keys: &ShardKeys, from: isize, to: isize) -> Result<Vec<Vec<u8>>, ShardError> {
    let items = redis::cmd("LRANGE").arg(keys.changes()).arg(from).arg(to).query_async(redis).await;
    items.map_err(|source| refused(keys, "read changes of", source))
}
