//! Listens, serves and stops in order.
//!
//! [`Server::bind`] takes the address, so that a caller can use port 0 and ask for the port. [`Server::run`] serves until a stop is
//! requested. Then it accepts no more connections, tells clients that watch that it ends, lets open requests end within
//! `http.shutdown`, and closes.
//!
//! - `connection`: one client's connection, with limits on everything.

mod connection;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use platform::clock;
use platform::kafka::{KafkaError, Topics};
use platform::settings::{GrantedKey, Settings, SettingsError};
use platform::shutdown::Shutdown;
use platform::store::StoreError;
use platform::telemetry;
use shared_logic::catalog::Deployment;
use storage::{FollowedVersions, SearchClient, SearchError, Storage};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::access::Gate;
use crate::alert::{self, AlertClock, AlertLog, Judging, KafkaAlerts, Standings};
use crate::answer::Sweeps;
use crate::app::App;
use crate::batch_view::Disk;
use crate::document::document;
use crate::known::Known;
use crate::live::Live;
use crate::redis_link::RedisLink;
use crate::requests::Requests;
use crate::router::answers;
use crate::routes::status;
use crate::stream_read::{Access, KafkaLogs, LogClient};
use crate::topics::TopicClient;
use crate::versions::Host;
use crate::watchers::Watchers;

/// The name of `serving.folder` unless that is set.
const DEFAULT_FOLDER: &str = "braid-serving";
/// How many clients may be connected at the same time; others wait to be accepted.
const MAX_CONNECTIONS: usize = 1_024;
/// The wait after the operating system failed to accept a connection, mostly because too many files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How long the process may take to say that it judges alerts no more.
const JUDGING_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Why the serving layer cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address of `http.listen` cannot be used.
    #[error("cannot listen on {address} (http.listen)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Other machines could ask without a key.
    #[error(
        "refusing to listen on {address} (http.listen), where other machines may reach it, without an API key: make one with \
         `braid key new --scope read` and put the line that it prints into the settings, or listen on 127.0.0.1, or set \
         access.insecure = true if something in front decides who may ask"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// The API keys cannot be read.
    #[error("cannot read the api keys")]
    Keys(#[from] SettingsError),
    /// `store.url` is not a location.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
    /// The folder for segments of batch views cannot be used.
    #[error("cannot keep segments of batch views in {} (serving.folder)", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The settings of the search server are not usable.
    #[error("cannot use the search server")]
    Search(#[from] SearchError),
    /// A property of the Kafka client is wrong.
    #[error("cannot ask kafka about topics")]
    Kafka(#[from] KafkaError),
}

/// A serving layer that listens but does not serve yet.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    /// Where alerts are written; `None`: they are not judged.
    alert_log: Option<Arc<dyn AlertLog>>,
    alert_clock: AlertClock,
}

impl Server {
    /// Listens on `http.listen`, to answer for these versions. Kafka, Redis and the store need not be reachable.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(settings: &Settings, versions: FollowedVersions) -> Result<Server, ServeError> {
        let topics = Topics::new(&settings.kafka)?;
        let logs = KafkaLogs::new(topics.clone(), &settings.kafka);
        let deployment = versions.now().active().deployment.name.clone();
        let alerts = KafkaAlerts::new(topics.clone(), &settings.kafka, &settings.alerts, &deployment);
        let server = Server::bind_with(settings, versions, Arc::new(topics), Arc::new(logs)).await?;
        Ok(server.with_alerts(Arc::new(alerts)))
    }

    /// Judges alerts, too, and writes there what is known of them.
    #[must_use]
    pub fn with_alerts(self, log: Arc<dyn AlertLog>) -> Server {
        Server { alert_log: Some(log), ..self }
    }

    /// Judges them by that clock, and not by the machine's.
    #[must_use]
    pub fn with_alert_clock(self, clock: AlertClock) -> Server {
        Server { alert_clock: clock, ..self }
    }

    /// As [`Server::bind`], with other clients that answer questions about topics and read them. It judges no alerts, unless
    /// [`Server::with_alerts`] follows.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind_with(
        settings: &Settings,
        versions: FollowedVersions,
        topics: Arc<dyn TopicClient>,
        logs: Arc<dyn LogClient>,
    ) -> Result<Server, ServeError> {
        let (gate, wanted) = (Gate::new(granted_keys(settings)?, &settings.access), settings.http.listen);
        let deployed = versions.now();
        let watchers = Arc::new(Watchers::new(settings.serving.live_clients));
        let live = Live::new(Arc::clone(&watchers), &settings.serving);
        let host = Host {
            store: settings.store.clone(),
            serving: settings.serving.clone(),
            disk: Arc::new(disk(settings, &deployed.active().deployment)?),
            redis: Arc::new(RedisLink::new(settings.redis.clone())),
            access: Arc::new(Access::new(Arc::clone(&topics), logs, settings.kafka.stalled_after.get(), watchers)),
            topics,
            search: SearchClient::new(&settings.search, &deployed.active().deployment)?,
        };
        let (followed, versions) = (versions, host.versions(deployed)?);
        let (http, requests, sweeps) = (settings.http.clone(), Requests::default(), Sweeps::default());
        let alerts = Standings::new(settings.alerts.clone());
        let telemetry = settings.telemetry.clone();
        let describe = document;
        let app = Arc::new(App {
            versions,
            followed,
            host,
            live,
            known: Known::default(),
            sweeps,
            http,
            requests,
            alerts,
            gate,
            describe,
            telemetry,
        });
        let listen = |source| ServeError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Server { app, listener, address, alert_log: None, alert_clock: Arc::new(clock::now_us) })
    }

    /// The address on which it listens. Connections are accepted from now on, and answered once it runs.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until a stop is requested and open requests have ended, or their deadline has passed.
    ///
    /// # Errors
    /// None today: what fails while serving is a problem of the request.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ServeError> {
        info!(address = %self.address, "serving");
        telemetry::begin(&[
            "braid_serving_incomplete_answers_total",
            "braid_serving_live_looks_total",
            "braid_serving_live_dropped_total",
            "braid_alert_dropped_total",
        ]);
        // Nobody watches yet.
        for watched in ["braid_serving_watchers", "braid_serving_live_questions"] {
            metrics::gauge!(watched).set(0.0);
        }
        let mut background = self.app.spawn_background();
        let app = Arc::clone(&self.app);
        background.spawn(async move { status::follow(&app).await });
        let judging = self.alert_log.map(|log| {
            let (app, clock, shutdown) = (Arc::clone(&self.app), Arc::clone(&self.alert_clock), shutdown.clone());
            tokio::spawn(async move {
                let judging =
                    Judging { standings: &app.alerts, versions: &app.versions, http: &app.http, clock: &clock };
                alert::run(judging, log, shutdown).await;
            })
        });
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let service = answers(Arc::clone(&self.app));
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
                            tracing::debug!(%error, "a connection ended with an error");
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
        self.app.live.stop();
        let deadline = self.app.http.shutdown.get();
        if tokio::time::timeout(deadline, graceful.shutdown()).await.is_err() {
            warn!(
                open = connections.len(),
                deadline_ms = deadline.as_millis(),
                "the deadline has passed; closing connections with open requests"
            );
        }
        connections.shutdown().await;
        if let Some(mut judging) = judging
            && tokio::time::timeout(JUDGING_ENDS_WITHIN, &mut judging).await.is_err()
        {
            // Another process takes over once this one has been silent for a while.
            judging.abort();
        }
        drop(background);
        info!("stopped serving");
        Ok(())
    }
}

