//! The client of shards: every script that reads or changes one (R2 to R5, R8, R10, R12).
//!
//! Each script checks before its first write, declares every key that it touches, and is atomic. Numbers travel as
//! text. `shared_logic::contracts::speed_view` says what the scripts do, as pure functions, and how their replies are
//! read; the tests run both side by side on a real Redis. A script whose reply was lost may have run: every change
//! names the position that it expects, so a repeat changes nothing. A shard is opened with an instance, a random one:
//! so its counters are empty, whatever an earlier shard of the partition left behind.
//!
//! - `scripts`: the Lua sources;
//! - `apply`: a micro-batch, read and written;
//! - `positions`: where shards stand, without their counters;
//! - `reading`: the counters of group keys;
//! - `expire`: counters of slices that were dropped, and of shards that are removed;
//! - `memory`: what a shard takes of Redis;
//! - `scan`: all counters of a slice, some at a time; `sweep`: those of all slices that count, as of one position.

mod apply;
mod expire;
mod memory;
mod positions;
mod reading;
mod scan;
mod scripts;
mod sweep;

use std::sync::Arc;

use platform::redis::Connection;
use redis::{FromRedisValue, RedisError, Script};
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::speed_view::script::{self, Reply, UnknownReply, hashes_text, witness_text};
use shared_logic::contracts::speed_view::{Instance, Shard, ShardKeys};
use shared_logic::log::Position;

pub use apply::Merged;
pub use expire::Owner;
pub use scan::SliceScan;
pub use scripts::Scripts;
pub use sweep::{Sweep, SweptFields, Wish};

/// Runs the scripts on shards. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct ShardClient {
    scripts: Arc<Scripts>,
}

/// Why a script did not do its work, or its reply could not be understood.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ShardError {
    /// Redis refused the script, or did not answer in time. The script may have run.
    #[error("cannot {operation} shard {shard}")]
    Redis {
        /// What was tried.
        operation: &'static str,
        /// The shard's key.
        shard: String,
        /// What the server or the connection said.
        source: RedisError,
    },
    /// Redis took the script and failed to write. The shard has no cursor any more, so it counts as missing; if its
    /// first write failed, it is unchanged.
    #[error("redis could not write to shard {shard}, which has to be opened again: {why}")]
    Failed {
        /// The shard's key.
        shard: String,
        /// What Redis said.
        why: String,
    },
    /// The shard is of another format, or damaged.
    #[error("cannot understand shard {shard}")]
    Unreadable {
        /// The shard's key.
        shard: String,
        /// What was read.
        source: UnknownReply,
    },
}

impl ShardError {
    /// A reply, or what a field holds, is not of the form that Braid writes.
    pub fn unreadable(keys: &ShardKeys, source: UnknownReply) -> ShardError {
        ShardError::Unreadable { shard: keys.shard(), source }
    }
}

impl ShardClient {
    /// Opens a missing shard at an offset, without counters, counted by those definitions from there on. `instance` is
    /// random, and another one for each shard that is opened. An existing shard stays as it is:
    /// [`Refusal::Differs`](shared_logic::contracts::speed_view::Refusal::Differs).
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn open(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        at: impl Into<Position>,
        definitions: &[DefinitionHash],
        instance: Instance,
    ) -> Result<Reply, ShardError> {
        let Position { offset, witness } = at.into();
        let arguments = [offset.to_string(), hashes_text(definitions), instance.to_string(), witness_text(witness)];
        self.change(redis, keys, "open", &self.scripts.open, &arguments).await
    }

    /// R3: opens a new slice at the cursor, unless one begins there or the shard has `max_slices`.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn rotate(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        max_slices: usize,
    ) -> Result<Reply, ShardError> {
        self.change(redis, keys, "rotate", &self.scripts.rotate, &[max_slices.to_string()]).await
    }

    /// R4: replaces the definitions. One that was counted goes on; a new one counts from the cursor on.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn adopt(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        definitions: &[DefinitionHash],
    ) -> Result<Reply, ShardError> {
        self.change(redis, keys, "adopt definitions in", &self.scripts.adopt, &[hashes_text(definitions)]).await
    }

    /// R5: drops every slice and begins one at `to`, without counters, if the shard's cursor is `cursor`. `instance` is
    /// as for [`ShardClient::open`].
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn reopen(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        cursor: i64,
        to: i64,
        definitions: &[DefinitionHash],
        instance: Instance,
    ) -> Result<Reply, ShardError> {
        let arguments = [cursor.to_string(), to.to_string(), hashes_text(definitions), instance.to_string()];
        self.change(redis, keys, "reopen", &self.scripts.reopen, &arguments).await
    }

    /// R12: marks the shard of that instance as truncated: at that offset the log holds another record than what was
    /// counted.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn mark(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        instance: Instance,
        at: i64,
    ) -> Result<Reply, ShardError> {
        self.change(redis, keys, "mark", &self.scripts.mark, &[instance.to_string(), at.to_string()]).await
    }

    /// R8: drops, from the front, every slice that ends at or below the cut. Their counters stay until they are
    /// expired.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn drop_below(&self, redis: &mut Connection, keys: &ShardKeys, cut: i64) -> Result<Reply, ShardError> {
        self.change(redis, keys, "drop slices of", &self.scripts.drop, &[cut.to_string()]).await
    }

    /// R8: deletes the shard of a closed log, unless it counted beyond the log's archived end.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn delete(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        archived_end: i64,
    ) -> Result<Reply, ShardError> {
        self.change(redis, keys, "delete", &self.scripts.delete, &[archived_end.to_string()]).await
    }

    /// The shard's positions; `None` if there is no shard.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn positions(&self, redis: &mut Connection, keys: &ShardKeys) -> Result<Option<Shard>, ShardError> {
        let fields: Vec<String> = call(redis, keys, "read", &self.scripts.read, &[], &[]).await?;
        script::positions(&fields).map_err(|source| ShardError::unreadable(keys, source))
    }

    async fn change(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        operation: &'static str,
        script: &Script,
        arguments: &[String],
    ) -> Result<Reply, ShardError> {
        let fields: Vec<String> = call(redis, keys, operation, script, &[], arguments).await?;
        script::reply(&fields).map_err(|source| ShardError::unreadable(keys, source))
    }
}

/// Runs a script on a shard and on those `others` of its keys.
async fn call<T: FromRedisValue>(
    redis: &mut Connection,
    keys: &ShardKeys,
    operation: &'static str,
    script: &Script,
    others: &[String],
    arguments: &[String],
) -> Result<T, ShardError> {
    let mut invocation = script.key(keys.shard());
    others.iter().for_each(|key| {
        invocation.key(key);
    });
    arguments.iter().for_each(|argument| {
        invocation.arg(argument);
    });
    invocation.invoke_async(redis).await.map_err(|source| refused(keys, operation, source))
}

fn refused(keys: &ShardKeys, operation: &'static str, source: RedisError) -> ShardError {
    ShardError::Redis { operation, shard: keys.shard(), source }
}
