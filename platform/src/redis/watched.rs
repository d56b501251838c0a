//! A primary that sentinels watch. When it is lost, they make one of its replicas the primary, and say so when they are asked.
//!
//! The connection asks them when it begins, when it was lost, when a command was not answered in time, and when the server says that it is no
//! primary any more. It asks from time to time, too: a primary that was cut off from the others does not know that it is none any more, and
//! goes on answering. What is written to such a server is lost once it comes back. That costs no exactness, since the cursor is lost with it.

use std::io;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError as ClientError, RedisResult,
    Value, from_redis_value,
};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::sentinels::{Named, Sentinels};
use super::{RedisError, at, info as how_to_connect};
use crate::settings;

/// How long a primary that was replaced is still taken for the primary at most, if it says nothing itself and most sentinels can be asked.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What a server says that is no primary any more.
const DEMOTED: [&str; 2] = ["READONLY", "MASTERDOWN"];

/// A connection to the primary that sentinels name. Clones share it.
#[derive(Clone)]
pub struct Watched(Arc<Shared>);

struct Shared {
    /// How to log in to the primary. Its address is another.
    login: ConnectionInfo,
    config: AsyncConnectionConfig,
    connect_timeout: Duration,
    /// Held by who looks for the primary.
    sentinels: Mutex<Sentinels>,
    /// `None` until it is found again.
    primary: RwLock<Option<Primary>>,
}

#[derive(Clone)]
struct Primary {
    named: Arc<Named>,
    connection: MultiplexedConnection,
}

impl Watched {
    /// Connects to the primary that the sentinels with these URLs call `service`; `login` is a URL with its user and database.
    pub(super) async fn connect(
        sentinels: &[String],
        service: String,
        login: &str,
        settings: &settings::Redis,
    ) -> Result<Watched, RedisError> {
        let connect_timeout = settings.connect_timeout.get();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect_timeout))
            .set_response_timeout(Some(settings.response_timeout.get()));
        // Where too few answer to be most of them, those count that do, once the others were waited for. Then there has to be time for the primary.
        let of_one = connect_timeout / 2;
        let of_sentinels = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(of_one))
            .set_response_timeout(Some(settings.response_timeout.get().min(of_one)));
        let address = format!("the primary that sentinels call {service}");
        let shared = Shared {
            login: how_to_connect(login)?,
            sentinels: Mutex::new(Sentinels::new(sentinels, service, of_sentinels)?),
            config,
            connect_timeout,
            primary: RwLock::new(None),
        };
        let watched = Watched(Arc::new(shared));
        watched.primary().await.map_err(|source| RedisError::Connect { address, source })?;
        tokio::spawn(ask_again(Arc::downgrade(&watched.0)));
        Ok(watched)
    }

    pub(super) fn database(&self) -> i64 {
        self.0.login.redis_settings().db()
    }

    /// Sends a command to the primary.
    pub(super) async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        let mut primary = self.primary().await?;
        let answer = primary.connection.req_packed_command(command).await;
        if answer.as_ref().map_or_else(is_lost, is_demoted) {
            self.0.forget(&primary);
        }
        answer
    }

    /// Sends the commands of a pipeline to the primary.
    pub(super) async fn commands(&self, pipeline: &Pipeline, offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        let mut primary = self.primary().await?;
        let answers = primary.connection.req_packed_commands(pipeline, offset, count).await;
        if answers.as_ref().map_or_else(is_lost, |answers| answers.iter().any(is_demoted)) {
            self.0.forget(&primary);
        }
        answers
    }

    /// The primary, which is looked for if it is not known.
    async fn primary(&self) -> RedisResult<Primary> {
        let shared = &*self.0;
        if let Some(primary) = shared.known() {
            return Ok(primary);
        }
        let look = async {
            let mut sentinels = shared.sentinels.lock().await;
            // Another command may have found it meanwhile.
            match shared.known() {
                Some(primary) => Ok(primary),
                None => {
                    let named = sentinels.primary().await?;
                    shared.go_to(named).await
                }
            }
        };
        let found = timeout(shared.connect_timeout, look).await;
        found.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }
}

impl Shared {
    fn known(&self) -> Option<Primary> {
        self.primary.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next command looks for the primary, unless that was done by now.
    fn forget(&self, lost: &Primary) {
        let mut known = self.primary.write().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(&known.named, &lost.named)) {
            *known = None;
        }
    }

    /// Connects to the server that the sentinels name, if it says itself that it is the primary.
    async fn go_to(&self, named: Named) -> RedisResult<Primary> {
        let client = Client::open(at(&self.login, named.host.clone(), named.port))?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&self.config).await?;
        let role: Vec<Value> = ::redis::cmd("ROLE").query_async(&mut connection).await?;
        let role: Option<String> = role.into_iter().next().map(from_redis_value).transpose()?;
        if role.as_deref() != Some("master") {
            let what = "the sentinels name a server that is not the primary yet";
            return Err(ClientError::from((ErrorKind::MasterNameNotFoundBySentinel, what)));
        }
        info!(
            host = named.host,
            port = named.port,
            epoch = named.epoch,
            "connected to the primary of redis that the sentinels name"
        );
        let primary = Primary { named: Arc::new(named), connection };
        *self.primary.write().unwrap_or_else(PoisonError::into_inner) = Some(primary.clone());
        Ok(primary)
    }

    /// Goes to another primary, if the sentinels name one by a newer configuration.
    async fn follow(&self) -> RedisResult<()> {
        let Some(known) = self.known() else { return Ok(()) };
        let mut sentinels = self.sentinels.lock().await;
        let named = sentinels.primary().await?;
        let is_same = (&named.host, named.port) == (&known.named.host, known.named.port);
        if !is_same && named.epoch > known.named.epoch {
            self.go_to(named).await?;
        }
        Ok(())
    }
}

/// Asks the sentinels from time to time, until the connection is dropped.
async fn ask_again(shared: Weak<Shared>) {
    loop {
        sleep(ASK_AGAIN).await;
        let Some(shared) = shared.upgrade() else { return };
        if let Ok(Err(error)) = timeout(shared.connect_timeout, shared.follow()).await {
            debug!(%error, "the sentinels do not say who is the primary of redis");
        }
    }
}

/// Whether an error means that the primary may be another one now.
fn is_lost(error: &ClientError) -> bool {
    let is_demoted = error.code().is_some_and(|code| DEMOTED.contains(&code));
    is_demoted || error.is_io_error() || error.kind() == ErrorKind::Parse
}

fn is_demoted(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if DEMOTED.contains(&error.code()))
}