/// The API keys that are asked for. [`Server::bind`] asks this, too; a process asks first, before it starts anything.
///
/// # Errors
/// If they cannot be read, or there is none and `http.listen` is where other machines reach it.
pub fn granted_keys(settings: &Settings) -> Result<Vec<GrantedKey>, ServeError> {
    let (keys, address) = (settings.access.granted()?, settings.http.listen);
    if settings.access.may_listen(address, &keys) { Ok(keys) } else { Err(ServeError::Exposed { address }) }
}

/// Takes a place in `serving.folder`. By default that lies in the deployment's folder of the store, and where the store is not on
/// local disk, in the folder for temporary files.
fn disk(settings: &Settings, deployment: &Deployment) -> Result<Disk, ServeError> {
    let storage = Storage::new(&settings.store, deployment)?;
    let default = || storage.folder().unwrap_or_else(std::env::temp_dir).join(DEFAULT_FOLDER);
    let folder = settings.serving.folder.clone().unwrap_or_else(default);
    Disk::open(&folder, &deployment.name, settings.serving.view_memory)
        .map_err(|source| ServeError::Folder { folder, source })
}

/// Serves on `http.listen` until a stop is requested.
///
/// # Errors
/// [`ServeError`].
pub async fn run(settings: &Settings, versions: FollowedVersions, shutdown: Shutdown) -> Result<(), ServeError> {
    Server::bind(settings, versions).await?.run(shutdown).await
}
