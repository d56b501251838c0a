//! Runs the scripts that read and change a shard in Redis (R2, R4, R5, R8, R10).
//!
//! Every script checks before its first write and is atomic. A script whose reply was lost may have run; each change names
//! the position that it expects, so a repeat changes nothing.
//!
//! - `fields`: reading and writing the counters of one micro-batch;
//! - `sweep`: removing the counters of slices that were dropped.

mod fields;
mod sweep;

use platform::redis::Connection;
use redis::{RedisError, Script};
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::speed_view::script::{self, Reply, UnknownReply, hashes_text};
use shared_logic::contracts::speed_view::{Shard, ShardKeys};

pub use fields::Held;

/// Every script of the contract, ready to be sent.
#[derive(Debug)]
pub struct Scripts {
    /// R2: adds a micro-batch.
    pub apply: Script,
    /// Opens a missing shard.
    pub open: Script,
    /// R4: replaces the definitions.
    pub adopt: Script,
    /// R5: reopens a shard at another offset.
    pub reopen: Script,
    /// R8: removes slices from a shard's list.
    pub drop: Script,
    /// R8: removes the shard of a closed log.
    pub delete: Script,
    /// R8: removes the counters of a dropped slice.
    pub unlink: Script,
    /// R10: reads a shard.
    pub read: Script,
}

impl Default for Scripts {
    fn default() -> Scripts {
        Scripts {
            apply: Script::new(script::APPLY),
            open: Script::new(script::OPEN),
            adopt: Script::new(script::ADOPT),
            reopen: Script::new(script::REOPEN),
            drop: Script::new(script::DROP),
            delete: Script::new(script::DELETE),
            unlink: Script::new(script::UNLINK),
            read: Script::new(script::READ),
        }
    }
}

/// Why a script did not run to its end, or its reply could not be understood.
#[derive(Debug, thiserror::Error)]
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
    fn redis(operation: &'static str, keys: &ShardKeys, source: impl Into<RedisError>) -> ShardError {
        ShardError::Redis { operation, shard: keys.shard(), source: source.into() }
    }

    /// A reply or a field that is not of the form that Braid writes.
    pub fn unreadable(keys: &ShardKeys, source: UnknownReply) -> ShardError {
        ShardError::Unreadable { shard: keys.shard(), source }
    }
}

impl Scripts {
    /// Reads a shard's positions; `None` if there is no shard.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn positions(&self, redis: &mut Connection, keys: &ShardKeys) -> Result<Option<Shard>, ShardError> {
        let sent = self.read.key(keys.shard()).invoke_async(redis).await;
        let fields: Vec<String> = sent.map_err(|source| ShardError::redis("read", keys, source))?;
        script::positions(&fields).map_err(|source| ShardError::unreadable(keys, source))
    }

    /// Opens a missing shard at an offset, with those definitions counted from there on. An existing one stays as it is.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn open(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        at: i64,
        definitions: &[DefinitionHash],
    ) -> Result<Reply, ShardError> {
        change(redis, keys, "open", &self.open, &[at.to_string(), hashes_text(definitions)]).await
    }

    /// R4: replaces the definitions. One that was counted already goes on; a new one counts from the cursor on.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn adopt(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        definitions: &[DefinitionHash],
    ) -> Result<Reply, ShardError> {
        change(redis, keys, "adopt definitions in", &self.adopt, &[hashes_text(definitions)]).await
    }

    /// R5: drops every slice and begins one at `to`, if the shard's cursor is still `cursor`.
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
    ) -> Result<Reply, ShardError> {
        let arguments = [cursor.to_string(), to.to_string(), hashes_text(definitions)];
        change(redis, keys, "reopen", &self.reopen, &arguments).await
    }

    /// R8: drops, from the front, every slice that ends at or below the cut. Their counters stay until a sweep.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn drop_below(&self, redis: &mut Connection, keys: &ShardKeys, cut: i64) -> Result<Reply, ShardError> {
        change(redis, keys, "drop slices of", &self.drop, &[cut.to_string()]).await
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
        change(redis, keys, "delete", &self.delete, &[archived_end.to_string()]).await
    }
}

/// Runs a script that changes a shard's positions.
async fn change(
    redis: &mut Connection,
    keys: &ShardKeys,
    operation: &'static str,
    script: &Script,
    arguments: &[String],
) -> Result<Reply, ShardError> {
    let mut invocation = script.key(keys.shard());
    for argument in arguments {
        invocation.arg(argument);
    }
    let sent = invocation.invoke_async(redis).await;
    let fields: Vec<String> = sent.map_err(|source| ShardError::redis(operation, keys, source))?;
    script::reply(&fields).map_err(|source| ShardError::unreadable(keys, source))
}
