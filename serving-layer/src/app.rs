//! What all requests share.

use std::sync::Arc;
use std::time::Duration;

use platform::settings;
use tokio::task::JoinSet;

use crate::redis_link::RedisLink;
use crate::requests::Requests;
use crate::stream_read::Access;
use crate::topics::TopicClient;
use crate::versions::Versions;

/// Shared by all requests.
pub(crate) struct App {
    pub(crate) versions: Versions,
    pub(crate) redis: Arc<RedisLink>,
    pub(crate) topics: Arc<dyn TopicClient>,
    /// What the readers of streams share.
    pub(crate) access: Arc<Access>,
    pub(crate) http: settings::Http,
    pub(crate) requests: Requests,
}

impl App {
    /// Starts what runs beside requests: it connects to Redis, and describes topics and takes snapshots every `refresh`. The
    /// tasks end when the set is dropped.
    pub(crate) fn spawn_background(self: &Arc<App>, refresh: Duration) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let redis = Arc::clone(&self.redis);
        tasks.spawn(async move { redis.connect().await });
        for version in self.versions.iter() {
            for watch in version.snapshots.topics() {
                let (watch, snapshots) = (Arc::clone(watch), Arc::clone(&version.snapshots));
                let topics = Arc::clone(&self.topics);
                tasks.spawn(async move {
                    loop {
                        watch.refresh(topics.as_ref()).await;
                        snapshots.renew_topics();
                        tokio::time::sleep(refresh).await;
                    }
                });
            }
            let snapshots = Arc::clone(&version.snapshots);
            tasks.spawn(async move { snapshots.follow(refresh).await });
        }
        tasks
    }
}
