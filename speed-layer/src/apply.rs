//! Partials → the shard, in one script that names what it expects (R2).
//!
//! A script whose reply was lost may have run. It is sent again with the same expectation: had it run, the cursor is where
//! this micro-batch would put it, and nothing is added twice.

use std::time::Duration;

use metrics::{counter, histogram};
use platform::redis::{Connection, is_back_pressure};
use shared_logic::contracts::speed_view::script::{self, Reply, definitions_text};
use shared_logic::contracts::speed_view::{Expected, Packed, Refusal, Shard, ShardKeys};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Every script of the contract, ready to be sent.
#[derive(Debug)]
pub struct Scripts {
    /// R2.
    pub apply: redis::Script,
    /// Opens a missing shard.
    pub open: redis::Script,
    /// R4.
    pub adopt: redis::Script,
    /// R5.
    pub reopen: redis::Script,
    /// R8: removes begins.
    pub drop: redis::Script,
    /// R8: removes values.
    pub unlink: redis::Script,
    /// R10.
    pub read: redis::Script,
}

impl Default for Scripts {
    fn default() -> Scripts {
        Scripts {
            apply: redis::Script::new(script::APPLY),
            open: redis::Script::new(script::OPEN),
            adopt: redis::Script::new(script::ADOPT),
            reopen: redis::Script::new(script::REOPEN),
            drop: redis::Script::new(script::DROP),
            unlink: redis::Script::new(script::UNLINK),
            read: redis::Script::new(script::READ),
        }
    }
}

/// Why a micro-batch was not applied.
#[derive(Debug, thiserror::Error)]
pub enum NotApplied {
    /// The shard is not as expected; nothing changed.
    #[error("the shard is not as expected: {0:?}")]
    Refused(Refusal),
    /// Redis refused for a reason that waiting does not mend.
    #[error("redis refuses to apply")]
    Redis(#[from] redis::RedisError),
    /// The shard is of another format.
    #[error(transparent)]
    Unknown(#[from] script::UnknownReply),
    /// The lane was stopped while it waited.
    #[error("stopped while waiting for redis")]
    Stopped,
}

/// One micro-batch on its way to Redis.
#[derive(Debug)]
pub struct Apply<'a> {
    /// The shard's keys.
    pub keys: &'a ShardKeys,
    /// What the shard must be like.
    pub expected: Expected,
    /// Where its cursor goes.
    pub to: i64,
    /// The moment up to which the log's end was at or below `to`, if known.
    pub as_of_us: Option<i64>,
    /// What is added.
    pub packed: Packed,
}

impl Apply<'_> {
    /// Sends until it is applied or refused; waits and repeats while Redis is full, slow, read-only or gone.
    ///
    /// # Errors
    /// [`NotApplied`]; nothing was added then.
    pub async fn send(
        mut self,
        scripts: &Scripts,
        redis: &mut Connection,
        backoff: Duration,
        stop: &CancellationToken,
    ) -> Result<Shard, NotApplied> {
        let (mut wait, from) = (backoff, self.expected.cursor);
        loop {
            let started = Instant::now();
            let sent: redis::RedisResult<Vec<String>> = self.invocation(scripts).invoke_async(redis).await;
            histogram!("braid_speed_apply_seconds").record(started.elapsed());
            match sent {
                Ok(fields) => match script::reply(&fields)? {
                    Reply::Done(shard) => {
                        platform::failpoints::pass("speed::after_apply");
                        return Ok(shard);
                    }
                    // An earlier try had run and its reply was lost.
                    Reply::Refused(Refusal::Differs(shard))
                        if self.to > from
                            && shard.cursor == self.to
                            && shard.definitions == self.expected.definitions =>
                    {
                        return Ok(shard);
                    }
                    // Only a rotate came in between: the same again, to the slice that it opened.
                    Reply::Refused(Refusal::Differs(shard))
                        if shard.cursor == from && shard.definitions == self.expected.definitions =>
                    {
                        self.packed.move_to_slice(self.expected.slice, shard.last_slice());
                        self.expected.slice = shard.last_slice();
                    }
                    Reply::Refused(refusal) => return Err(NotApplied::Refused(refusal)),
                },
                Err(error) if is_back_pressure(&error) => {
                    counter!("braid_speed_back_pressure_total").increment(1);
                    warn!(%error, wait_ms = wait.as_millis(), "redis cannot take a micro-batch now; waiting");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => wait = (wait * 2).min(backoff * 32),
                        () = stop.cancelled() => return Err(NotApplied::Stopped),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn invocation<'s>(&self, scripts: &'s Scripts) -> redis::ScriptInvocation<'s> {
        let mut invocation = scripts.apply.prepare_invoke();
        invocation.key(self.keys.shard());
        for key in &self.packed.keys {
            invocation.key(key);
        }
        invocation
            .arg(self.expected.cursor)
            .arg(self.expected.slice)
            .arg(definitions_text(&self.expected.definitions))
            .arg(self.to)
            .arg(self.as_of_us.map_or(String::new(), |us| us.to_string()))
            .arg(self.packed.to_msgpack());
        invocation
    }
}
