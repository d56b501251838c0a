//! What all requests share.

use std::sync::Arc;

use platform::settings;
use storage::FollowedVersions;
use tokio::task::JoinSet;

use crate::access::Gate;
use crate::alert::Standings;
use crate::live::Live;
use crate::redis_link::RedisLink;
use crate::requests::Requests;
use crate::routes::status;
use crate::topics::TopicClient;
use crate::versions::{Host, Versions};

/// Shared by all requests.
pub(crate) struct App {
    pub(crate) versions: Versions,
    /// Where the versions come from.
    pub(crate) followed: FollowedVersions,
    pub(crate) host: Host,
    /// Answers that are watched.
    pub(crate) live: Live,
    pub(crate) http: settings::Http,
    pub(crate) requests: Requests,
    /// What is known of alerts.
    pub(crate) alerts: Standings,
    /// Who may ask.
    pub(crate) gate: Gate,
}

impl App {
    /// Starts what runs beside requests: it connects to Redis, and keeps up with the pointer. The tasks end when the set is dropped.
    pub(crate) fn spawn_background(self: &Arc<App>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let redis = Arc::clone(&self.host.redis);
        tasks.spawn(async move { redis.connect().await });
        let app = Arc::clone(self);
        tasks.spawn(async move { app.host.follow(&app.versions, app.followed.watch()).await });
        let app = Arc::clone(self);
        tasks.spawn(async move { status::follow(&app).await });
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
