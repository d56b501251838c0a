//! R2: a micro-batch is added by reading the fields that it touches, merging, and writing them back in the script that moves
//! the cursor. The script refuses a shard that is not as it was when it was read, so no other writer's counts are lost.
//! Counters change only together with the cursor, so reading them takes no transaction, and may take two looks. What is known
//! since it was written is not read again. The second look reads the positions again: between both, a replica may have taken the place of the
//! server, and what it holds may be older.
//!
//! While the script writes counters, the shard has no cursor. If a write fails, it keeps none, and the counters that were
//! written are never read: when the shard is opened again it gets another instance.

use platform::redis::Connection;
use redis::{Pipeline, RedisError, Value, from_redis_value};
use shared_logic::contracts::speed_view::script::{self, Reply, definitions_text, witness_text};
use shared_logic::contracts::speed_view::{Addition, Expected, Held, KnownFields, Shard, ShardKeys};
use shared_logic::log::Position;

use super::positions::{FIELDS, state};
use super::{ShardClient, ShardError, refused};

/// An addition merged with what its fields held: arguments of the script.
pub type Merged = Vec<Vec<u8>>;

impl ShardClient {
    /// Reads the shard and what the additions' fields hold in the expected slice, but for those that are known: for each addition,
    /// its fields.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn held(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        expected: &Expected,
        additions: &[Addition],
        known: &KnownFields,
    ) -> Result<(Option<Shard>, Vec<Held>), ShardError> {
        let of_redis = |source| refused(keys, "read", source);
        let mut look = redis::pipe();
        look.cmd("HMGET").arg(keys.shard()).arg(&FIELDS);
        let unknown: Vec<Vec<&str>> = additions.iter().map(|addition| addition.unknown(known).collect()).collect();
        for (addition, names) in additions.iter().zip(&unknown).filter(|(_, names)| !names.is_empty()) {
            read_fields(&mut look, &counters(keys, expected, addition), names.iter().copied());
        }
        let answers: Vec<Value> = look.query_async(redis).await.map_err(of_redis)?;
        let mut answers = answers.into_iter();
        let shard = shard_in(keys, answers.next().unwrap_or_default())?;
        let mut held = Vec::with_capacity(additions.len());
        for names in unknown {
            let own = if names.is_empty() { None } else { answers.next() };
            held.push(Held { own: own.map_or(Ok(Vec::new()), fields).map_err(of_redis)?, further: Vec::new() });
        }
        match read_further(redis, keys, expected, additions, known, &mut held).await? {
            // The shard has to be as expected at both looks.
            Some(later) if shard.as_ref().is_some_and(|shard| shard.expected() == *expected) => Ok((later, held)),
            _ => Ok((shard, held)),
        }
    }

    /// R2: writes merged additions to the expected slice and moves the cursor to `to`, if the shard is as expected.
    /// `as_of_us` is the moment up to which the log's end was at or below `to`, if it is known; microseconds since 1970.
    ///
    /// # Errors
    /// [`ShardError`]. After [`ShardError::Failed`] the shard has to be opened again.
    pub async fn apply(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        expected: &Expected,
        to: impl Into<Position>,
        as_of_us: Option<i64>,
        merged: impl Iterator<Item = (&Addition, Merged)>,
    ) -> Result<Reply, ShardError> {
        let to = to.into();
        let mut invocation = self.scripts.apply.key(keys.shard());
        invocation
            .key(keys.names())
            .key(keys.sweep())
            .key(keys.changes())
            .arg(expected.cursor)
            .arg(expected.slice)
            .arg(definitions_text(&expected.definitions))
            .arg(expected.instance.to_string())
            .arg(witness_text(expected.witness))
            .arg(to.offset)
            .arg(witness_text(to.witness))
            .arg(as_of_us.map_or(String::new(), |us| us.to_string()));
        for (addition, arguments) in merged {
            let counters = counters(keys, expected, addition);
            for argument in arguments {
                invocation.key(&counters).arg(argument);
            }
        }
        let fields: Vec<String> =
            invocation.invoke_async(redis).await.map_err(|source| refused(keys, "apply a micro-batch to", source))?;
        if let Some(why) = script::failure(&fields) {
            return Err(ShardError::Failed { shard: keys.shard(), why: why.to_owned() });
        }
        script::reply(&fields).map_err(|source| ShardError::unreadable(keys, source))
    }
}

/// Reads the fields that have to be read besides the group keys' own, if there are any. Gives the shard as it was then.
async fn read_further(
    redis: &mut Connection,
    keys: &ShardKeys,
    expected: &Expected,
    additions: &[Addition],
    known: &KnownFields,
    held: &mut [Held],
) -> Result<Option<Option<Shard>>, ShardError> {
    let of_redis = |source| refused(keys, "read", source);
    let mut look = redis::pipe();
    look.cmd("HMGET").arg(keys.shard()).arg(&FIELDS);
    let mut are_read = Vec::with_capacity(additions.len());
    for (addition, held) in additions.iter().zip(held.iter()) {
        let names = addition.further(known, &held.own).map_err(|source| ShardError::unreadable(keys, source))?;
        if !names.is_empty() {
            read_fields(&mut look, &counters(keys, expected, addition), names.iter().map(String::as_str));
        }
        are_read.push(!names.is_empty());
    }
    if !are_read.contains(&true) {
        return Ok(None);
    }
    let answers: Vec<Value> = look.query_async(redis).await.map_err(of_redis)?;
    let mut answers = answers.into_iter();
    let later = shard_in(keys, answers.next().unwrap_or_default())?;
    let read = held.iter_mut().zip(are_read).filter(|(_, is_read)| *is_read).map(|(held, _)| held);
    for (held, answer) in read.zip(answers) {
        held.further = fields(answer).map_err(of_redis)?;
    }
    Ok(Some(later))
}

/// The shard in an answer that holds its [`FIELDS`].
fn shard_in(keys: &ShardKeys, answer: Value) -> Result<Option<Shard>, ShardError> {
    let positions = from_redis_value::<Vec<Option<String>>>(answer);
    let positions = positions.map_err(|error| refused(keys, "read", RedisError::from(error)))?;
    let state = state(&positions).map_err(|source| ShardError::unreadable(keys, source))?;
    Ok(state.map(|state| state.shard))
}

/// Adds a command that reads those fields. There is at least one.
fn read_fields<'a>(look: &mut Pipeline, key: &str, names: impl Iterator<Item = &'a str>) {
    let command = look.cmd("HMGET").arg(key);
    for name in names {
        command.arg(name);
    }
}

/// What such a command answered.
fn fields(answer: Value) -> Result<Vec<Option<Vec<u8>>>, RedisError> {
    from_redis_value(answer).map_err(RedisError::from)
}

/// The key of what an addition adds to.
fn counters(keys: &ShardKeys, expected: &Expected, addition: &Addition) -> String {
    keys.counters(expected.instance, expected.slice, &addition.definition)
}
