//! Connections to Redis, the check that a server can hold a speed view, and which errors are worth a retry.
//!
//! A connection reconnects by itself, and a command whose reply was lost may still have run. That is safe only because every
//! write names the position that it expects.

mod back_pressure;
mod check;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, ConnectionAddr, IntoConnectionInfo};

use crate::settings;

pub use self::back_pressure::{Reply, classify, is_back_pressure};
pub use self::check::check;

/// A connection that tasks share by cloning it; their commands are pipelined in order. A slow script delays all commands on
/// its connection, so writers and readers use one each.
pub type Connection = ConnectionManager;

/// Why Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The setting `redis.url` is not a Redis URL.
    #[error("setting redis.url is not redis://[user:password@]host[:port][/database]: {reason}")]
    Url {
        /// What is wrong with it; without the URL, which may hold a password.
        reason: String,
    },
    /// The connection failed.
    #[error("cannot connect to redis at {address}")]
    Connect {
        /// Host and port, without credentials.
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
    let not_a_url = |error: ::redis::RedisError| RedisError::Url { reason: error.category().to_owned() };
    let info = settings.url.reveal().into_connection_info().map_err(not_a_url)?;
    let address = info.addr().to_string();
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = Client::open(info).map_err(not_a_url)?;
    if matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. }) {
        // An error means that a provider was chosen before, which is enough.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    // One try for each command: the sender retries with its own backoff, and must not wait behind another's retries.
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout.get()))
        .set_response_timeout(Some(settings.response_timeout.get()))
        .set_number_of_retries(1)
        .set_max_delay(settings.connect_timeout.get());
    ConnectionManager::new_with_config(client, config).await.map_err(|source| RedisError::Connect { address, source })
}
