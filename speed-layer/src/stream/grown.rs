//! Watches how many partitions topics have, so that a lane learns of those that were added to what it writes or reads.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::kafka::Topics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Asks how many partitions some topics have, until `stop`. A topic that cannot be described keeps its number.
pub async fn watch_partitions(
    topics: Topics,
    names: Vec<String>,
    every: Duration,
    publish: watch::Sender<BTreeMap<String, i32>>,
    stop: CancellationToken,
) {
    while !names.is_empty() && !stop.is_cancelled() {
        for name in &names {
            match topics.describe(name).await {
                Ok(Some(topic)) => {
                    publish.send_modify(|seen| {
                        seen.insert(name.clone(), topic.partitions);
                    });
                }
                Ok(None) => {}
                Err(error) => debug!(topic = name, %error, "cannot ask how many partitions a topic has"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => {}
        }
    }
}
