//! Sending to a source's topic: what `send` and `produce` have in common.
//!
//! - `backlog`: waits for the archive where the broker forgets records.

mod backlog;

use anyhow::{Context, Result, bail};
use platform::kafka::{Delivered, KafkaError, Outgoing, Producer, Topics};
use platform::settings;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::stream_topics::source_config;

use self::backlog::Backlog;

pub use self::backlog::ARCHIVED_GROUP;

/// Sends records to a source's topic.
pub struct Sender {
    producer: Producer,
    backlog: Option<Backlog>,
}

impl Sender {
    /// Waits until there is room for the record, then hands it to librdkafka. [`Sender::finish`] reports whether it was
    /// delivered. If this is cancelled, the record is not sent.
    ///
    /// # Errors
    /// If the archive does not take what the broker would forget. The record is not sent.
    pub async fn send(&mut self, record: Outgoing<'_>) -> Result<()> {
        if let Some(backlog) = &mut self.backlog {
            backlog.make_room(&self.producer, &record).await?;
        }
        self.producer.send(record).await;
        Ok(())
    }

    /// How many records have been acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.producer.acknowledged()
    }

    /// Waits until every record was acknowledged or given up.
    pub async fn finish(self) -> Delivered {
        self.producer.finish().await
    }
}

/// A sender for the source's topic. Where the topic is missing, it is created with the partitions that the catalog names.
///
/// # Errors
/// If no broker answers, or the topic is missing and cannot be created.
pub async fn connect(settings: &settings::Kafka, catalog: &Catalog, source: &Source) -> Result<Sender> {
    ensure_exists(settings, catalog, source).await?;
    let backlog = Backlog::of(settings, &source.topic).await?;
    Ok(Sender { producer: Producer::idempotent(settings)?, backlog })
}

/// Checks that every record was acknowledged.
///
/// # Errors
/// Which records were not, and why; `noun` is what a position counts, such as `line`.
pub fn check_delivery(delivered: &Delivered, topic: &str, noun: &str) -> Result<()> {
    if delivered.failed == 0 {
        return Ok(());
    }
    let mut text =
        format!("{} of {} records were not acknowledged by topic {topic}", delivered.failed, delivered.total());
    for (position, reason) in &delivered.first_failures {
        text.push_str(&format!("\n  {noun} {position}: {reason}"));
    }
    let others = delivered.failed - delivered.first_failures.len() as u64;
    if others > 0 {
        text.push_str(&format!("\n  and {others} more"));
    }
    bail!(text)
}

async fn ensure_exists(settings: &settings::Kafka, catalog: &Catalog, source: &Source) -> Result<()> {
    let topics = Topics::new(settings)?;
    let topic = &source.topic;
    match topics.describe(topic).await {
        // A broker without topic ids cannot describe a topic; if the topic is missing, the first record says so.
        Ok(Some(_)) | Err(KafkaError::Unsupported { .. }) => return Ok(()),
        Ok(None) => {}
        Err(error) => return Err(error).with_context(|| format!("no Kafka at {}", settings.brokers)),
    }
    let partitions = i32::try_from(source.partitions).unwrap_or(i32::MAX);
    let created = topics.create(topic, partitions, &source_config(catalog, source)).await;
    created.with_context(|| format!("no topic {topic} at {}", settings.brokers))
}
