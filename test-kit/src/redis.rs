//! A `redis-server` of a test's own.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Connection, FromRedisValue};
use anyhow::{Result, bail, ensure};

use crate::child_server::ChildServer;
use crate::wait::{DEADLINE, Progress, wait_for};

const STOP_WITHIN: Duration = Duration::from_secs(30);

/// What a Redis keeps when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing.
    None,
    /// Every write that was acknowledged (`appendfsync always`).
    EveryWrite,
    /// All but the last second or so (`appendfsync everysec`).
    EverySecond,
}

impl Durability {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Durability::None => &["--appendonly", "no"],
            Durability::EveryWrite => &["--appendonly", "yes", "--appendfsync", "always"],
            Durability::EverySecond => &["--appendonly", "yes", "--appendfsync", "everysec"],
        }
    }
}

/// What a server says of itself as a primary or a replica.
#[derive(Debug)]
pub(crate) struct Replication {
    pub(crate) is_primary: bool,
    /// Of a replica, the port of its primary.
    pub(crate) primary_port: Option<u64>,
    /// Of a replica, whether it is connected to its primary.
    pub(crate) is_connected: bool,
    /// How much was written to the primary, or has reached the replica.
    pub(crate) has: u64,
}

impl Replication {
    /// Whether this replica of the primary with that port has at least so much.
    pub(crate) fn is_in_step(&self, primary_port: u16, written: u64) -> bool {
        self.primary_port == Some(u64::from(primary_port)) && self.is_connected && self.has >= written
    }
}

/// A Redis that keeps its folder and port over restarts. Dropping it kills it. What a test does to its process is in [`ChildServer`].
pub struct Redis {
    server: ChildServer,
    flags: Vec<String>,
}

impl Redis {
    /// Starts an empty Redis in a temporary folder. It keeps nothing when it is killed.
    pub async fn start() -> Result<Redis> {
        Redis::start_with(&[]).await
    }

    /// The same with more flags of `redis-server`.
    pub async fn start_with(flags: &[&str]) -> Result<Redis> {
        Redis::launch(&[Durability::None.flags(), flags].concat(), None).await
    }

    /// The same for tests without an asynchronous runtime.
    pub fn start_blocking() -> Result<Redis> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(Redis::start())
    }

    /// Starts an empty Redis whose data and output lie in `folder`.
    pub async fn start_in(folder: &Path, durability: Durability) -> Result<Redis> {
        Redis::launch(durability.flags(), Some(folder)).await
    }

    /// One of several that belong together, with flags of its own. It keeps nothing when it is killed.
    pub(crate) async fn node_in(folder: Option<&Path>, flags: &[&str]) -> Result<Redis> {
        Redis::launch(&[Durability::None.flags(), flags].concat(), folder).await
    }

    async fn launch(flags: &[&str], folder: Option<&Path>) -> Result<Redis> {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut redis = Redis { server: ChildServer::new("redis", folder, STOP_WITHIN)?, flags };
        redis.restart().await?;
        Ok(redis)
    }

    /// `redis://…`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.server.port())
    }

    /// Starts again on what its folder holds; kills it first if it still runs.
    pub async fn restart(&mut self) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.server.port().to_string(), "--save", "", "--dir"]);
        command.arg(self.server.folder()).args(&self.flags);
        let process = self.server.launch(command)?;
        wait_for("Redis to answer", DEADLINE, async || {
            if let Some(status) = process.ended()? {
                bail!("redis-server ended at its start ({status}): {}", process.output()?);
            }
            Ok(match self.ping().await {
                Ok(()) => Progress::Done(()),
                Err(error) => Progress::NotYet(error.to_string()),
            })
        })
        .await
    }

    /// A connection of the test's own, for faults that only a client can cause (`FLUSHALL`, `CONFIG SET maxmemory`).
    pub async fn connection(&self) -> Result<MultiplexedConnection> {
        Ok(::redis::Client::open(self.url())?.get_multiplexed_async_connection().await?)
    }

    /// The same for tests without an asynchronous runtime.
    pub fn connection_blocking(&self) -> Result<Connection> {
        Ok(::redis::Client::open(self.url())?.get_connection()?)
    }

    /// Sends a command that answers `OK`.
    pub async fn command(&self, words: &[&str]) -> Result<()> {
        let mut command = ::redis::cmd(words[0]);
        let answer: ::redis::Value = command.arg(&words[1..]).query_async(&mut self.connection().await?).await?;
        ensure!(answer == ::redis::Value::Okay, "{words:?}: {answer:?}");
        Ok(())
    }

    /// Sends a command, and returns what it answers.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        let mut command = ::redis::cmd(words[0]);
        Ok(command.arg(&words[1..]).query_async(&mut self.connection().await?).await?)
    }

    /// What it says of itself as a primary or a replica.
    pub(crate) async fn replication(&self) -> Result<Replication> {
        let text: String = self.ask(&["INFO", "replication"]).await?;
        let fields: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(':')).collect();
        let number = |name: &str| fields.get(name).and_then(|value| value.parse().ok());
        Ok(Replication {
            is_primary: fields.get("role") == Some(&"master"),
            primary_port: number("master_port"),
            is_connected: fields.get("master_link_status") == Some(&"up"),
            has: number("slave_repl_offset").or_else(|| number("master_repl_offset")).unwrap_or(0),
        })
    }

    /// From now on, its replicas get nothing of what is written to it, and cannot connect again. What they have stays.
    pub async fn hold_back_replicas(&self) -> Result<()> {
        self.command(&["ACL", "SETUSER", "default", "-psync", "-sync"]).await?;
        let held_back: u64 = self.ask(&["CLIENT", "KILL", "TYPE", "replica"]).await?;
        ensure!(held_back > 0, "it has no replica");
        Ok(())
    }

    /// How often it has run a command since its start, also within scripts. `INFO` names commands in lower case.
    pub async fn calls(&self, command: &str) -> Result<u64> {
        let info: String = ::redis::cmd("INFO").arg("commandstats").query_async(&mut self.connection().await?).await?;
        let prefix = format!("cmdstat_{command}:calls=");
        let calls = info.lines().find_map(|line| line.strip_prefix(&prefix)?.split(',').next());
        Ok(calls.map_or(Ok(0), str::parse)?)
    }

    async fn ping(&self) -> Result<()> {
        Ok(::redis::cmd("PING").query_async(&mut self.connection().await?).await?)
    }
}

impl Deref for Redis {
    type Target = ChildServer;

    fn deref(&self) -> &ChildServer {
        &self.server
    }
}

impl DerefMut for Redis {
    fn deref_mut(&mut self) -> &mut ChildServer {
        &mut self.server
    }
}
