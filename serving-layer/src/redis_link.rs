//! The connection to Redis that all requests share.
//!
//! A background task makes it, so that the process starts without Redis and can say what is wrong. A request waits for the
//! first attempt to end, and never for a later one.

use std::time::Duration;

use platform::redis::{self, Connection, RedisError};
use platform::settings;
use platform::telemetry::error_text;
use tokio::sync::watch;
use tracing::{info, warn};

/// The wait between two attempts to connect.
const RETRY: Duration = Duration::from_millis(500);

/// There is no connection to Redis, or Redis does not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("redis cannot be used: {reason}")]
pub(crate) struct Unreachable {
    reason: String,
}

/// A connection that is made in the background and reconnects by itself from then on.
pub(crate) struct RedisLink {
    settings: settings::Redis,
    /// `None` until the first attempt has ended.
    state: watch::Sender<Option<Result<Connection, Unreachable>>>,
}

impl RedisLink {
    /// Connects to nothing yet; [`RedisLink::connect`] does.
    pub(crate) fn new(settings: settings::Redis) -> RedisLink {
        RedisLink { settings, state: watch::Sender::new(None) }
    }

    /// The connection. Its clones share one socket.
    ///
    /// # Errors
    /// If there is none yet, with the reason.
    pub(crate) async fn connection(&self) -> Result<Connection, Unreachable> {
        let mut state = self.state.subscribe();
        let tried = state.wait_for(Option::is_some).await.ok().and_then(|state| state.clone());
        tried.unwrap_or_else(|| Err(Unreachable { reason: "the process is stopping".to_owned() }))
    }

    /// Checks that Redis answers.
    ///
    /// # Errors
    /// If there is no connection, or no answer within `redis.response_timeout`.
    pub(crate) async fn ping(&self) -> Result<(), Unreachable> {
        let mut connection = self.connection().await?;
        let answer = ::redis::cmd("PING").query_async::<()>(&mut connection).await;
        answer.map_err(|error| Unreachable { reason: error.to_string() })
    }

    /// Tries to connect until it succeeds. A server that must not hold a speed view is not used; [`redis::check`] says why.
    pub(crate) async fn connect(&self) {
        loop {
            match self.try_connect().await {
                Ok(connection) => {
                    info!("connected to redis");
                    self.state.send_replace(Some(Ok(connection)));
                    return;
                }
                Err(error) => {
                    let reason = error_text(&error);
                    let before = self.state.send_replace(Some(Err(Unreachable { reason: reason.clone() })));
                    if !matches!(before, Some(Err(last)) if last.reason == reason) {
                        warn!(reason, "cannot use redis; trying again");
                    }
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_connect(&self) -> Result<Connection, RedisError> {
        let mut connection = redis::connect(&self.settings).await?;
        redis::check(&mut connection).await?;
        Ok(connection)
    }
}
