//! Connections to Redis, the check that a server is fit for a speed view, and which of its answers mean "later".
//!
//! A connection reconnects by itself, and a command that was cut off may still have run. That is safe here and only
//! here because every write names the position that it expects.

mod back_pressure;
mod check;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, ConnectionAddr, IntoConnectionInfo};

use crate::settings;

pub use self::back_pressure::{Reply, classify, is_back_pressure};
pub use self::check::check;

/// A connection that many tasks can share by cloning; their commands are pipelined in order. Scripts that take long
/// delay whatever shares the connection, so writers and readers take one each.
pub type Connection = ConnectionManager;

/// Why there is no usable Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The setting is not a Redis URL.
    #[error("setting redis.url is not redis://[user:password@]host[:port][/database]: {reason}")]
    Url {
        /// What is wrong with it; never the URL itself, which may hold a password.
        reason: String,
    },
    /// No connection came about.
    #[error("cannot connect to redis at {address}")]
    Connect {
        /// Host and port, without credentials.
        address: String,
        /// What the client said.
        source: ::redis::RedisError,
    },
    /// The server answered a question about itself with an error.
    #[error("cannot ask redis for {what}")]
    Ask {
        /// What was asked for.
        what: &'static str,
        /// What the server or the connection said.
        source: ::redis::RedisError,
    },
    /// The server did not say something that every supported version says.
    #[error("redis did not say its {what}")]
    Silent {
        /// What is missing in its answer.
        what: &'static str,
    },
    /// The server is older than scripts with flags need.
    #[error("redis {version} is too old: version 7.0 or newer is needed")]
    TooOld {
        /// The version that it gave.
        version: String,
    },
    /// The server would silently remove counters when its memory is full.
    #[error(
        "redis evicts keys when full (maxmemory-policy {policy}), which would lose counts: \
         set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf)"
    )]
    Evicts {
        /// The policy that it has.
        policy: String,
    },
}

/// Connects with the settings' time-outs and without Nagle's delay.
///
/// Later losses are repaired by the connection itself: a command during a loss fails within about
/// `redis.connect_timeout`, and [`is_back_pressure`] holds for its error.
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
        // Whoever chose a provider before us has chosen one, which is all that is needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    // One try a command: who sends it has its own back-off, and must not wait behind another one.
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout.get()))
        .set_response_timeout(Some(settings.response_timeout.get()))
        .set_number_of_retries(1)
        .set_max_delay(settings.connect_timeout.get());
    ConnectionManager::new_with_config(client, config).await.map_err(|source| RedisError::Connect { address, source })
}
