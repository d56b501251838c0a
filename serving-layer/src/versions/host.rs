//! What versions need of the process that serves them, and share.

use std::sync::Arc;

use platform::settings;
use storage::SearchClient;

use crate::batch_view::Disk;
use crate::redis_link::RedisLink;
use crate::stream_read::Access;
use crate::topics::TopicClient;

/// What versions need of the process.
pub(crate) struct Host {
    pub(crate) store: settings::Store,
    pub(crate) serving: settings::Serving,
    pub(crate) disk: Arc<Disk>,
    pub(crate) redis: Arc<RedisLink>,
    pub(crate) topics: Arc<dyn TopicClient>,
    /// The search server; `None`: the settings name none.
    pub(crate) search: Option<SearchClient>,
    /// What the readers of streams share.
    pub(crate) access: Arc<Access>,
}
