//! R2: a micro-batch is added by reading the fields that it touches, merging, and writing them back in the script that moves
//! the cursor. The script refuses a shard that is not as it was when it was read, so no other writer's counts are lost.
//!
//! While the script writes counters, the shard has no cursor. If a write fails, it keeps none, and the counters that were
//! written are never read: when the shard is opened again it gets another instance.

use platform::redis::Connection;
use redis::{RedisError, Value, from_redis_value};
use shared_logic::contracts::speed_view::script::{self, Reply, UnknownReply, definitions_text, witness_text};
use shared_logic::contracts::speed_view::{Addition, Expected, FORMAT, Shard, ShardKeys};
use shared_logic::log::Position;

use super::{ShardClient, ShardError, refused};

/// What the fields of each addition hold: per addition, in the order of its fields.
pub type Held = Vec<Vec<Option<Vec<u8>>>>;

/// The fields of a shard that [`shard`] reads.
const POSITIONS: [&str; 7] = ["cursor", "slices", "definitions", "format", "instance", "witnesses", "truncated"];

/// An addition merged with what its fields held, as the script writes it.
pub type Merged = Vec<u8>;

impl ShardClient {
    /// Reads the shard and what the additions' fields hold in the expected slice, in one transaction.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn held(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        expected: &Expected,
        additions: &[Addition],
    ) -> Result<(Option<Shard>, Held), ShardError> {
        let mut look = redis::pipe();
        look.atomic().cmd("HMGET").arg(keys.shard()).arg(&POSITIONS);
        for addition in additions {
            look.cmd("HMGET").arg(counters(keys, expected, addition));
            for field in addition.fields() {
                look.arg(field);
            }
        }
        let of_redis = |source| refused(keys, "read", source);
        let mut answers: Vec<Value> = look.query_async(redis).await.map_err(of_redis)?;
        let held = answers.drain(1..).map(from_redis_value).collect::<Result<_, _>>();
        let positions = answers.drain(..).map(from_redis_value::<Vec<Option<String>>>).collect::<Result<Vec<_>, _>>();
        let held = held.map_err(|error| of_redis(RedisError::from(error)))?;
        let positions = positions.map_err(|error| of_redis(RedisError::from(error)))?.concat();
        Ok((shard(&positions).map_err(|source| ShardError::unreadable(keys, source))?, held))
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
            .arg(expected.cursor)
            .arg(expected.slice)
            .arg(definitions_text(&expected.definitions))
            .arg(expected.instance.to_string())
            .arg(witness_text(expected.witness))
            .arg(to.offset)
            .arg(witness_text(to.witness))
            .arg(as_of_us.map_or(String::new(), |us| us.to_string()));
        for (addition, fields) in merged {
            invocation.key(counters(keys, expected, addition)).arg(fields);
        }
        let fields: Vec<String> =
            invocation.invoke_async(redis).await.map_err(|source| refused(keys, "apply a micro-batch to", source))?;
        if let Some(why) = script::failure(&fields) {
            return Err(ShardError::Failed { shard: keys.shard(), why: why.to_owned() });
        }
        script::reply(&fields).map_err(|source| ShardError::unreadable(keys, source))
    }
}

/// The key of what an addition adds to.
fn counters(keys: &ShardKeys, expected: &Expected, addition: &Addition) -> String {
    keys.counters(expected.instance, expected.slice, &addition.definition)
}

fn shard(positions: &[Option<String>]) -> Result<Option<Shard>, UnknownReply> {
    match positions {
        [Some(cursor), Some(slices), Some(definitions), Some(format), Some(instance), witnesses, truncated]
            if format == FORMAT =>
        {
            let [witnesses, truncated] = [witnesses, truncated].map(|field| field.as_deref().unwrap_or_default());
            script::shard(cursor, slices, definitions, instance, witnesses, truncated).map(Some)
        }
        [None, ..] => Ok(None),
        other => Err(UnknownReply { what: format!("{other:?}") }),
    }
}
