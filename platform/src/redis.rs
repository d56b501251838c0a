//! Connections to Redis, the check that a server can hold a speed view, and which errors are worth a retry.
//!
//! A connection reconnects by itself, and a command whose reply was lost may still have run. That is safe only because every
//! write names the position that it expects.
//!
//! - one server, to which the client's manager keeps a connection;
//! - `cluster`: the primaries of a Redis Cluster, each of which holds some of the shards;
//! - `watched`: a primary of which sentinels say who it is; `sentinels` asks them.
//!
//! In both of the latter a replica takes the place of a primary that is lost, and may lack the last writes. That is a Redis that went back in
//! time (R2): cursor and counters of a shard are in one slot and change in one script, so what a replica has is a shard at an earlier cursor.

mod back_pressure;
mod check;
mod cluster;
mod memory;
mod sentinels;
mod watched;

use std::fmt;

use ::redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisFuture, Value};

use crate::settings::{self, RedisPlace};

pub use self::back_pressure::{Reply, classify, is_back_pressure};
pub use self::check::{Unreachable, check};
pub use self::cluster::Cluster;
pub use self::memory::{Memory, memory};
pub use self::watched::Watched;

/// A connection that tasks share by cloning it; to one server, their commands are pipelined in order. A slow script delays all
/// commands on its connection, so writers and readers use one each.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    One(ConnectionManager),
    /// To the primaries of a cluster.
    Cluster(Cluster),
    /// To the primary that sentinels name.
    Watched(Watched),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::One(server) => server.req_packed_command(command),
            Connection::Cluster(cluster) => Box::pin(cluster.command(command)),
            Connection::Watched(watched) => Box::pin(watched.command(command)),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::One(server) => server.req_packed_commands(pipeline, offset, count),
            Connection::Cluster(cluster) => Box::pin(cluster.commands(pipeline, offset, count)),
            Connection::Watched(watched) => Box::pin(watched.commands(pipeline, offset, count)),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::One(server) => server.get_db(),
            Connection::Cluster(_) => 0,
            Connection::Watched(watched) => watched.database(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Connection::One(_) => "Connection::One",
            Connection::Cluster(_) => "Connection::Cluster",
            Connection::Watched(_) => "Connection::Watched",
        })
    }
}

/// Why Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The setting `redis.url` is not a Redis URL.
    #[error(
        "setting redis.url cannot be used, since it {reason}; it is redis://[user:password@]host[:port][/database], \
         redis-cluster://[user:password@]host[:port],… or redis+sentinel://[user:password@]host[:port],…/SERVICE"
    )]
    Url {
        /// What is wrong with it; without the URL, which may hold a password.
        reason: String,
    },
    /// The connection failed.
    #[error("cannot connect to redis at {address}")]
    Connect {
        /// Hosts and ports, without credentials.
        address: String,
        /// The client's error.
        source: ::redis::RedisError,
    },
    /// The server answered a question about itself with an error.
    #[error("cannot ask redis for {what}")]
    Ask {
        /// What was asked for.
        what: &'static str,
        /// The error of the server or the connection.
        source: ::redis::RedisError,
    },
    /// The server's answer lacks something that every supported version reports.
    #[error("redis did not report its {what}")]
    Missing {
        /// What its answer lacks.
        what: &'static str,
    },
    /// The server is too old for scripts with flags.
    #[error("redis {version} is too old: version 7.0 or newer is needed")]
    TooOld {
        /// The version that it reported.
        version: String,
    },
    /// The server would silently remove counters when its memory is full.
    #[error(
        "redis evicts keys when full (maxmemory-policy {policy}), which would lose counts: \
         set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf)"
    )]
    Evicts {
        /// The server's policy.
        policy: String,
    },
}

/// Connects with the settings' time-outs and without Nagle's delay.
///
/// Later, the connection repairs itself: while it is lost, a command fails within about `redis.connect_timeout`, with an
/// error for which [`is_back_pressure`] is true.
///
/// # Errors
///
/// [`RedisError::Url`] or [`RedisError::Connect`].
pub async fn connect(settings: &settings::Redis) -> Result<Connection, RedisError> {
    let place = RedisPlace::parse(settings.url.reveal());
    match place.map_err(|reason| RedisError::Url { reason: reason.to_owned() })? {
        RedisPlace::One(url) => one(&url, settings).await.map(Connection::One),
        RedisPlace::Cluster(nodes) => Cluster::connect(&nodes, settings).await.map(Connection::Cluster),
        RedisPlace::Watched { sentinels, service, primary } => {
            Watched::connect(&sentinels, service, &primary, settings).await.map(Connection::Watched)
        }
    }
}

async fn one(url: &str, settings: &settings::Redis) -> Result<ConnectionManager, RedisError> {
    let info = info(url)?;
    let address = info.addr().to_string();
    let client = Client::open(info).map_err(not_a_url)?;
    // One try for each command: the sender retries with its own backoff, and must not wait behind another's retries.
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout.get()))
        .set_response_timeout(Some(settings.response_timeout.get()))
        .set_number_of_retries(1)
        .set_max_delay(settings.connect_timeout.get());
    ConnectionManager::new_with_config(client, config).await.map_err(|source| RedisError::Connect { address, source })
}

/// How to connect to the server of that URL.
fn info(url: &str) -> Result<ConnectionInfo, RedisError> {
    let info = url.into_connection_info().map_err(not_a_url)?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        // An error means that a provider was chosen before, which is enough.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// How to connect to another server in the same way.
fn at(info: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let address = match info.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(address)
}

fn not_a_url(error: ::redis::RedisError) -> RedisError {
    RedisError::Url { reason: format!("is no address ({})", error.category()) }
}
