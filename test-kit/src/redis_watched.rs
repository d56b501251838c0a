//! A Redis with two replicas and three sentinels of a test's own, on 127.0.0.1.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::child_server::ChildServer;
use crate::redis::Redis;
use crate::wait::{DEADLINE, Progress, wait_for};

/// What the sentinels call the primary.
const SERVICE: &str = "main";
const REPLICAS: usize = 2;
const SENTINELS: usize = 3;
/// How long a server may be silent before they replace it. A replica may have been without its primary for ten times as long.
const DOWN_AFTER_MS: u64 = 2_000;
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Servers, numbered from 0, the first of which is the primary at the start, and those that watch them. Dropping it kills them. They keep
/// nothing.
pub struct WatchedRedis {
    servers: Vec<Redis>,
    sentinels: Vec<ChildServer>,
    /// The folder, if it is to be removed together with this; declared last, so that the processes end before.
    _temporary: Option<TempDir>,
}

impl WatchedRedis {
    /// Starts empty servers in a temporary folder.
    pub async fn start() -> Result<WatchedRedis> {
        let temporary = tempfile::tempdir()?;
        let mut watched = WatchedRedis::start_in(temporary.path()).await?;
        watched._temporary = Some(temporary);
        Ok(watched)
    }

    /// Starts empty servers whose files lie in `folder`.
    pub async fn start_in(folder: &Path) -> Result<WatchedRedis> {
        let mut servers = Vec::new();
        for number in 0..=REPLICAS {
            let own = folder.join(format!("server-{number}"));
            servers.push(Redis::node_in(Some(&own), &["--repl-diskless-sync-delay", "0"]).await?);
        }
        let port = servers[0].port().to_string();
        for replica in &servers[1..] {
            replica.command(&["REPLICAOF", "127.0.0.1", &port]).await?;
        }
        let mut watched = WatchedRedis { servers, sentinels: Vec::new(), _temporary: None };
        watched.in_step(0).await?;
        for number in 0..SENTINELS {
            watched.sentinels.push(sentinel(folder.join(format!("sentinel-{number}")), &port)?);
        }
        wait_for("the sentinels to know each other and the replicas", DEADLINE, async || {
            for sentinel in &watched.sentinels {
                let seen = match watched.asked(sentinel).await {
                    Ok(seen) => seen,
                    Err(error) => return Ok(Progress::NotYet(error.to_string())),
                };
                let is = |name: &str, number: usize| {
                    seen.chunks(2).any(|pair| pair[0] == name && pair[1] == number.to_string())
                };
                if !is("num-slaves", REPLICAS) || !is("num-other-sentinels", SENTINELS - 1) {
                    return Ok(Progress::NotYet(format!("{seen:?}")));
                }
            }
            Ok(Progress::Done(()))
        })
        .await?;
        Ok(watched)
    }

    /// `redis+sentinel://…`
    pub fn url(&self) -> String {
        let sentinels: Vec<String> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port())).collect();
        format!("redis+sentinel://{}/{SERVICE}", sentinels.join(","))
    }

    /// One of the servers.
    pub fn server(&self, number: usize) -> &Redis {
        &self.servers[number]
    }

    /// One of the servers, to be killed or restarted.
    pub fn server_mut(&mut self, number: usize) -> &mut Redis {
        &mut self.servers[number]
    }

    /// The server that all sentinels call the primary; `None` where they do not agree.
    pub async fn primary(&self) -> Result<Option<usize>> {
        let mut named = None;
        for sentinel in &self.sentinels {
            let seen = self.asked(sentinel).await?;
            let port = seen.chunks(2).find(|pair| pair[0] == "port").map(|pair| pair[1].clone());
            if named.is_some() && named != port {
                return Ok(None);
            }
            named = port;
        }
        let named = named.context("there are no sentinels")?;
        Ok(self.servers.iter().position(|server| server.port().to_string() == named))
    }

    /// Waits until the sentinels have made another server the primary. Returns its number.
    pub async fn replaced(&self, lost: usize) -> Result<usize> {
        wait_for(&format!("another primary instead of server {lost}"), DEADLINE, async || {
            let primary = self.primary().await?.filter(|primary| *primary != lost);
            let Some(primary) = primary else { return Ok(Progress::NotYet("the sentinels name it".to_owned())) };
            let replication = self.servers[primary].replication().await?;
            Ok(match replication.is_primary {
                true => Progress::Done(primary),
                false => Progress::NotYet(format!("{replication:?}")),
            })
        })
        .await
    }

    /// Waits until every other server that runs is a replica of this primary, and has what was written to it by now.
    pub async fn in_step(&self, primary: usize) -> Result<()> {
        let (port, written) = (self.servers[primary].port(), self.servers[primary].replication().await?.has);
        wait_for("replicas in step", DEADLINE, async || {
            for (number, server) in self.servers.iter().enumerate() {
                if number == primary || server.id().is_err() {
                    continue;
                }
                let replication = server.replication().await?;
                if !replication.is_in_step(port, written) {
                    return Ok(Progress::NotYet(format!("server {number}: {replication:?}")));
                }
            }
            Ok(Progress::Done(()))
        })
        .await
    }

    /// What a sentinel says of the primary: names, and values after them.
    async fn asked(&self, sentinel: &ChildServer) -> Result<Vec<String>> {
        let url = format!("redis://127.0.0.1:{}", sentinel.port());
        let mut connection: MultiplexedConnection =
            ::redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        Ok(::redis::cmd("SENTINEL").arg("MASTER").arg(SERVICE).query_async(&mut connection).await?)
    }
}

/// Starts a sentinel that watches the primary with that port. It writes what it learns into its file.
fn sentinel(folder: PathBuf, primary: &str) -> Result<ChildServer> {
    let mut sentinel = ChildServer::new("sentinel", Some(&folder), STOP_WITHIN)?;
    let file = folder.join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\nsentinel failover-timeout {SERVICE} 6000\n",
        port = sentinel.port(),
        folder = folder.display(),
    );
    std::fs::write(&file, text)?;
    let mut command = Command::new("redis-server");
    command.arg(&file).arg("--sentinel");
    let process = sentinel.launch(command)?;
    if let Some(status) = process.ended()? {
        bail!("a sentinel ended at its start ({status}): {}", process.output()?);
    }
    Ok(sentinel)
}
