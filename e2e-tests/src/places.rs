//! How many scenarios run at once.
//!
//! A short scenario mostly waits: for a process to start, for a group to settle, for a deadline to pass. So two of them share a
//! processor: each takes one *place* of two per processor. A busy scenario takes two places, because events flow all the time and
//! its layers and the broker keep a processor busy, or because it has to be done within a time that neighbours could use up.
//! `make test` starts as many tests as there are places (`TEST_THREADS`).

use std::sync::LazyLock;

use tokio::sync::{Semaphore, SemaphorePermit};

const PER_PROCESSOR: u32 = 2;

static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(processors * PER_PROCESSOR as usize)
});

/// How many places a scenario takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Places {
    /// It mostly waits.
    One,
    /// It needs a processor to itself.
    Two,
}

impl Places {
    /// Waits until so many places are free. Scenarios are served in the order in which they ask. Dropping the permit frees the
    /// places.
    pub(crate) async fn take(self) -> SemaphorePermit<'static> {
        let count = match self {
            Places::One => 1,
            Places::Two => PER_PROCESSOR,
        };
        PLACES.acquire_many(count).await.expect("the semaphore is never closed")
    }
}
