//! R2: the fields that a micro-batch adds to are read, merged by the caller, and written back in the script that moves the
//! cursor. The script refuses a shard that is not as it was when it was read, so no other writer's counts are lost.

use platform::redis::Connection;
use redis::{Value, from_redis_value};
use shared_logic::contracts::speed_view::script::{self, Reply, UnknownReply, definitions_text};
use shared_logic::contracts::speed_view::{Addition, Expected, FORMAT, Shard, ShardKeys};

use super::{Scripts, ShardError};

/// What the fields of each addition hold: per addition, in the order of its fields.
pub type Held = Vec<Vec<Option<Vec<u8>>>>;

impl Scripts {
    /// Reads the shard, and what the additions' fields hold in a slice, in one transaction.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn held(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        slice: i64,
        additions: &[Addition],
    ) -> Result<(Option<Shard>, Held), ShardError> {
        let mut look = redis::pipe();
        look.atomic().cmd("HMGET").arg(keys.shard()).arg(&["cursor", "slices", "definitions", "format"]);
        for addition in additions {
            look.cmd("HMGET").arg(keys.counters(slice, &addition.definition));
            for field in addition.fields() {
                look.arg(field);
            }
        }
        let of_redis = |source| ShardError::redis("read", keys, source);
        let mut answers: Vec<Value> = look.query_async(redis).await.map_err(of_redis)?;
        let held = answers.drain(1..).map(from_redis_value).collect::<Result<_, _>>();
        let positions = answers.drain(..).map(from_redis_value::<Vec<Option<String>>>).collect::<Result<Vec<_>, _>>();
        let held = held.map_err(|error| of_redis(error.into()))?;
        let positions = positions.map_err(|error| of_redis(error.into()))?.concat();
        let shard = shard(&positions).map_err(|source| ShardError::unreadable(keys, source))?;
        Ok((shard, held))
    }

    /// R2: writes the merged fields of each addition to the expected slice and moves the cursor to `to`, if the shard is as
    /// expected. `as_of_us`, in microseconds since 1970, is the latest moment at which the log's end is known to have been at
    /// or below `to`.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn apply(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        expected: &Expected,
        to: i64,
        as_of_us: Option<i64>,
        merged: impl Iterator<Item = (&Addition, Vec<u8>)>,
    ) -> Result<Reply, ShardError> {
        let mut invocation = self.apply.key(keys.shard());
        invocation
            .arg(expected.cursor)
            .arg(expected.slice)
            .arg(definitions_text(&expected.definitions))
            .arg(to)
            .arg(as_of_us.map_or(String::new(), |us| us.to_string()));
        for (addition, fields) in merged {
            invocation.key(keys.counters(expected.slice, &addition.definition)).arg(fields);
        }
        let sent = invocation.invoke_async(redis).await;
        let fields: Vec<String> = sent.map_err(|source| ShardError::redis("apply a micro-batch to", keys, source))?;
        script::reply(&fields).map_err(|source| ShardError::unreadable(keys, source))
    }
}

fn shard(positions: &[Option<String>]) -> Result<Option<Shard>, UnknownReply> {
    match positions {
        [Some(cursor), Some(slices), Some(definitions), Some(format)] if format == FORMAT => {
            script::shard(cursor, slices, definitions).map(Some)
        }
        [None, ..] => Ok(None),
        other => Err(UnknownReply { what: format!("{other:?}") }),
    }
}
