//! The readers' connection to Redis. It is made in the background, so that the process starts and says what is wrong.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use platform::redis::{self, Connection, RedisError};
use platform::settings;
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
pub(crate) struct Link {
    settings: settings::Redis,
    state: ArcSwap<Result<Connection, Unreachable>>,
}

impl Link {
    pub(super) fn new(settings: settings::Redis) -> Link {
        let state = Err(Unreachable { reason: "not connected yet".to_owned() });
        Link { settings, state: ArcSwap::from_pointee(state) }
    }

    /// The connection; its commands and those of its clones share one socket.
    ///
    /// # Errors
    /// If there is none yet, with the reason.
    pub(crate) fn connection(&self) -> Result<Connection, Unreachable> {
        Result::clone(&self.state.load())
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// If there is no connection, or no answer within `redis.response_timeout`.
    pub(crate) async fn ping(&self) -> Result<(), Unreachable> {
        let mut connection = self.connection()?;
        let answer = ::redis::cmd("PING").query_async::<()>(&mut connection).await;
        answer.map_err(|error| Unreachable { reason: error.to_string() })
    }

    /// Connects, however long it takes. A server that is not fit for a speed view is not used.
    pub(crate) async fn connect(&self) {
        loop {
            match self.try_connect().await {
                Ok(connection) => {
                    info!("connected to redis");
                    self.state.store(Arc::new(Ok(connection)));
                    return;
                }
                Err(error) => {
                    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
                    let reason = format!("{error}{source}");
                    if self.state.load().as_ref().as_ref().err().is_none_or(|known| known.reason != reason) {
                        warn!(reason, "cannot use redis; trying again");
                    }
                    self.state.store(Arc::new(Err(Unreachable { reason })));
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
