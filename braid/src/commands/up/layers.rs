//! What runs, in the order in which it stops.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use futures::future::select_all;
use platform::settings::Span;
use platform::shutdown::Shutdown;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tracing::{error, info};

/// How much longer than its own deadline a layer may take to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The running layers, the next one to stop first.
#[derive(Default)]
pub(super) struct Layers {
    running: VecDeque<Layer>,
}

struct Layer {
    name: String,
    /// Each layer has its own, so that they can stop one after the other.
    shutdown: Shutdown,
    within: Duration,
    task: JoinHandle<Result<()>>,
}

impl Layers {
    /// Starts a layer that stops after all that were started before. `within` is how long stopping may take.
    pub(super) fn start<F>(&mut self, name: impl Into<String>, within: Span, run: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.running.push_back(Layer::start(name, within, run));
    }

    /// Starts a layer that stops before all others.
    pub(super) fn start_in_front<F>(&mut self, name: impl Into<String>, within: Span, run: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.running.push_front(Layer::start(name, within, run));
    }

    /// Resolves when a layer has failed. A layer that ends by itself without an error had nothing to do.
    pub(super) async fn failure(&mut self) -> Error {
        while !self.running.is_empty() {
            let (ended, at, _) = select_all(self.running.iter_mut().map(|layer| &mut layer.task)).await;
            let Some(layer) = self.running.remove(at) else { continue };
            match outcome(&layer.name, ended) {
                Ok(()) => info!(layer = layer.name, "has nothing to do"),
                Err(error) => return error,
            }
        }
        pending().await
    }

    /// Stops one layer after the other.
    ///
    /// # Errors
    /// The first error of a layer; all are stopped nevertheless.
    pub(super) async fn stop(self) -> Result<()> {
        let mut first = Ok(());
        for layer in self.running {
            let stopped = layer.stop().await;
            if let Err(error) = &stopped {
                error!("{error:#}");
            }
            first = first.and(stopped);
        }
        first
    }
}

impl Layer {
    fn start<F>(name: impl Into<String>, within: Span, run: impl FnOnce(Shutdown) -> F) -> Layer
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let shutdown = Shutdown::new();
        let task = tokio::spawn(run(shutdown.clone()));
        Layer { name: name.into(), shutdown, within: within.get() + GRACE, task }
    }

    async fn stop(mut self) -> Result<()> {
        self.shutdown.begin(&format!("the platform stops: {}", self.name));
        match timeout(self.within, &mut self.task).await {
            Ok(ended) => outcome(&self.name, ended),
            Err(_) => {
                self.task.abort();
                Err(anyhow!("{} did not stop within {:?}", self.name, self.within))
            }
        }
    }
}

fn outcome(name: &str, ended: Result<Result<()>, JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| Err(Error::new(error))).with_context(|| format!("{name} failed"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn second() -> Span {
        Span::from_secs(1)
    }

    #[tokio::test]
    async fn layers_stop_in_order_even_after_one_has_failed() {
        let stopped = Arc::new(Mutex::new(Vec::new()));
        let mut layers = Layers::default();
        for name in ["speed", "archive"] {
            let stopped = Arc::clone(&stopped);
            layers.start(name, second(), async move |shutdown: Shutdown| {
                shutdown.requested().await;
                stopped.lock().expect("not poisoned").push(name);
                Ok(())
            });
        }
        let of_traffic = Arc::clone(&stopped);
        layers.start_in_front("traffic", second(), async move |shutdown: Shutdown| {
            shutdown.requested().await;
            of_traffic.lock().expect("not poisoned").push("traffic");
            Err(anyhow!("on purpose"))
        });
        let error = layers.stop().await.expect_err("traffic failed");
        assert_eq!(format!("{error:#}"), "traffic failed: on purpose");
        assert_eq!(*stopped.lock().expect("not poisoned"), ["traffic", "speed", "archive"]);
    }

    #[tokio::test]
    async fn the_first_failure_is_returned_and_an_early_end_is_no_failure() {
        let mut layers = Layers::default();
        layers.start("idle", second(), async move |_| Ok(()));
        layers.start("steady", second(), async move |shutdown: Shutdown| {
            shutdown.requested().await;
            Ok(())
        });
        layers.start("broken", second(), async move |_| {
            tokio::task::yield_now().await;
            Err(anyhow!("no such Redis"))
        });
        assert_eq!(format!("{:#}", layers.failure().await), "broken failed: no such Redis");
        layers.stop().await.expect("the steady one stops");
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let mut layers = Layers::default();
        layers.start("broken", second(), async move |_| panic!("on purpose"));
        assert!(format!("{:#}", layers.failure().await).starts_with("broken failed: task "));
    }
}
