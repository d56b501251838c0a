//! Topics and tables, created once, before the services start.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use platform::kafka::{KafkaError, Topics};
use platform::settings::Settings;
use platform::store::Store;
use shared_logic::catalog::{Catalog, Source};
use tracing::info;

/// How often a broker is asked whether it knows a new topic by now.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Creates what is missing; what exists stays as it is.
///
/// # Errors
/// If Kafka or the store cannot be reached.
pub async fn run(settings: &Settings, catalog: &Catalog) -> anyhow::Result<()> {
    let store = Store::new(&settings.store, &catalog.deployment.name)?;
    let topics = Topics::new(&settings.kafka)?;
    for source in catalog.sources.values() {
        topic(settings, &topics, source).await?;
        crate::archive::table(&store, source).await?;
    }
    for metric in catalog.metrics.values() {
        crate::reconcile::view(&store, catalog, metric).await?;
    }
    Ok(())
}

/// Creates the source's topic with the partitions that the catalog names, unless it exists. One that is compacted too
/// soon is refused.
async fn topic(settings: &Settings, topics: &Topics, source: &Source) -> anyhow::Result<()> {
    if topics.describe(&source.topic).await?.is_none() {
        info!(topic = source.topic, partitions = source.partitions, "creating the topic");
        topics.create(&source.topic, i32::try_from(source.partitions)?, &[]).await?;
    }
    match config(settings, topics, &source.topic).await {
        Ok(config) => match refused_compaction(&config, settings.reconcile.max_cut_age.millis()) {
            Some(why) => anyhow::bail!("topic {} cannot be counted: {why}", source.topic),
            None => Ok(()),
        },
        // The in-process broker does not tell, and does not compact.
        Err(KafkaError::Unsupported { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The topic's configuration. The broker that is asked may learn a moment later than the one that created it that there is
/// such a topic.
async fn config(settings: &Settings, topics: &Topics, topic: &str) -> Result<BTreeMap<String, String>, KafkaError> {
    let asked = Instant::now();
    loop {
        match topics.config(topic).await {
            Err(error) if error.is_unknown_topic() && asked.elapsed() < settings.kafka.request_timeout.get() => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            answered => return answered,
        }
    }
}

/// Why a topic with that configuration cannot be counted; `None` if it can.
///
/// Compaction removes records. A shard that is rebuilt from the cut on would then count fewer than the first time, unless
/// every record stays for longer than a cut can be old.
fn refused_compaction(config: &BTreeMap<String, String>, cut_age_max_ms: u64) -> Option<String> {
    let policy = config.get("cleanup.policy").map(String::as_str).unwrap_or_default();
    if !policy.split(',').any(|word| word.trim() == "compact") {
        return None;
    }
    let lag_ms = config.get("min.compaction.lag.ms").and_then(|lag| lag.parse().ok()).unwrap_or(0_u64);
    (lag_ms <= cut_age_max_ms).then(|| {
        format!(
            "it is compacted (cleanup.policy={policy}) and keeps records for {lag_ms} ms only: set the topic's \
             min.compaction.lag.ms above reconcile.max_cut_age ({cut_age_max_ms} ms), or its cleanup.policy to delete"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compacted_topic_needs_a_lag_above_the_oldest_cut() {
        let config = |policy: &str, lag: &str| {
            BTreeMap::from([
                ("cleanup.policy".to_owned(), policy.to_owned()),
                ("min.compaction.lag.ms".to_owned(), lag.to_owned()),
            ])
        };
        assert_eq!(refused_compaction(&config("delete", "0"), 1_000), None);
        assert_eq!(refused_compaction(&config("compact,delete", "1001"), 1_000), None);
        let refused =
            refused_compaction(&config("compact", "1000"), 1_000).expect("records could go before a cut is renewed");
        assert!(refused.contains("min.compaction.lag.ms"));
    }
}
