//! Listens, serves and stops in order.
//!
//! [`Server::bind`] takes the address, so that port 0 works; [`Server::run`] serves until it is told to stop: then it takes
//! no more connections, lets open requests end within `http.shutdown`, and closes.
//!
//! - `connection`: one client, bounded in every direction.

mod connection;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use platform::kafka::{KafkaError, Topics};
use platform::settings::Settings;
use platform::shutdown::Shutdown;
use platform::store::{Store, StoreError};
use shared_logic::catalog::Catalog;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::app::App;
use crate::router::router;
use crate::topics::AskTopics;

/// Clients at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1_024;
/// The wait after the operating system refused to accept, mostly because there are too many open files.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Why the serving layer cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address of `http.listen` cannot be used.
    #[error("cannot listen on {address} (http.listen)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The store's location is wrong.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
    /// The Kafka client's properties are wrong.
    #[error("cannot ask kafka about topics")]
    Kafka(#[from] KafkaError),
}

/// A serving layer that listens and does not serve yet.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    refresh: Duration,
    deadline: Duration,
}

impl Server {
    /// Listens on `http.listen`. Kafka, Redis and the store need not be reachable.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(settings: &Settings, catalog: Catalog) -> Result<Server, ServeError> {
        let topics = Topics::new(&settings.kafka)?;
        Server::bind_asking(settings, catalog, Arc::new(topics)).await
    }

    /// The same, with somebody else to ask about topics.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind_asking(
        settings: &Settings,
        catalog: Catalog,
        topics: Arc<dyn AskTopics>,
    ) -> Result<Server, ServeError> {
        let store = Store::new(&settings.store, &catalog.deployment.name)?;
        let app = Arc::new(App::new(settings, catalog, &store, topics));
        let wanted = settings.http.listen;
        let listen = |source| ServeError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (refresh, deadline) = (settings.serving.refresh.get(), settings.http.shutdown.get());
        Ok(Server { app, listener, address, refresh, deadline })
    }

    /// Where it listens; connections are taken from now on and answered once it runs.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until a stop is asked for and open requests have ended, or their deadline has passed.
    ///
    /// # Errors
    /// None today: what fails while serving is a problem of single requests.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ServeError> {
        info!(address = %self.address, "serving");
        let background = self.background();
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let service = router(Arc::clone(&self.app));
        let builder = connection::builder();
        loop {
            while connections.try_join_next().is_some() {}
            metrics::gauge!("braid_serving_connections").set(connections.len() as f64);
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (self.listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                accepted = accepted => accepted,
                () = shutdown.requested() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let connection = graceful.watch(connection::connection(&builder, stream, service.clone()));
                    connections.spawn(async move {
                        let _place = place;
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection ended early");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
        drop(self.listener);
        if tokio::time::timeout(self.deadline, graceful.shutdown()).await.is_err() {
            warn!(open = connections.len(), deadline_ms = self.deadline.as_millis(), "open requests were cut off");
        }
        connections.shutdown().await;
        drop(background);
        info!("stopped serving");
        Ok(())
    }

    /// What goes on beside requests: looks at store and topics, and the connection to Redis. Ends when dropped.
    fn background(&self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (app, refresh) = (Arc::clone(&self.app), self.refresh);
        tasks.spawn(async move { app.speed.link.connect().await });
        for watch in self.app.looks.topics() {
            let (watch, app) = (Arc::clone(watch), Arc::clone(&self.app));
            tasks.spawn(async move {
                loop {
                    watch.ask(app.topics.as_ref()).await;
                    app.looks.renew_topics();
                    tokio::time::sleep(refresh).await;
                }
            });
        }
        let looks = Arc::clone(&self.app.looks);
        tasks.spawn(async move { looks.follow(refresh).await });
        tasks
    }
}

/// Serves on the settings' address until a stop is asked for.
///
/// # Errors
/// [`ServeError`].
pub async fn run(settings: &Settings, catalog: Catalog, shutdown: Shutdown) -> Result<(), ServeError> {
    Server::bind(settings, catalog).await?.run(shutdown).await
}
