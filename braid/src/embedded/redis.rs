//! A Redis as a child of this process, with its files in the data folder.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::child::{Server, tail};
use super::lock::lock;
use super::port::free_port;

/// The program, unless the variable `BRAID_REDIS_SERVER` names another one.
const PROGRAM: &str = "redis-server";
const PROGRAM_VARIABLE: &str = "BRAID_REDIS_SERVER";
/// How long Redis may take to load its files.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long Redis may take to write its files when it stops.
const STOP_WITHIN: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// How many ports are tried: another process may take a free port before Redis does.
const PORTS_TRIED_MAX: usize = 5;
const LOG: &str = "redis.log";

/// A running Redis. It is killed when this is dropped.
pub struct EmbeddedRedis {
    server: Server,
    url: String,
}

impl EmbeddedRedis {
    /// Starts a Redis on a free loopback port, with its files in `folder`, and waits until it answers.
    ///
    /// # Errors
    /// If `redis-server` is not installed or does not start, or another process uses the folder.
    pub async fn start(folder: &Path) -> Result<EmbeddedRedis> {
        let lock = lock(folder).await?;
        for _ in 0..PORTS_TRIED_MAX {
            let port = free_port()?;
            let started = Server::start(PROGRAM, command(folder, port), lock.try_clone()?).await;
            let server = started.map_err(not_started)?;
            let mut redis = EmbeddedRedis { server, url: format!("redis://127.0.0.1:{port}") };
            match redis.wait_until_it_answers(folder).await? {
                Started::Answers => return Ok(redis),
                Started::PortTaken => tracing::debug!(port, "another process took the port, taking the next one"),
            }
        }
        bail!("found no free port for redis-server in {PORTS_TRIED_MAX} tries")
    }

    /// The server's address, `redis://host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until the server ends by itself.
    ///
    /// # Errors
    /// If the operating system cannot tell.
    pub async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.server.ended().await
    }

    /// Stops the server: it writes its files, and is killed if that takes too long.
    pub async fn stop(self) {
        self.server.stop(STOP_WITHIN).await;
    }

    async fn wait_until_it_answers(&mut self, folder: &Path) -> Result<Started> {
        let client = redis::Client::open(self.url.as_str())?;
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let why_not = match ping(&client).await {
                Ok(()) => return Ok(Started::Answers),
                Err(error) => error,
            };
            if let Some(status) = self.server.has_ended()? {
                let log = tail(&folder.join(LOG));
                if log.contains("Address already in use") {
                    return Ok(Started::PortTaken);
                }
                bail!("redis-server ended ({status}) at its start; its log, {}:\n{log}", folder.join(LOG).display());
            }
            if Instant::now() >= deadline {
                let within_s = START_WITHIN.as_secs();
                return Err(why_not.context(format!("redis-server at {} did not answer within {within_s} s", self.url)));
            }
            sleep(POLL_EVERY).await;
        }
    }
}

enum Started {
    Answers,
    PortTaken,
}

fn command(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(program());
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--daemonize", "no", "--logfile", LOG]);
    command.args(["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--dir"]).arg(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn program() -> OsString {
    std::env::var_os(PROGRAM_VARIABLE).unwrap_or_else(|| PROGRAM.into())
}

fn not_started(error: std::io::Error) -> anyhow::Error {
    let program = PathBuf::from(program());
    if error.kind() == ErrorKind::NotFound {
        return anyhow!(
            "{} is not installed: install it (Debian and Ubuntu: `apt install redis-server`; Fedora and Alpine: package \
             `redis`; macOS: `brew install redis`), or name a Redis with --redis URL",
            program.display()
        );
    }
    anyhow::Error::new(error).context(format!("cannot start {}", program.display()))
}

async fn ping(client: &redis::Client) -> Result<()> {
    let mut connection = client.get_multiplexed_async_connection().await?;
    // While Redis loads its files, it answers with an error.
    let answer: String = redis::cmd("PING").query_async(&mut connection).await?;
    if answer == "PONG" { Ok(()) } else { bail!("it answers {answer:?}") }
}
