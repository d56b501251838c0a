//! Creates topics and tables, once, before the services start, in a store that was found fit for them.
//!
//! - `streams`: the topics that Braid writes itself.

mod streams;

use std::time::{Duration, Instant};

use platform::kafka::{KafkaError, Topics};
use platform::settings::{self, Settings, Span};
use platform::store::StoreError;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::stream_topics::{TopicConfig, source_config};
use shared_logic::version::DeployedVersions;
use storage::Storage;
use tracing::info;

use crate::topics::judged;

/// How often a broker is asked for a topic that was just created.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Why topics and tables were not created.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Kafka could not be asked, or refused a topic.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The topic removes records too soon.
    #[error("topic {topic} cannot be counted: {why}")]
    Compacted {
        /// The topic's name.
        topic: String,
        /// What has to change.
        why: String,
    },
}

/// Creates what any version of the deployment lacks, as [`run`] does.
///
/// # Errors
/// [`InitError`].
pub async fn all(settings: &Settings, versions: &DeployedVersions) -> Result<(), InitError> {
    for (_, catalog) in versions.living() {
        let storage = Storage::new(&settings.store, &catalog.deployment)?;
        run(&settings.kafka, settings.reconcile.max_cut_age, &storage, catalog).await?;
    }
    Ok(())
}

/// Creates what is missing; what exists stays as it is. A store in which two writers could commit one version of a table is refused
/// first. `max_cut_age` is the setting of that name.
///
/// # Errors
/// [`InitError`].
pub async fn run(
    kafka: &settings::Kafka,
    max_cut_age: Span,
    storage: &Storage,
    catalog: &Catalog,
) -> Result<(), InitError> {
    storage.check().await?;
    let topics = Topics::new(kafka)?;
    for source in catalog.sources.values().filter(|source| !source.is_stream) {
        create_topic(&topics, catalog, source).await?;
    }
    streams::create(&topics, catalog, kafka.request_timeout).await?;
    for source in catalog.sources.values() {
        // Of a table, nothing is counted from a cut on.
        if !source.is_table {
            check_topic(&topics, &source.topic, kafka.request_timeout, max_cut_age).await?;
        }
        if catalog.deployment.keeps_archive {
            crate::archive::create(storage, source).await?;
        }
    }
    for metric in catalog.metrics.values().filter(|_| catalog.deployment.keeps_archive) {
        crate::reconcile::view::create(storage, catalog, metric).await?;
    }
    Ok(())
}

/// Creates the source's topic, with the partitions that the catalog names, unless it exists. If streams wait for its events by their time,
/// its records get the broker's.
async fn create_topic(topics: &Topics, catalog: &Catalog, source: &Source) -> Result<(), KafkaError> {
    if topics.describe(&source.topic).await?.is_none() {
        info!(topic = source.topic, partitions = source.partitions, "creating the topic");
        let partitions = i32::try_from(source.partitions).expect("a checked catalog names at most 10,000");
        topics.create(&source.topic, partitions, &source_config(catalog, source)).await?;
    }
    Ok(())
}

/// Refuses a topic that is compacted too soon.
async fn check_topic(topics: &Topics, topic: &str, timeout: Span, max_cut_age: Span) -> Result<(), InitError> {
    match config(topics, topic, timeout).await {
        Ok(config) => match judged::refused_compaction(&config, max_cut_age.millis()) {
            Some(why) => Err(InitError::Compacted { topic: topic.to_owned(), why }),
            None => Ok(()),
        },
        // The in-process broker cannot be asked, and does not compact.
        Err(KafkaError::Unsupported { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The topic's configuration. It is asked for repeatedly, because the broker that is asked may learn of a new topic a moment
/// after the one that created it.
async fn config(topics: &Topics, topic: &str, timeout: Span) -> Result<TopicConfig, KafkaError> {
    let asked = Instant::now();
    loop {
        match topics.config(topic).await {
            Err(error) if error.is_unknown_topic() && asked.elapsed() < timeout.get() => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            answered => return answered,
        }
    }
}
