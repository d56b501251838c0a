//! How many scenarios run at once.
//!
//! A short scenario mostly waits: for a process to start, for a group to settle, for a deadline to pass. So two of them share a
//! processor: each takes one *place* of two per processor. A busy scenario takes two places, because events flow all the time and
//! its layers and the broker keep a processor busy, or because it has to be done within a time that neighbours could use up.
//!
//! A scenario that waits long for nothing but time goes [away](Held::without): others have its places meanwhile. Its processes stay in memory,
//! so only [`MOST_AWAY`] are away at once, and no more scenarios than places and these are under way. Whoever comes back waits
//! until places are free, as everybody does, but of those that have not begun only one is served before.
//! `make test` starts as many tests as there are places, and as many more as may be away (`TEST_THREADS`).

use std::cell::Cell;
use std::sync::LazyLock;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

const PER_PROCESSOR: u32 = 2;
const MOST_AWAY: usize = 2;

static HALL: LazyLock<Hall> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Hall::new(processors * PER_PROCESSOR as usize)
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
    /// Waits until so many places are free. Scenarios are served in the order in which they ask.
    pub(crate) async fn take(self) -> Held<'static> {
        let count = match self {
            Places::One => 1,
            Places::Two => PER_PROCESSOR,
        };
        HALL.take(count).await
    }
}

/// All places.
struct Hall {
    places: Semaphore,
    /// Those that have not begun come in one at a time, so that only one of them waits before one who comes back.
    door: Mutex<()>,
    /// How many more may go away.
    may_go: Semaphore,
}

impl Hall {
    fn new(places: usize) -> Hall {
        Hall { places: Semaphore::new(places), door: Mutex::new(()), may_go: Semaphore::new(MOST_AWAY) }
    }

    async fn take(&self, count: u32) -> Held<'_> {
        let _next = self.door.lock().await;
        Held { hall: self, count, places: Cell::new(Some(self.free(count).await)) }
    }

    async fn free(&self, count: u32) -> SemaphorePermit<'_> {
        self.places.acquire_many(count).await.expect("the semaphore is never closed")
    }
}

/// The places that a scenario has. Dropping them frees them.
pub(crate) struct Held<'a> {
    hall: &'a Hall,
    count: u32,
    /// Nothing while it is away.
    places: Cell<Option<SemaphorePermit<'a>>>,
}

impl Held<'_> {
    /// Waits while others have these places, and then for as many to be free. Keeps them all the time if enough scenarios are away already,
    /// and has none to give if it is away itself. If this is dropped before its end, the scenario goes on without any.
    pub(crate) async fn without<T>(&self, wait: impl Future<Output = T>) -> T {
        // Whoever waits for places has none, so those who have some never wait for it: each gets its own in the end.
        let Ok(_away) = self.hall.may_go.try_acquire() else { return wait.await };
        let Some(places) = self.places.take() else { return wait.await };
        drop(places);
        let waited = wait.await;
        self.places.set(Some(self.hall.free(self.count).await));
        waited
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::{FutureExt, poll};
    use tokio::sync::oneshot;

    use super::*;

    /// Whether so many places are free now, and nobody waits for them.
    fn are_free(hall: &Hall, count: u32) -> bool {
        hall.take(count).now_or_never().is_some()
    }

    #[tokio::test]
    async fn others_have_the_places_of_one_that_is_away() {
        let hall = Hall::new(2);
        let busy = hall.take(2).await;
        assert!(!are_free(&hall, 1));
        let waited = busy.without(async { are_free(&hall, 2) }).await;
        assert!(waited, "nobody else could run");
        assert!(!are_free(&hall, 1), "it goes on without its places");
        drop(busy);
        assert!(are_free(&hall, 2));
    }

    #[tokio::test]
    async fn who_comes_back_waits_for_places_and_at_most_for_one_that_has_not_begun() {
        let hall = Hall::new(1);
        let returns = hall.take(1).await;
        let (over, until_over) = oneshot::channel::<()>();
        let mut returning = Box::pin(returns.without(until_over));
        assert!(poll!(returning.as_mut()).is_pending());
        let first = hall.take(1).await;
        let mut second = pin!(hall.take(1));
        let mut third = pin!(hall.take(1));
        assert!(poll!(second.as_mut()).is_pending());
        assert!(poll!(third.as_mut()).is_pending());
        over.send(()).expect("it is awaited");
        assert!(poll!(returning.as_mut()).is_pending(), "there is one place, and the first has it");

        drop(first);
        assert!(poll!(returning.as_mut()).is_pending(), "the second has waited for longer");
        let second = second.now_or_never().expect("it is next");
        assert!(poll!(third.as_mut()).is_pending());
        drop(second);
        assert!(poll!(third.as_mut()).is_pending(), "it has not begun");
        assert!(poll!(returning.as_mut()).is_ready());
        assert!(poll!(third.as_mut()).is_pending());
        drop(returning);
        drop(returns);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_away_at_once() {
        let hall = Hall::new(3);
        let (first, second, third) = (hall.take(1).await, hall.take(1).await, hall.take(1).await);
        let third_waits = third.without(async { (are_free(&hall, 2), are_free(&hall, 3)) });
        let (two, three) = first.without(second.without(third_waits)).await;
        assert!(two, "two are away");
        assert!(!three, "a third one is away, too");
        // Once they are back, others may go.
        assert!(third.without(async { are_free(&hall, 1) }).await);
    }

    #[tokio::test]
    async fn one_that_is_away_has_nothing_more_to_give() {
        let hall = Hall::new(2);
        let busy = hall.take(2).await;
        let again = busy.without(async { are_free(&hall, 2) });
        let then = busy.without(async { (again.await, are_free(&hall, 2)) }).await;
        assert_eq!(then, (true, true), "it has taken places while it was away");
        assert!(!are_free(&hall, 1));
    }

    #[tokio::test]
    async fn one_that_waits_no_longer_leaves_nothing_behind() {
        let hall = Hall::new(2);
        for _ in 0..=MOST_AWAY {
            let busy = hall.take(2).await;
            assert!(busy.without(std::future::pending::<()>()).now_or_never().is_none());
            assert!(are_free(&hall, 2));
        }
        let busy = hall.take(2).await;
        assert!(busy.without(async { are_free(&hall, 2) }).await, "those that are gone count as away");
    }
}
