//! Additions → the shard: read what they add to, merge, and write it in one script that names what it expects (R2).
//!
//! The script refuses if the shard is not as it was when it was read, so nobody's counts are written over. A script whose
//! reply was lost may have run. Then the next look finds the cursor where this micro-batch would put it, and nothing is
//! added twice.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use platform::redis::{Connection, is_back_pressure};
use redis::RedisError;
use shared_logic::contracts::speed_view::script::{self, Reply, definitions_text};
use shared_logic::contracts::speed_view::{Addition, Expected, FORMAT, Refusal, Shard, ShardKeys};
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
    /// R8: removes the shard of a closed log.
    pub delete: redis::Script,
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
            delete: redis::Script::new(script::DELETE),
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
    pub additions: Arc<[Addition]>,
}

/// What a look found: the shard as it has to be, and what the fields of each addition hold.
type Held = Vec<Vec<Option<Vec<u8>>>>;

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
            let tried = self.look_and_write(scripts, redis).await;
            histogram!("braid_speed_apply_seconds").record(started.elapsed());
            match tried {
                Ok(shard) => {
                    platform::failpoints::pass("speed::after_apply");
                    return Ok(shard);
                }
                // An earlier try had run and its reply was lost.
                Err(NotApplied::Refused(Refusal::Differs(shard)))
                    if self.to > from && shard.cursor == self.to && shard.definitions == self.expected.definitions =>
                {
                    return Ok(shard);
                }
                // Only a rotate came in between: the same again, to the slice that it opened.
                Err(NotApplied::Refused(Refusal::Differs(shard)))
                    if shard.cursor == from && shard.definitions == self.expected.definitions =>
                {
                    self.expected.slice = shard.last_slice();
                }
                Err(NotApplied::Redis(error)) if is_back_pressure(&error) => {
                    counter!("braid_speed_back_pressure_total").increment(1);
                    warn!(%error, wait_ms = wait.as_millis(), "redis cannot take a micro-batch now; waiting");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => wait = (wait * 2).min(backoff * 32),
                        () = stop.cancelled() => return Err(NotApplied::Stopped),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn look_and_write(&self, scripts: &Scripts, redis: &mut Connection) -> Result<Shard, NotApplied> {
        let mut merged = Vec::new();
        if !self.additions.is_empty() {
            let held = self.look(redis).await?;
            let additions = Arc::clone(&self.additions);
            let work = tokio::task::spawn_blocking(move || {
                additions.iter().zip(&held).map(|(addition, held)| addition.merged(held)).collect::<Result<Vec<_>, _>>()
            });
            merged = work.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
        }
        let mut invocation = scripts.apply.key(self.keys.shard());
        for addition in self.additions.iter() {
            invocation.key(self.keys.counters(self.expected.slice, &addition.definition));
        }
        invocation
            .arg(self.expected.cursor)
            .arg(self.expected.slice)
            .arg(definitions_text(&self.expected.definitions))
            .arg(self.to)
            .arg(self.as_of_us.map_or(String::new(), |us| us.to_string()));
        for fields in merged {
            invocation.arg(fields);
        }
        platform::failpoints::pass("speed::before_apply");
        let fields: Vec<String> = invocation.invoke_async(redis).await?;
        match script::reply(&fields)? {
            Reply::Done(shard) => Ok(shard),
            Reply::Refused(refusal) => Err(NotApplied::Refused(refusal)),
        }
    }

    /// Reads positions and fields in one transaction, so that the fields are those of the positions.
    async fn look(&self, redis: &mut Connection) -> Result<Held, NotApplied> {
        let mut look = redis::pipe();
        look.atomic().cmd("HMGET").arg(self.keys.shard()).arg(&["cursor", "slices", "definitions", "format"]);
        for addition in self.additions.iter() {
            look.cmd("HMGET").arg(self.keys.counters(self.expected.slice, &addition.definition));
            for field in addition.fields() {
                look.arg(field);
            }
        }
        let mut answers: Vec<redis::Value> = look.query_async(redis).await?;
        let held = answers.drain(1..).map(redis::from_redis_value).collect::<Result<_, _>>();
        let positions =
            answers.drain(..).map(redis::from_redis_value::<Vec<Option<String>>>).collect::<Result<Vec<_>, _>>();
        let (held, positions) = (held.map_err(RedisError::from)?, positions.map_err(RedisError::from)?.concat());
        let shard = match positions.as_slice() {
            [Some(cursor), Some(slices), Some(definitions), Some(format)] if format == FORMAT => {
                Some(script::shard(cursor, slices, definitions)?)
            }
            [None, ..] => None,
            other => return Err(script::UnknownReply { what: format!("{other:?}") }.into()),
        };
        Shard::apply(shard.as_ref(), &self.expected, self.to).map_err(NotApplied::Refused)?;
        Ok(held)
    }
}
