//! How many clients watch at the same time, and when all of them end.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The clients that watch, of streams and of answers. Each has a connection, and other requests need some, too.
pub(crate) struct Watchers {
    places: Arc<Semaphore>,
    most: usize,
    stop: watch::Sender<bool>,
}

/// A client's place among all that watch.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Watchers {
    /// At most so many.
    pub(crate) fn new(most: usize) -> Watchers {
        Watchers { places: Arc::new(Semaphore::new(most)), most, stop: watch::Sender::new(false) }
    }

    /// How many may watch.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// A place for one more; `None` if all are taken.
    pub(crate) fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        metrics::gauge!("braid_serving_watchers").increment(1.0);
        Some(Place { _permit: permit })
    }

    /// Ends every watch.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Becomes true once the process stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("braid_serving_watchers").decrement(1.0);
    }
}

/// Returns once the process stops.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    if stopping.wait_for(|is_stopping| *is_stopping).await.is_err() {
        // Whoever could say so is gone without having said it.
        std::future::pending::<()>().await;
    }
}
