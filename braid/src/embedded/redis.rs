//! A Redis as a child of this process.
//!
//! The child leads its own process group, so that ctrl-c in a terminal reaches only us, and we stop the child last. If we are
//! killed, the kernel kills the child: Linux ties that to the *thread* that started it, so a thread that lasts as long as the
//! child starts it.
//!
//! Its files lie in the data folder. A second Redis on the same files would destroy them, so we lock them. The child inherits
//! the lock as its standard input, so the lock lasts as long as either process.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

/// The program, unless the variable `BRAID_REDIS_SERVER` names another one.
const PROGRAM: &str = "redis-server";
const PROGRAM_VARIABLE: &str = "BRAID_REDIS_SERVER";
/// How long the Redis of a process that was just killed may hold the lock.
const LOCK_WITHIN: Duration = Duration::from_secs(10);
/// How long Redis may take to load its files.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long Redis may take to write its files when it stops.
const STOP_WITHIN: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// How many ports are tried: another process may take a free port before Redis does.
const PORTS_TRIED_MAX: usize = 5;

/// A running Redis. It is killed when this is dropped.
pub struct EmbeddedRedis {
    child: Child,
    url: String,
    /// Keeps the thread alive that started the child.
    _thread: oneshot::Sender<()>,
}

impl EmbeddedRedis {
    /// Starts a Redis on a free loopback port, with its files in `folder`, and waits until it answers.
    ///
    /// # Errors
    /// If `redis-server` is not installed or does not start, or another process uses the folder.
    pub async fn start(folder: &Path) -> Result<EmbeddedRedis> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let lock = lock(folder).await?;
        for _ in 0..PORTS_TRIED_MAX {
            let port = free_port()?;
            let mut redis = spawn(folder, port, lock.try_clone()?).await?;
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
        self.child.wait().await
    }

    /// Stops the server: it writes its files, and is killed if that takes too long.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // An error means that it has already ended.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(STOP_WITHIN, self.child.wait()).await.is_err() {
            tracing::warn!(within_s = STOP_WITHIN.as_secs(), "redis-server did not stop in time, killing it");
            let _ = self.child.kill().await;
        }
    }

    async fn wait_until_it_answers(&mut self, folder: &Path) -> Result<Started> {
        let client = redis::Client::open(self.url.as_str())?;
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let why_not = match ping(&client).await {
                Ok(()) => return Ok(Started::Answers),
                Err(error) => error,
            };
            if let Some(status) = self.child.try_wait()? {
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

const LOG: &str = "redis.log";

/// Waits for the lock on the folder.
async fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let deadline = Instant::now() + LOCK_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error).context(format!("cannot lock {}", path.display())),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(POLL_EVERY).await,
            Err(TryLockError::WouldBlock) => bail!(
                "another `braid up` uses {}: stop it, or name another folder with --data",
                folder.parent().unwrap_or(folder).display()
            ),
        }
    }
}

/// Starts the child from its own thread.
async fn spawn(folder: &Path, port: u16, lock: File) -> Result<EmbeddedRedis> {
    let mut command = command(folder, port, lock);
    let (started, child) = oneshot::channel();
    let (keep, lasting) = oneshot::channel::<()>();
    let runtime = Handle::current();
    let work = move || {
        let _runtime = runtime.enter();
        if started.send(command.spawn()).is_ok() {
            // Returns when `EmbeddedRedis` is dropped.
            let _ = lasting.blocking_recv();
        }
    };
    std::thread::Builder::new()
        .name("redis".to_owned())
        .spawn(work)
        .context("cannot start a thread for redis-server")?;
    let child = child.await.context("the thread that starts redis-server ended")?.map_err(not_started)?;
    Ok(EmbeddedRedis { child, url: format!("redis://127.0.0.1:{port}"), _thread: keep })
}

fn command(folder: &Path, port: u16, lock: File) -> Command {
    let mut command = Command::new(program());
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--daemonize", "no", "--logfile", LOG]);
    command.args(["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--dir"]).arg(folder);
    command.stdin(lock).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
    #[cfg(target_os = "linux")]
    {
        let parent = rustix::process::getpid();
        let die_with_parent = move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // If the parent was killed before this line, no signal will come, so the child must not start.
            if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(ErrorKind::BrokenPipe.into()) }
        };
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; these are two system calls, and nothing
        // is allocated.
        unsafe { command.pre_exec(die_with_parent) };
    }
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

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("found no free port for redis-server")?;
    Ok(listener.local_addr()?.port())
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
