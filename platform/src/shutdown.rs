//! An ordered, bounded stop.
//!
//! The first SIGTERM or SIGINT asks all parts of a process to stop: reading ends, buffers are flushed and committed, servers
//! close, each within its own deadline. A second signal ends the process at once. Nothing is lost either way, because
//! progress is written together with the data; an ordered stop only saves the next start some repeated reading.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// The exit code after a second signal, as shells report an interrupted command.
const EXIT_INTERRUPTED: i32 = 130;

/// The stop signal of a process, and the tasks that a stop waits for. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
    running: Arc<Mutex<BTreeMap<u64, String>>>,
}

/// The deadline passed before all parts had stopped.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not stopped within {within:?}: {}", waiting_for.join(", "))]
pub struct DeadlineExceeded {
    /// The deadline's length.
    pub within: Duration,
    /// What had not stopped.
    pub waiting_for: Vec<String>,
}

impl Shutdown {
    /// A stop that only [`Shutdown::begin`] requests, not a signal.
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// A stop that SIGTERM and SIGINT request as well. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the operating system refuses the signal handlers.
    pub fn on_signals() -> std::io::Result<Shutdown> {
        let shutdown = Shutdown::new();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if stop.is_requested() {
                    warn!(signal = name, "second signal: exiting at once");
                    std::process::exit(EXIT_INTERRUPTED);
                }
                stop.begin(name);
            }
        });
        Ok(shutdown)
    }

    /// Requests the stop; `reason` is logged. Repeating it changes nothing.
    pub fn begin(&self, reason: &str) {
        if !self.is_requested() {
            info!(reason, waiting_for = ?self.waiting_for(), "stopping");
            self.token.cancel();
        }
    }

    /// Whether the stop was requested.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Resolves when the stop is requested.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// The token, for libraries that take one, such as a server's graceful shutdown.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a task that [`Shutdown::finish`] waits for; `name` tells an operator what is still running.
    pub fn spawn<F>(&self, name: impl Into<String>, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let running = Running::enter(&self.running, name.into());
        self.tracker.spawn(async move {
            let _running = running;
            task.await
        })
    }

    /// The names of the tasks that have not ended.
    pub fn waiting_for(&self) -> Vec<String> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Requests the stop and waits until all tasks have ended.
    ///
    /// # Errors
    ///
    /// [`DeadlineExceeded`] with the names of the tasks that have not ended after `within`; they continue to run.
    pub async fn finish(&self, within: Duration) -> Result<(), DeadlineExceeded> {
        self.begin("finished");
        self.tracker.close();
        match tokio::time::timeout(within, self.tracker.wait()).await {
            Ok(()) => Ok(()),
            Err(_) => {
                let waiting_for = self.waiting_for();
                warn!(?waiting_for, within_ms = within.as_millis(), "not stopped in time");
                Err(DeadlineExceeded { within, waiting_for })
            }
        }
    }
}

/// Runs `future` to its end; once the stop is requested, it has `deadline` left.
///
/// The future itself listens to `shutdown` and ends in its own order. This only bounds how long that may take.
///
/// # Errors
///
/// [`DeadlineExceeded`], naming `what`, if it did not end in time. The future is dropped then.
pub async fn run_until<F: Future>(
    shutdown: &Shutdown,
    what: &str,
    deadline: Duration,
    future: F,
) -> Result<F::Output, DeadlineExceeded> {
    let too_late = async {
        shutdown.requested().await;
        tokio::time::sleep(deadline).await;
    };
    tokio::select! {
        biased;
        output = future => Ok(output),
        () = too_late => {
            warn!(waiting_for = what, within_ms = deadline.as_millis(), "not stopped in time");
            Err(DeadlineExceeded { within: deadline, waiting_for: vec![what.to_owned()] })
        }
    }
}

/// An entry in the list of running tasks. It is removed however the task ends.
struct Running {
    list: Arc<Mutex<BTreeMap<u64, String>>>,
    id: u64,
}

impl Running {
    fn enter(list: &Arc<Mutex<BTreeMap<u64, String>>>, name: String) -> Running {
        let mut entries = list.lock().unwrap_or_else(PoisonError::into_inner);
        let id = entries.last_key_value().map_or(0, |(id, _)| id + 1);
        entries.insert(id, name);
        drop(entries);
        Running { list: Arc::clone(list), id }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_every_task_and_names_the_slow_one() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        let task = shutdown.spawn("quick", async move { token.cancelled().await });
        shutdown.spawn("slow", std::future::pending::<()>());
        assert_eq!(shutdown.waiting_for(), ["quick", "slow"]);
        let late = shutdown.finish(Duration::from_millis(20)).await.expect_err("slow never ends");
        assert_eq!(late.waiting_for, ["slow"]);
        assert_eq!(late.to_string(), "not stopped within 20ms: slow");
        task.await.expect("quick has ended");
    }

    #[tokio::test]
    async fn a_task_that_panics_is_not_waited_for() {
        let shutdown = Shutdown::new();
        shutdown.spawn("broken", async { panic!("on purpose") });
        shutdown.finish(Duration::from_secs(5)).await.expect("nothing runs");
    }

    #[tokio::test]
    async fn the_deadline_counts_from_the_request_only() {
        let shutdown = Shutdown::new();
        let done = run_until(&shutdown, "work", Duration::ZERO, async { 7 }).await;
        assert_eq!(done, Ok(7));
        shutdown.begin("test");
        let late = run_until(&shutdown, "work", Duration::from_millis(5), std::future::pending::<()>()).await;
        assert_eq!(late.expect_err("too late").waiting_for, ["work"]);
    }
}
