//! What all requests share.

use std::sync::Arc;

use platform::settings;
use serde_json::Value;
use shared_logic::catalog::Catalog;
use storage::FollowedVersions;
use tokio::task::JoinSet;

use crate::access::Gate;
use crate::alert::Standings;
use crate::answer::Sweeps;
use crate::known::Known;
use crate::live::Live;
use crate::redis_link::RedisLink;
use crate::requests::Requests;
use crate::topics::TopicClient;
use crate::versions::{Host, Hosted, Versions};

/// Makes the OpenAPI document.
pub(crate) type Describe = fn(&Catalog, bool, i64) -> Value;

/// Shared by all requests.
pub(crate) struct App {
    pub(crate) versions: Versions,
    /// Where the versions come from.
    pub(crate) followed: FollowedVersions,
    pub(crate) host: Host,
    /// Answers that are watched.
    pub(crate) live: Live,
    /// Totals that were asked for before.
    pub(crate) known: Known<Hosted>,
    /// What requests share that list keys.
    pub(crate) sweeps: Sweeps,
    pub(crate) http: settings::Http,
    pub(crate) requests: Requests,
    /// What is known of alerts.
    pub(crate) alerts: Standings,
    /// Who may ask.
    pub(crate) gate: Gate,
    /// Describes all paths, for a catalog, with keys or without, as of a moment. It knows all handlers, and one of them calls it.
    pub(crate) describe: Describe,
    pub(crate) telemetry: settings::Telemetry,
}

impl App {
    /// Starts what runs beside requests: it connects to Redis, and keeps up with the pointer. The tasks end when the set is dropped.
    pub(crate) fn spawn_background(self: &Arc<App>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let redis = Arc::clone(&self.host.redis);
        tasks.spawn(async move { redis.connect().await });
        let app = Arc::clone(self);
        tasks.spawn(async move { app.host.follow(&app.versions, app.followed.watch()).await });
        tasks
    }

    /// The connection to Redis.
    pub(crate) fn redis(&self) -> &RedisLink {
        &self.host.redis
    }

    /// Answers questions about topics.
    pub(crate) fn topics(&self) -> &dyn TopicClient {
        self.host.topics.as_ref()
    }
}
