//! A `redis-server` of the scenario's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::ports::free_port;
use crate::process::Process;
use crate::wait::{DEADLINE, Look, wait_for};

const STOP_DEADLINE: Duration = Duration::from_secs(30);

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

/// A Redis that keeps its folder and port over restarts.
pub struct Redis {
    dir: PathBuf,
    port: u16,
    durability: Durability,
    process: Option<Process>,
}

impl Redis {
    /// Starts an empty Redis whose data lies in `dir`.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(dir: &Path, durability: Durability) -> Result<Redis> {
        std::fs::create_dir_all(dir)?;
        let mut redis = Redis { dir: dir.to_owned(), port: free_port()?, durability, process: None };
        redis.restart().await?;
        Ok(redis)
    }

    /// `redis://…`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Freezes it: nobody is answered, and no connection is closed.
    ///
    /// # Errors
    /// If it does not run.
    pub fn suspend(&self) -> Result<()> {
        self.process.as_ref().context("it does not run")?.suspend()
    }

    /// Thaws it.
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&self) -> Result<()> {
        self.process.as_ref().context("it does not run")?.resume()
    }

    /// Stops in good order.
    ///
    /// # Errors
    /// If it does not stop before its deadline.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.terminate()?;
            process.end(STOP_DEADLINE).await?;
        }
        Ok(())
    }

    /// Starts again on what its folder holds; kills first what still runs.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""]);
        command.args(["--maxmemory-policy", "noeviction", "--dir"]).arg(&self.dir);
        match self.durability {
            Durability::None => command.args(["--appendonly", "no"]),
            Durability::EveryWrite => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
            Durability::EverySecond => command.args(["--appendonly", "yes", "--appendfsync", "everysec"]),
        };
        self.process = Some(Process::start("redis", command, &self.dir.join("redis.out"))?);
        wait_for("Redis to answer", DEADLINE, async || match self.ping().await {
            Ok(()) => Ok(Look::Done(())),
            Err(error) => Ok(Look::NotYet(error.to_string())),
        })
        .await
    }

    /// A connection, for faults that only a client can cause (`FLUSHALL`, `CONFIG SET maxmemory`).
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn connection(&self) -> Result<redis::aio::MultiplexedConnection> {
        Ok(redis::Client::open(self.url())?.get_multiplexed_async_connection().await?)
    }

    async fn ping(&self) -> Result<()> {
        Ok(redis::cmd("PING").query_async(&mut self.connection().await?).await?)
    }
}
