//! Tasks: waiting for them, running several that stand and fall together, and waiting between retries.
//!
//! A panic in a task is a mistake in the program. It is resumed in the code that waits for the task, so that the process does
//! not continue without the task.

use std::panic::resume_unwind;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock;

/// How many times its first length a wait may become.
const CEILING: u32 = 32;

/// The output of a task that has ended, as a `JoinSet` returns it; resumes a panic of the task.
pub fn joined<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|failed| resume_unwind(failed.into_panic()))
}

/// Waits for a task and returns its output; resumes a panic of the task. The task must not be aborted.
pub async fn join<T>(task: JoinHandle<T>) -> T {
    joined(task.await)
}

/// Runs work that computes or blocks for long on a thread of tokio's blocking pool, and returns its output; resumes a panic
/// of the work.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    join(tokio::task::spawn_blocking(work)).await
}

/// Waits until all tasks have ended. When one fails, `report` gets its error and `stop` is cancelled; the other tasks listen
/// to `stop`, so that they end as well.
///
/// # Errors
///
/// The first failure.
pub async fn supervise<E: 'static>(
    mut tasks: JoinSet<Result<(), E>>,
    stop: &CancellationToken,
    report: impl Fn(&E),
) -> Result<(), E> {
    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = joined(ended);
        if let Err(error) = &ended {
            report(error);
            stop.cancel();
        }
        outcome = outcome.and(ended);
    }
    outcome
}

/// The waits between retries: each is twice as long as the one before.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Waits that begin with `first` and are doubled up to 32 times that.
    pub fn new(first: Duration) -> Backoff {
        Backoff { first, next: first, longest: first.saturating_mul(CEILING) }
    }

    /// Waits that are doubled without an upper limit, for a caller who limits the number of retries.
    pub fn unlimited(first: Duration) -> Backoff {
        Backoff { first, next: first, longest: Duration::MAX }
    }

    /// How long to wait now.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.longest);
        wait
    }

    /// How long to wait now where others may do the same: between half of [`Backoff::wait`] and all of it, so that two that came at the same
    /// moment do not try again at the same one.
    pub fn wait_apart(&mut self) -> Duration {
        jittered(self.wait(), clock::now_us())
    }

    /// Begins with the first wait again, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Attempts at something that fails if others come first, such as a commit, and the waits between them.
#[derive(Debug, Clone)]
pub struct Attempts {
    left: u32,
    backoff: Backoff,
}

impl Attempts {
    /// At most so many, one of which is under way. The waits begin with `first_wait` and are doubled up to 32 times that.
    pub fn new(most: u32, first_wait: Duration) -> Attempts {
        Attempts { left: most.saturating_sub(1), backoff: Backoff::new(first_wait) }
    }

    /// How long to wait before the next one, as [`Backoff::wait_apart`] says; `None` if there is none left.
    pub fn wait(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        Some(self.backoff.wait_apart())
    }
}

/// Between half of a wait and all of it. The clock serves as jitter.
fn jittered(wait: Duration, now_us: i64) -> Duration {
    let half = wait / 2;
    let parts = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
    half + Duration::from_micros(now_us.unsigned_abs() % parts)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn waits_double_up_to_a_ceiling_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100));
        let waits: Vec<u128> = (0..8).map(|_| backoff.wait().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 3_200, 3_200]);
        backoff.reset();
        assert_eq!(backoff.wait().as_millis(), 100);
        let mut unlimited = Backoff::unlimited(Duration::from_millis(100));
        assert_eq!((0..8).map(|_| unlimited.wait().as_millis()).last(), Some(12_800));
    }

    #[test]
    fn waits_of_several_are_bounded_and_differ() {
        let wait = Duration::from_millis(10);
        assert_eq!(jittered(wait, 0), wait / 2);
        assert_eq!(jittered(wait, 1), wait / 2 + Duration::from_micros(1));
        assert_eq!(jittered(wait, 5_000), wait);
        assert!((0..20_000).all(|now_us| (wait / 2..=wait).contains(&jittered(wait, now_us))));
    }

    #[test]
    fn who_tries_again_waits_longer_each_time_and_not_for_ever() {
        let first = Duration::from_millis(10);
        let mut attempts = Attempts::new(8, first);
        for times in [1, 2, 4, 8, 16, 32, 32] {
            let wait = attempts.wait().expect("one is left");
            assert!((first * times / 2..=first * times).contains(&wait), "{wait:?} of {times}");
        }
        assert_eq!((attempts.wait(), attempts.wait()), (None, None));
        assert_eq!(Attempts::new(1, first).wait(), None);
        assert_eq!(Attempts::new(0, first).wait(), None);
    }

    #[tokio::test]
    async fn the_first_failure_stops_the_other_tasks_and_is_returned() {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let token = stop.clone();
        tasks.spawn(async move {
            token.cancelled().await;
            Err("stopped, and failed while stopping".to_owned())
        });
        tasks.spawn(async { Ok(()) });
        tasks.spawn(async { Err("broken".to_owned()) });
        let reported = Mutex::new(Vec::new());
        let outcome = supervise(tasks, &stop, |error| reported.lock().expect("not poisoned").push(error.clone())).await;
        assert_eq!(outcome, Err("broken".to_owned()));
        assert!(stop.is_cancelled());
        assert_eq!(*reported.lock().expect("not poisoned"), ["broken", "stopped, and failed while stopping"]);
    }

    #[tokio::test]
    async fn without_a_failure_nothing_is_stopped() {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(async { Ok::<_, String>(()) });
        assert_eq!(supervise(tasks, &stop, |error| panic!("{error}")).await, Ok(()));
        assert!(!stop.is_cancelled());
    }

    #[tokio::test]
    #[should_panic(expected = "on purpose")]
    async fn a_panic_is_resumed_in_the_code_that_waits() {
        blocking(|| panic!("on purpose")).await
    }
}
