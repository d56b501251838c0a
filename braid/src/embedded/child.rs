//! A server as a child of this process.
//!
//! The child leads its own process group, so that ctrl-c in a terminal reaches only us, and we stop the child last. If we are
//! killed, the kernel kills the child: Linux ties that to the *thread* that started it, so a thread that lasts as long as the
//! child starts it.

use std::fs::File;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A running server. It is killed when this is dropped.
pub(super) struct Server {
    name: &'static str,
    child: Child,
    /// Keeps the thread alive that started the child.
    _thread: oneshot::Sender<()>,
}

impl Server {
    /// Starts the command. The child inherits the lock as its standard input, so that the lock lasts as long as either process.
    ///
    /// # Errors
    /// The operating system's, such as that there is no such program.
    pub(super) async fn start(name: &'static str, mut command: Command, lock: File) -> std::io::Result<Server> {
        command.stdin(lock).process_group(0).kill_on_drop(true);
        die_with_this_process(&mut command);
        let (started, child) = oneshot::channel();
        let (keep, lasting) = oneshot::channel::<()>();
        let runtime = Handle::current();
        let work = move || {
            let _runtime = runtime.enter();
            if started.send(command.spawn()).is_ok() {
                // Returns when `Server` is dropped.
                let _ = lasting.blocking_recv();
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        let child = child.await.map_err(std::io::Error::other)??;
        Ok(Server { name, child, _thread: keep })
    }

    /// How the server ended, if it has.
    ///
    /// # Errors
    /// If the operating system cannot tell.
    pub(super) fn has_ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until the server ends by itself. May be cancelled.
    ///
    /// # Errors
    /// If the operating system cannot tell.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks the server to stop, and kills it if that takes longer than `within`.
    pub(super) async fn stop(mut self, within: Duration) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // An error means that it has already ended.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(within, self.child.wait()).await.is_err() {
            tracing::warn!(within_s = within.as_secs(), "{} did not stop in time, killing it", self.name);
            self.kill().await;
        }
    }

    /// Kills the server and waits until it is gone.
    pub(super) async fn kill(mut self) {
        // An error means that it has already ended.
        let _ = self.child.kill().await;
    }
}

#[cfg(target_os = "linux")]
fn die_with_this_process(command: &mut Command) {
    let parent = rustix::process::getpid();
    let die_with_parent = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // If the parent was killed before this line, no signal will come, so the child must not start.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; these are two system calls, and nothing is
    // allocated.
    unsafe { command.pre_exec(die_with_parent) };
}

/// Elsewhere the child survives if this process is killed. The next start waits for its lock, and names the folder.
#[cfg(not(target_os = "linux"))]
fn die_with_this_process(_command: &mut Command) {}

/// The last lines of a server's log.
pub(super) fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
