//! The readers' connection to Redis. It is made in the background, so that the process starts and says what is wrong. A
//! request waits for the first try and for no other.

use std::time::Duration;

use platform::redis::{self, Connection, RedisError};
use platform::settings;
use tokio::sync::watch;
use tracing::{info, warn};

/// The wait between two tries to connect.
const RETRY: Duration = Duration::from_millis(500);

/// There is no connection to Redis, or Redis does not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("redis cannot be used: {reason}")]
pub(crate) struct Unreachable {
    reason: String,
}

/// A connection that comes about some time, and repairs itself from then on.
pub(crate) struct RedisLink {
    settings: settings::Redis,
    /// Nothing before the first try has ended.
    state: watch::Sender<Option<Result<Connection, Unreachable>>>,
}

impl RedisLink {
    pub(crate) fn new(settings: settings::Redis) -> RedisLink {
        RedisLink { settings, state: watch::Sender::new(None) }
    }

    /// The connection; its commands and those of its clones share one socket.
    ///
    /// # Errors
    /// If there is none yet, with the reason.
    pub(crate) async fn connection(&self) -> Result<Connection, Unreachable> {
        let mut state = self.state.subscribe();
        let tried = state.wait_for(Option::is_some).await.ok().and_then(|state| state.clone());
        tried.unwrap_or_else(|| Err(Unreachable { reason: "the process is stopping".to_owned() }))
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// If there is no connection, or no answer within `redis.response_timeout`.
    pub(crate) async fn ping(&self) -> Result<(), Unreachable> {
        let mut connection = self.connection().await?;
        let answer = ::redis::cmd("PING").query_async::<()>(&mut connection).await;
        answer.map_err(|error| Unreachable { reason: error.to_string() })
    }

    /// Connects, however long it takes. A server that is not fit for a speed view is not used.
    pub(crate) async fn connect(&self) {
        loop {
            match self.try_connect().await {
                Ok(connection) => {
                    info!("connected to redis");
                    self.state.send_replace(Some(Ok(connection)));
                    return;
                }
                Err(error) => {
                    let source =
                        std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
                    let reason = format!("{error}{source}");
                    let before = self.state.send_replace(Some(Err(Unreachable { reason: reason.clone() })));
                    if !matches!(before, Some(Err(known)) if known.reason == reason) {
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
